//! Packet sockets, packet(7): frames of one network device.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Frames that wait, in bytes.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;
/// PACKET_IGNORE_OUTGOING: what we send is not received by ourselves.
const IGNORE_OUTGOING: libc::c_int = 23;

/// A socket that receives and sends all frames of a device, without blocking.
pub fn open(index: i32) -> io::Result<OwnedFd> {
    let protocol = u16::to_be(libc::ETH_P_ALL as u16);
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
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
    let _ = set(&socket, libc::SOL_PACKET, IGNORE_OUTGOING, 1);
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

fn set(socket: &OwnedFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is live and as long as the call is told.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
