//! A socket as an open file.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use abi::Errno;
use abi::ioctl::{FIONREAD, SIOCGSTAMP, SIOCGSTAMPNS};
use abi::socket::{AF_INET, AF_INET6, AF_PACKET, MsgFlags};
use sync::WaitQueue;

use super::message::{Ancillary, RecvMsg, SendMsg};
use super::socket::Socket;
use crate::error::{Result, SysResult};
use crate::io::{IoDst, IoSrc};
use crate::mm::Mappable;
use crate::task::CurrentTask;
use crate::user::UserPtr;
use crate::vfs::{File, FileOps};

/// The file of a socket. The socket is closed with it, even if a listener's backlog or a peer still refers to it.
#[derive(Debug)]
pub struct SocketFile {
    socket: Arc<dyn Socket>,
}

impl SocketFile {
    /// The file of this socket.
    #[must_use]
    pub fn new(socket: Arc<dyn Socket>) -> Arc<Self> {
        Arc::new(Self { socket })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Arc<dyn Socket> {
        &self.socket
    }

    /// Sends, and raises SIGPIPE where Linux does.
    pub fn send(&self, task: &CurrentTask, message: &mut SendMsg<'_, '_>) -> Result<usize> {
        // What waits to be received is kept by us.
        crate::kernel::room::check()?;
        let sent = self.socket.send(task, message);
        if matches!(&sent, Err(e) if e.is(Errno::EPIPE)) && !message.flags.contains(MsgFlags::MSG_NOSIGNAL) {
            task.raise_sigpipe();
        }
        sent
    }
}

impl FileOps for SocketFile {
    fn read(&self, file: &File, task: &CurrentTask, _: u64, dst: &mut IoDst<'_>) -> Result<usize> {
        if dst.remaining() == 0 && self.socket.kind() == super::Kind::Stream {
            return Ok(0);
        }
        let flags = if file.nonblocking() { MsgFlags::MSG_DONTWAIT } else { MsgFlags::empty() };
        Ok(self.socket.recv(task, &mut RecvMsg { dst, flags, wants_ancillary: false })?.len)
    }

    fn write(&self, file: &File, task: &CurrentTask, _: &mut u64, src: &mut IoSrc<'_>) -> Result<usize> {
        let blocking = !file.nonblocking();
        self.send(
            task,
            &mut SendMsg { src, to: None, ancillary: Ancillary::default(), flags: MsgFlags::empty(), blocking },
        )
    }

    fn poll(&self, _: &File) -> u32 {
        self.socket.poll()
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(self.socket.wait_queue())
    }

    fn timeout(&self, write: bool, _: usize) -> Option<Duration> {
        let options = self.socket.options();
        if write { options.send_timeout() } else { options.receive_timeout() }
    }

    fn ioctl(&self, _: &File, task: &CurrentTask, cmd: u32, arg: u64) -> SysResult {
        if cmd == FIONREAD {
            let n = i32::try_from(self.socket.readable_bytes()?).unwrap_or(i32::MAX);
            task.mm().write(UserPtr::new(abi::UserAddr(arg)), &n)?;
            return Ok(0);
        }
        if matches!(cmd, SIOCGSTAMP | SIOCGSTAMPNS) && matches!(self.socket.family(), AF_INET | AF_INET6 | AF_PACKET) {
            let stamp = self.socket.options().last_stamp.show(cmd == SIOCGSTAMPNS).ok_or(Errno::ENOENT)?;
            task.mm().write_bytes(abi::UserAddr(arg), &stamp)?;
            return Ok(0);
        }
        self.socket.ioctl(task, cmd, arg)
    }

    fn mappable(&self, _: &File) -> Result<Arc<dyn Mappable>> {
        self.socket.mappable()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.socket.close();
    }
}
