//! The small process that stubs are cloned from, so that no clone ever copies the sentry's memory.
//!
//! It was itself cloned from the sentry, unmapped everything but its text and control page, dropped its privileges and put
//! on a seccomp filter. It sleeps on the control page until stubs are wanted and puts their process ids there.
//! Neighbours: [`super::text`] has its code, [`super::pool`] owns it.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use abi::Errno;
use host::child::{self, Waited};
use host::futex;
use host::shared_pages::SharedPages;

use super::host_error;
use super::memory::{CommandPages, Memory};
use super::text::{self, ZygoteStart};
use crate::traits::PlatformError;

/// The zygote and the requests that it has not answered yet.
#[derive(Debug)]
pub(super) struct Zygote {
    pid: i32,
    /// The text at offset 0, the control page after it.
    pages: SharedPages,
    commands: Arc<CommandPages>,
    /// How many stubs were collected; requests and answers are numbered alike.
    collected: u32,
}

const PAGE: usize = abi::PAGE_SIZE as usize;

impl Zygote {
    pub(super) fn new() -> Result<Self, PlatformError> {
        let commands = Arc::new(CommandPages::new()?);
        let pages = SharedPages::new("stub-text", 2 * PAGE).map_err(|e| host_error("stub text", e))?;
        let mut words = text::bytes().chunks(8);
        assert!(text::bytes().len() <= PAGE, "the stub text fits its page");
        for offset in (0..PAGE).step_by(8) {
            let mut word = [0; 8];
            let chunk = words.next().unwrap_or_default();
            word[..chunk.len()].copy_from_slice(chunk);
            pages.long(offset).store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
        let start = ZygoteStart {
            pid: 0,
            sentry: sentry_pid(),
            text_file: pages.file().as_raw_fd() as u64,
            command_file: commands.file().as_raw_fd() as u64,
        };
        let (helper, start) = spawn(start)?;
        let _ = child::wait(helper);
        match i32::try_from(start.pid) {
            Ok(pid) if pid > 0 => Ok(Self { pid, pages, commands, collected: 0 }),
            _ => Err(host_error("clone of the zygote", Errno::from_raw(-start.pid as i32))),
        }
    }

    /// How many stubs are on their way.
    pub(super) fn outstanding(&self) -> u32 {
        self.wanted().load(Ordering::Relaxed).wrapping_sub(self.collected)
    }

    /// Asks for one more stub.
    pub(super) fn request(&mut self) -> Result<(), PlatformError> {
        if self.outstanding() >= text::RING {
            return Ok(());
        }
        let slot = self.commands.take_slot().ok_or_else(|| host_error("command page", Errno::EAGAIN))?;
        let number = self.wanted().load(Ordering::Relaxed);
        self.entry(number).0.store(slot, Ordering::Relaxed);
        self.wanted().store(number.wrapping_add(1), Ordering::Release);
        futex::wake(self.wanted(), 1);
        Ok(())
    }

    /// A stub that was made since, if any.
    pub(super) fn collect(&mut self) -> Option<Result<Arc<Memory>, PlatformError>> {
        if self.made().load(Ordering::Acquire) == self.collected {
            return None;
        }
        let (slot, pid) = self.entry(self.collected);
        let (slot, pid) = (slot.load(Ordering::Relaxed), pid.load(Ordering::Relaxed).cast_signed());
        self.collected = self.collected.wrapping_add(1);
        let memory = Memory::new(&self.commands, slot);
        Some(if pid > 0 {
            memory.park(pid);
            Ok(Arc::new(memory))
        } else {
            Err(host_error("clone of a stub", Errno::from_raw(pid.wrapping_neg())))
        })
    }

    /// Sleeps until [`Self::collect`] may have something.
    pub(super) fn wait(&self) -> Result<(), PlatformError> {
        let _ = futex::wait(self.made(), self.collected, Duration::from_millis(100));
        match child::poll(self.pid) {
            Ok(Waited::Nothing) => Ok(()),
            _ => Err(PlatformError::Unavailable("the zygote process died".into())),
        }
    }

    fn wanted(&self) -> &AtomicU32 {
        self.pages.word(PAGE + text::WANTED)
    }

    fn made(&self) -> &AtomicU32 {
        self.pages.word(PAGE + text::MADE)
    }

    fn entry(&self, number: u32) -> (&AtomicU32, &AtomicU32) {
        let offset = PAGE + text::ENTRIES + (number % text::RING) as usize * 8;
        (self.pages.word(offset), self.pages.word(offset + 4))
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        child::kill_and_reap(self.pid);
        while self.collect().is_some() {}
    }
}

/// Our process id, as stubs see it as their parent.
pub(super) fn sentry_pid() -> u64 {
    std::process::id().into()
}

/// Makes the zygote on a thread that ends with the process: when the thread that is their parent ends, stubs are killed.
fn spawn(start: ZygoteStart) -> Result<(i32, ZygoteStart), PlatformError> {
    type Spawned = Result<(i32, ZygoteStart), Errno>;
    type Job = (ZygoteStart, Sender<Spawned>);
    static KEEPER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawn = |mut start: ZygoteStart| text::spawn_zygote(&mut start).map(|helper| (helper, start));
    let spawned = if nix::unistd::gettid() == nix::unistd::getpid() {
        spawn(start)
    } else {
        let keeper = KEEPER.get_or_init(|| {
            let (sender, jobs) = mpsc::channel::<Job>();
            std::thread::spawn(move || {
                for (start, answer) in jobs {
                    let _ = answer.send(spawn(start));
                }
            });
            sender
        });
        let (sender, answer) = mpsc::channel();
        let _ = keeper.send((start, sender));
        answer.recv().unwrap_or(Err(Errno::EAGAIN))
    };
    spawned.map_err(|errno| host_error("clone of the zygote", errno))
}
