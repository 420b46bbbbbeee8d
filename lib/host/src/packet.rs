//! Packet sockets, packet(7): frames of one network device.
//!
//! Whoever reads sleeps in the call that takes the frames, several at a time; whoever sends does not wait.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use abi::Errno;

/// Frames that wait, in bytes.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;
/// PACKET_IGNORE_OUTGOING: what we send is not received by ourselves.
const IGNORE_OUTGOING: libc::c_int = 23;

/// What was sent and is still on its way, in bytes: some dozens of the longest frames.
const SEND_BUFFER: libc::c_int = 4 << 20;

/// The most frames that are taken at a time.
const BATCH: usize = 16;

/// A socket that receives and sends all frames of a device. In front of each is a `virtio_net_hdr`: frames
/// of many segments and without checksums pass both ways.
pub fn open(index: i32) -> io::Result<OwnedFd> {
    let protocol = u16::to_be(libc::ETH_P_ALL as u16);
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // Protocol 0: nothing is received before the socket is bound to its device.
    // SAFETY: the call takes numbers and returns a descriptor that nobody else owns, or -1.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was just opened and is owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // Neither is needed: the first for less loss, the second for less work.
    let _ = set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER);
    let _ = set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER);
    let _ = set(&socket, libc::SOL_PACKET, IGNORE_OUTGOING, 1);
    set(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
    // SAFETY: all zeros is a valid address of this kind.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index;
    // SAFETY: the address is live and as long as the call is told.
    let bound = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as libc::socklen_t)
    };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

/// Sends a frame, whole or not at all. EAGAIN if it has to wait, EINTR never.
pub fn send(socket: BorrowedFd<'_>, frame: &[u8]) -> Result<(), Errno> {
    // SAFETY: the bytes are live and as many as told; the kernel only reads them. There is no address.
    let sent = unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), libc::MSG_DONTWAIT) };
    if sent < 0 { Err(crate::errno::last()) } else { Ok(()) }
}

/// Room for frames that come in.
#[derive(Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    most: usize,
    lengths: [usize; BATCH],
    len: usize,
}

impl Frames {
    /// Room for some frames of up to `most` bytes; it takes no memory before they come.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { bytes: vec![0; BATCH * most], most, lengths: [0; BATCH], len: 0 }
    }

    /// Waits for frames and takes those that are there. Those taken before are gone.
    pub fn take(&mut self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        self.len = 0;
        let mut pieces = self
            .bytes
            .chunks_exact_mut(self.most)
            .map(|room| libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() });
        let mut pieces: [libc::iovec; BATCH] = std::array::from_fn(|_| {
            pieces.next().unwrap_or(libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 })
        });
        let mut messages: [libc::mmsghdr; BATCH] = std::array::from_fn(|n| {
            // SAFETY: all zeros is a valid header: no name, no pieces, no control messages.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = &raw mut pieces[n];
            message.msg_hdr.msg_iovlen = 1;
            message
        });
        // SAFETY: each header names one piece of `bytes`, all of them apart, live and as long as told; the kernel writes
        // there, and into the headers, no more than that.
        let taken = unsafe {
            libc::syscall(
                libc::SYS_recvmmsg,
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut::<libc::timespec>(),
            )
        };
        let Ok(taken) = usize::try_from(taken) else { return Err(crate::errno::last()) };
        self.len = taken.min(BATCH);
        for (length, message) in self.lengths.iter_mut().zip(&messages) {
            *length = (message.msg_len as usize).min(self.most);
        }
        Ok(())
    }

    /// The frames that were taken.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let rooms = self.bytes.chunks_exact(self.most).zip(&self.lengths);
        rooms.take(self.len).map(|(room, length)| &room[..*length])
    }
}

fn set(socket: &OwnedFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is live and as long as the call is told.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
