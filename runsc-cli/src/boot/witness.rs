//! A process for the host's kernel to kill when the kernel inside kills for want of memory.
//!
//! Engines learn of want of memory from the host's cgroup, which counts what its own kernel does: the kill inside, which
//! comes before the limit is reached, it does not see. So before it a process that has waited in the cgroup for that uses
//! up what is left of the limit. It is the one that the host chooses, and its end is the event that engines listen for. It
//! serves once: what engines remember of a container they remember for good.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use host::filter::{Arg, Filter, Otherwise, Rule};
use host::fork::{Side, fork_single_threaded};
use nix::sys::signal::SigSet;

/// The end that tells it.
#[derive(Debug)]
pub(super) struct Witness(UnixStream);

const SCORE: &str = "/proc/self/oom_score_adj";
/// Whoever has it is killed first.
const FIRST: &str = "1000";
/// More than is left of a limit when the kernel inside kills.
const MOST: usize = 48 << 20;
const PIECE: usize = 256 << 10;
const PAGE: usize = 4096;
/// How long the host may take to kill it: the kill inside waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Its host calls.
pub(crate) const RULES: &[Rule] = &[
    Rule { call: libc::SYS_read, ways: &[], why: "waits for its word" },
    Rule { call: libc::SYS_mmap, ways: &[&[Arg::Bits(2, libc::PROT_EXEC as u64, 0)]], why: "uses up memory" },
    Rule { call: libc::SYS_mremap, ways: &[], why: "uses up memory" },
    Rule { call: libc::SYS_munmap, ways: &[], why: "the heap's list of pieces moves" },
    Rule { call: libc::SYS_brk, ways: &[], why: "the heap" },
    Rule { call: libc::SYS_exit_group, ways: &[], why: "the end, if nobody kills it" },
];

impl Witness {
    /// Forks it. Called while there is one thread and /proc can be seen; what the caller gives up after that, the new
    /// process gives up itself.
    pub(super) fn fork() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let others = open_files(theirs.as_raw_fd())?;
        let before = fs::read_to_string(SCORE)?;
        fs::write(SCORE, FIRST)?;
        let forked = fork_single_threaded();
        if !matches!(forked, Ok(Side::Child)) {
            // Back to what it was: the sandbox is to outlive it.
            fs::write(SCORE, before.trim())?;
        }
        match forked? {
            Side::Parent(_) => Ok(Self(ours)),
            Side::Child => {
                drop(ours);
                let _ = wait(File::from(OwnedFd::from(theirs)), others);
                #[expect(clippy::disallowed_methods, reason = "the fork ends here, its maker's work is not its own")]
                std::process::exit(0)
            }
        }
    }

    /// Has the host see that memory is short, unless it has before. Returns when it has.
    pub(super) fn tell(&self) {
        // It is gone after the first time. Its end of the socket closes as it is killed.
        if (&self.0).write_all(&[1]).is_ok() {
            let _ = (&self.0).read(&mut [0]);
        }
    }
}

/// Its life. The root is about to be taken away, so there is no /proc here.
fn wait(mut word: File, others: Vec<RawFd>) -> io::Result<()> {
    SigSet::all().thread_block()?;
    // Whoever waits for the end of another one's connection shall not wait for us.
    for number in others {
        let _ = nix::unistd::close(number);
    }
    super::confine::give_up_rights().map_err(io::Error::other)?;
    let filter = Filter { rules: &[RULES], absent: &[], descriptor: None };
    host::seccomp::install(&filter.compile(Otherwise::Kill)?)?;
    if word.read(&mut [0])? == 0 {
        return Ok(());
    }
    let mut pieces = Vec::with_capacity(MOST / PIECE);
    for _ in 0..MOST / PIECE {
        let mut piece = vec![0_u8; PIECE];
        piece.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        pieces.push(std::hint::black_box(piece));
    }
    Ok(())
}

/// The files that are open, but for one.
fn open_files(but: RawFd) -> io::Result<Vec<RawFd>> {
    let entries = fs::read_dir("/proc/self/fd")?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|number| *number != but).collect())
}
