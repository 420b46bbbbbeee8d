//! The screen and keyboard side of a pseudo-terminal, pty(7).

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::fcntl::OpenFlags;
use abi::ioctl::{TIOCGPKT, TIOCGPTLCK, TIOCGPTN, TIOCGPTPEER, TIOCPKT, TIOCSIG, TIOCSPTLCK};
use abi::poll::{POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM};
use abi::signal::Signal;
use abi::termios::PacketStatus;
use abi::{Errno, UserAddr};
use sync::WaitQueue;

use super::Tty;
use super::ioctl::{get, put};
use super::slave::Slave;
use crate::error::{Result, SysResult, err};
use crate::fs::devpts::Devpts;
use crate::io::{IoDst, IoSrc};
use crate::task::CurrentTask;
use crate::vfs::{File, FileOps};

/// How much one read or write handles at a time.
const CHUNK: usize = 8192;

/// The open master. Its end hangs the terminal up.
#[derive(Debug)]
pub struct Master {
    tty: Arc<Tty>,
    devpts: Arc<Devpts>,
}

impl Master {
    /// The master of a terminal of this devpts.
    #[must_use]
    pub fn new(tty: Arc<Tty>, devpts: Arc<Devpts>) -> Arc<Self> {
        Arc::new(Self { tty, devpts })
    }

    /// Whether all slaves were closed after one was open.
    fn is_alone(&self) -> bool {
        self.tty.slaves.load(Ordering::SeqCst) == 0 && self.tty.state.lock().slave_seen
    }
}

impl FileOps for Master {
    fn read(&self, _: &File, _: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        if dst.remaining() == 0 {
            return Ok(0);
        }
        let mut state = self.tty.state.lock();
        let packet = state.packet;
        if packet && !state.packet_status.is_empty() {
            let status = std::mem::replace(&mut state.packet_status, PacketStatus::empty());
            drop(state);
            return dst.put(&[status.bits()]);
        }
        drop(state);
        let room = dst.remaining().min(CHUNK) - usize::from(packet);
        let bytes = self.tty.screen(room);
        if bytes.is_empty() {
            return err(if self.is_alone() { Errno::EIO } else { Errno::EAGAIN });
        }
        let header = if packet { dst.put(&[0])? } else { 0 };
        Ok(header + dst.put(&bytes)?)
    }

    fn write(&self, _: &File, _: &CurrentTask, _: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let mut bytes = vec![0; src.remaining().min(CHUNK)];
        let mut look = src.clone();
        let n = look.take(&mut bytes)?;
        let taken = self.tty.keyboard(&bytes[..n]);
        if taken == 0 && n > 0 {
            return err(Errno::EAGAIN);
        }
        src.take_exact(&mut bytes[..taken])?;
        Ok(taken)
    }

    fn poll(&self, _: &File) -> u32 {
        let alone = self.is_alone();
        let state = self.tty.state.lock();
        let mut events = 0;
        if state.discipline.output_len() > 0 {
            events |= POLLIN | POLLRDNORM;
        }
        if state.packet && !state.packet_status.is_empty() {
            events |= POLLIN | POLLRDNORM | POLLPRI;
        }
        if alone {
            events |= POLLHUP;
        }
        if state.discipline.has_input_room() {
            events |= POLLOUT | POLLWRNORM;
        }
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.tty.master_queue)
    }

    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        let addr = UserAddr(arg);
        match cmd {
            TIOCGPTN => put(task, addr, &self.tty.number().unwrap_or(0)),
            TIOCSPTLCK => {
                let lock: i32 = get(task, addr)?;
                self.tty.locked.store(lock != 0, Ordering::SeqCst);
                Ok(0)
            }
            TIOCGPTLCK => put(task, addr, &i32::from(self.tty.locked.load(Ordering::SeqCst))),
            TIOCPKT => {
                let on: i32 = get(task, addr)?;
                let mut state = self.tty.state.lock();
                if on != 0 && !state.packet {
                    state.packet_status = PacketStatus::empty();
                }
                state.packet = on != 0;
                Ok(0)
            }
            TIOCGPKT => put(task, addr, &i32::from(self.tty.state.lock().packet)),
            TIOCSIG => {
                let signal = Signal::new(i32::try_from(arg).map_err(|_| Errno::EINVAL)?)?;
                if ![Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP].contains(&signal) {
                    return err(Errno::EINVAL);
                }
                self.tty.signal_foreground(signal);
                Ok(0)
            }
            TIOCGPTPEER => self.open_peer(task, arg),
            _ => self.tty.common_ioctl(task, cmd, arg, true),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Master {
    /// Opens the slave without walking a path, which may lead elsewhere by now.
    fn open_peer(&self, task: &CurrentTask, flags: u64) -> SysResult {
        let flags = OpenFlags::from_bits_retain(u32::try_from(flags).map_err(|_| Errno::EINVAL)?);
        let path = self.devpts.path_of(&self.tty).ok_or(Errno::EIO)?;
        let slave = Slave::new(&self.tty);
        if !flags.contains(OpenFlags::O_NOCTTY) {
            self.tty.adopt(task);
        }
        let file = File::new(slave, path, flags);
        let limit = task.group().limits().soft(abi::resource::Resource::RLIMIT_NOFILE);
        let fd = task.files().add(file, flags.contains(OpenFlags::O_CLOEXEC), limit)?;
        Ok(u64::try_from(fd).unwrap_or(0))
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.tty.hang_up();
        self.devpts.remove(&self.tty);
    }
}
