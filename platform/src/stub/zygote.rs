//! The small process that stubs are cloned from, so that no clone ever copies the sentry's memory.
//!
//! It was itself cloned from the sentry, unmapped everything but its text and control page, dropped its privileges and put
//! on a seccomp filter. It sleeps on the control page until stubs are wanted and puts their process ids there.
//! Neighbours: [`super::zygote_text`] has its code, [`super::pool`] owns it.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use abi::Errno;
use host::child::{self, Waited};
use host::futex;
use host::shared_pages::SharedPages;

use super::commands::{CommandPage, CommandPages};
use super::zygote_text::{self, ZygoteStart};
use super::{host_error, layout};
use crate::traits::PlatformError;

/// The zygote and the requests that it has not answered yet. `T` is what the requests' owner remembers with each.
#[derive(Debug)]
pub(crate) struct Zygote<T> {
    pid: i32,
    /// The text at offset 0, the control page after it.
    pages: SharedPages,
    commands: Arc<CommandPages>,
    /// In order.
    requests: VecDeque<(CommandPage, T)>,
    /// How many stubs were collected; requests and answers are numbered alike.
    collected: u32,
}

const PAGE: usize = abi::PAGE_SIZE as usize;
const CONTROL: usize = 2 * PAGE;

impl<T> Zygote<T> {
    pub(super) fn new(stub_text: &[u8]) -> Result<Self, PlatformError> {
        let commands = Arc::new(CommandPages::new()?);
        let pages = SharedPages::new("stub-text", 3 * PAGE).map_err(|e| host_error("stub text", e))?;
        for (start, text) in [(0, zygote_text::bytes()), (PAGE, stub_text)] {
            assert!(text.len() <= PAGE, "the text fits its page");
            for (offset, chunk) in (start..).step_by(8).zip(text.chunks(8)) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                pages.long(offset).store(u64::from_ne_bytes(word), Ordering::Relaxed);
            }
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
            Ok(pid) if pid > 0 => Ok(Self { pid, pages, commands, requests: VecDeque::new(), collected: 0 }),
            _ => Err(host_error("clone of the zygote", Errno::from_raw(-start.pid as i32))),
        }
    }

    /// How many stubs are on their way.
    pub(super) fn outstanding(&self) -> usize {
        self.requests.len()
    }

    /// Asks for one more stub, whose command page `plan` fills in.
    pub(super) fn request(
        &mut self,
        plan: impl FnOnce(&CommandPage) -> Result<T, PlatformError>,
    ) -> Result<(), PlatformError> {
        if self.requests.len() >= layout::RING as usize {
            return Ok(());
        }
        let page = self.commands.take().ok_or_else(|| host_error("command page", Errno::EAGAIN))?;
        let plan = plan(&page)?;
        let number = self.wanted().load(Ordering::Relaxed);
        self.entry(number).0.store(page.slot(), Ordering::Relaxed);
        self.requests.push_back((page, plan));
        self.wanted().store(number.wrapping_add(1), Ordering::Release);
        futex::wake(self.wanted(), 1);
        Ok(())
    }

    /// A stub that was made since, if any: its process id, its command page, and what was remembered with it.
    pub(super) fn collect(&mut self) -> Option<Result<(i32, CommandPage, T), PlatformError>> {
        if self.made().load(Ordering::Acquire) == self.collected {
            return None;
        }
        let pid = self.entry(self.collected).1.load(Ordering::Relaxed).cast_signed();
        let (page, plan) = self.requests.pop_front()?;
        self.collected = self.collected.wrapping_add(1);
        Some(if pid > 0 {
            Ok((pid, page, plan))
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
        self.pages.word(CONTROL + layout::WANTED)
    }

    fn made(&self) -> &AtomicU32 {
        self.pages.word(CONTROL + layout::MADE)
    }

    fn entry(&self, number: u32) -> (&AtomicU32, &AtomicU32) {
        let offset = CONTROL + layout::ENTRIES + (number % layout::RING) as usize * 8;
        (self.pages.word(offset), self.pages.word(offset + 4))
    }
}

impl<T> Drop for Zygote<T> {
    fn drop(&mut self) {
        child::kill_and_reap(self.pid);
        while let Some(made) = self.collect() {
            if let Ok((pid, ..)) = made {
                child::kill_and_reap(pid);
            }
        }
    }
}

/// Our process id, as stubs see it as their parent.
pub(crate) fn sentry_pid() -> u64 {
    std::process::id().into()
}

/// Makes the zygote on a thread that ends with the process: when the thread that is their parent ends, stubs are killed.
fn spawn(start: ZygoteStart) -> Result<(i32, ZygoteStart), PlatformError> {
    type Spawned = Result<(i32, ZygoteStart), Errno>;
    type Job = (ZygoteStart, Sender<Spawned>);
    static KEEPER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawn = |mut start: ZygoteStart| zygote_text::spawn_zygote(&mut start).map(|helper| (helper, start));
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
