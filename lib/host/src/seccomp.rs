//! seccomp(2): puts a finished filter on this process, and says what it stopped.

use std::io;

/// One instruction of a classic BPF program.
pub type Instruction = seccompiler::sock_filter;

/// Puts the filter on all threads of the process and all that they will make. no_new_privs is set.
pub fn install(program: &[Instruction]) -> io::Result<()> {
    seccompiler::apply_filter_all_threads(program).map_err(|e| match e {
        seccompiler::Error::Seccomp(e) | seccompiler::Error::Prctl(e) => e,
        other => io::Error::other(other.to_string()),
    })
}

/// For a filter whose last word is `SECCOMP_RET_TRAP`: a forbidden call is written to standard error and ends the process
/// with status 159, as death by SIGSYS would look to a shell.
pub fn report_violations() -> io::Result<()> {
    // SAFETY: the handler uses nothing but async-signal-safe calls and the arguments it gets; the structure is zeroed
    // first, which is a valid value of it.
    let done = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigsys as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut())
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

extern "C" fn on_sigsys(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel calls this with the context of the interrupted thread, on x86-64 a `ucontext_t`; only
    // async-signal-safe calls follow.
    unsafe {
        let registers = &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let mut line = Line { bytes: [0; 256], used: 0 };
        line.text(b"forbidden host call ");
        line.number(registers[libc::REG_RAX as usize].cast_unsigned(), 10);
        for register in [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX, libc::REG_R10, libc::REG_R8, libc::REG_R9] {
            line.text(b" 0x");
            line.number(registers[register as usize].cast_unsigned(), 16);
        }
        line.text(b" at 0x");
        line.number(registers[libc::REG_RIP as usize].cast_unsigned(), 16);
        line.text(b"\n");
        libc::write(2, line.bytes.as_ptr().cast(), line.used);
        libc::_exit(128 + libc::SIGSYS);
    }
}

/// Text without allocation.
struct Line {
    bytes: [u8; 256],
    used: usize,
}

impl Line {
    fn text(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.bytes.get_mut(self.used) {
                *place = *byte;
                self.used += 1;
            }
        }
    }

    fn number(&mut self, mut value: u64, base: u64) {
        let mut digits = [0_u8; 20];
        let mut first = digits.len();
        while first > 0 {
            first -= 1;
            digits[first] = b"0123456789abcdef"[(value % base) as usize];
            value /= base;
            if value == 0 {
                break;
            }
        }
        let (_, text) = digits.split_at(first);
        self.text(text);
    }
}

/// What became of a process that made one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The call returned, with a value or an error.
    Lived,
    /// This signal ended the process.
    Died(i32),
}

/// For tests of filters: a child puts a filter on and makes one call with these arguments. Whatever the filter allows is
/// really made, so the arguments should do no harm.
pub fn try_call(program: &[Instruction], number: libc::c_long, args: [u64; 6]) -> io::Result<Fate> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: fork(2) by its number. The child only makes system calls, on memory that was made before, and never
    // returns from here.
    let pid = unsafe { libc::syscall(libc::SYS_fork) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        // SAFETY: `filter` and the program are alive, also in the child's copy of memory; the call that is tried may do
        // anything to the child, which ends right after.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) != 0 {
                libc::syscall(libc::SYS_kill, libc::getpid(), libc::SIGABRT);
            }
            libc::syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
            libc::syscall(libc::SYS_exit_group, 0);
        }
        std::process::abort();
    }
    let mut status = 0;
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: `status` is alive for the call.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(if libc::WIFSIGNALED(status) { Fate::Died(libc::WTERMSIG(status)) } else { Fate::Lived })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_both_bases() {
        let mut line = Line { bytes: [0; 256], used: 0 };
        line.number(u64::MAX, 16);
        line.text(b" ");
        line.number(u64::MAX, 10);
        line.text(b" ");
        line.number(0, 10);
        assert_eq!(&line.bytes[..line.used], b"ffffffffffffffff 18446744073709551615 0");
    }
}
