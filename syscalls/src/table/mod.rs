//! The tables, one per architecture, and the macro that reads their rows.

#[cfg(test)]
mod document;
pub mod x86_64;

/// Turns rows into a list of [`sentry::syscall::Syscall`]:
/// `NR => full AREA::CALL;`, `NR => partial AREA::CALL("what is missing");`, `NR => absent NAME(ERRNO, "why");`.
macro_rules! syscall_table {
    (@name $last:ident) => { stringify!($last) };
    (@name $first:ident :: $($rest:ident)::+) => { syscall_table!(@name $($rest)::+) };
    (@row $nr:literal full $($path:ident)::+) => {
        syscall_table!(@make $nr, $($path)::+, sentry::syscall::Support::Full)
    };
    (@row $nr:literal partial $($path:ident)::+ ($note:literal)) => {
        syscall_table!(@make $nr, $($path)::+, sentry::syscall::Support::Partial($note))
    };
    (@row $nr:literal absent $name:ident ($errno:ident, $why:literal)) => {
        sentry::syscall::Syscall {
            nr: $nr,
            name: stringify!($name),
            support: sentry::syscall::Support::Absent(concat!(stringify!($errno), ": ", $why)),
            handler: |task, args| $crate::table::absent(task, args, abi::Errno::$errno),
            trace: |_, args, out| write!(out, "{}({:x?})", stringify!($name), args.args),
        }
    };
    (@make $nr:literal, $($path:ident)::+, $support:expr) => {
        sentry::syscall::Syscall {
            nr: $nr,
            name: syscall_table!(@name $($path)::+),
            support: $support,
            handler: |task, args| $crate::handler::Handler::call($crate::$($path)::+, task, args),
            trace: |task, args, out| {
                out.write_str(syscall_table!(@name $($path)::+))?;
                out.write_str("(")?;
                $crate::handler::Handler::trace($crate::$($path)::+, task, args, out)?;
                out.write_str(")")
            },
        }
    };
    ($($nr:literal => $kind:ident $($path:ident)::+ $(($($note:tt)*))?;)*) => {
        &[$(syscall_table!(@row $nr $kind $($path)::+ $(($($note)*))?)),*]
    };
}

pub(crate) use syscall_table;

/// What an absent call does: it is counted and logged once, and fails with its errno.
fn absent(
    task: &mut sentry::task::CurrentTask,
    args: &sentry::platform::SyscallArgs,
    errno: abi::Errno,
) -> sentry::error::SysResult {
    task.kernel().stubs.hit(args.nr);
    sentry::error::err(errno)
}
