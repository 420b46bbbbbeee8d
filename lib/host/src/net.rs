//! Internet sockets of the host, for sandboxes that have the host's network, socket(7). None of them ever waits.

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use abi::Errno;

use crate::errno::{cvt, cvt_len};

/// Room for any address (`struct sockaddr_storage`).
const ADDRESS: usize = 128;
/// Room for control messages.
const CONTROL: usize = 4096;
/// Words of that: its beginning has to be aligned like a `size_t`.
const CONTROL_WORDS: usize = CONTROL / 8;
/// Length of `struct cmsghdr`.
const HEADER: usize = 16;

/// A control message: level, type, data.
pub type Control = (i32, i32, Vec<u8>);

/// What came in.
#[derive(Debug, Default)]
pub struct Message {
    /// How many bytes, or with MSG_TRUNC how many there were.
    pub len: usize,
    /// Who sent it; empty if nobody says.
    pub from: Vec<u8>,
    /// Control messages.
    pub control: Vec<Control>,
    /// MSG_* bits.
    pub flags: i32,
}

/// socket(2).
pub fn open(family: u16, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: the call takes numbers only.
    let fd = cvt(unsafe { libc::socket(i32::from(family), kind, protocol) })?;
    // SAFETY: `fd` was just opened and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// bind(2).
pub fn bind(fd: BorrowedFd<'_>, addr: &[u8]) -> Result<(), Errno> {
    // SAFETY: the address is live and as long as the call is told.
    cvt(unsafe { libc::bind(fd.as_raw_fd(), addr.as_ptr().cast(), length(addr)) }).map(drop)
}

/// connect(2).
pub fn connect(fd: BorrowedFd<'_>, addr: &[u8]) -> Result<(), Errno> {
    // SAFETY: the address is live and as long as the call is told.
    cvt(unsafe { libc::connect(fd.as_raw_fd(), addr.as_ptr().cast(), length(addr)) }).map(drop)
}

/// listen(2).
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: the call takes numbers only.
    cvt(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(drop)
}

/// accept4(2), and who connected.
pub fn accept(fd: BorrowedFd<'_>) -> Result<(OwnedFd, Vec<u8>), Errno> {
    let mut accepted = -1;
    let from = address(|addr, len| {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: `address` gives a live buffer and its length.
        accepted = unsafe { libc::accept4(fd.as_raw_fd(), addr, len, flags) };
        accepted
    })?;
    // SAFETY: `accepted` was just opened and is owned by nobody else.
    Ok((unsafe { OwnedFd::from_raw_fd(accepted) }, from))
}

/// getsockname(2).
pub fn local_addr(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // SAFETY: `address` gives a live buffer and its length.
    address(|addr, len| unsafe { libc::getsockname(fd.as_raw_fd(), addr, len) })
}

/// getpeername(2).
pub fn peer_addr(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    // SAFETY: `address` gives a live buffer and its length.
    address(|addr, len| unsafe { libc::getpeername(fd.as_raw_fd(), addr, len) })
}

/// shutdown(2) with SHUT_*.
pub fn shutdown(fd: BorrowedFd<'_>, how: i32) -> Result<(), Errno> {
    // SAFETY: the call takes numbers only.
    cvt(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}

/// getsockopt(2), with room for `room` bytes.
pub fn option(fd: BorrowedFd<'_>, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; room];
    let mut len = length(&value);
    // SAFETY: the value is live and has the room that the call is told.
    cvt(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len) })?;
    value.truncate(usize::try_from(len).unwrap_or(0));
    Ok(value)
}

/// setsockopt(2).
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the value is live and as long as the call is told.
    cvt(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length(value)) }).map(drop)
}

/// The number that a request without an argument of its own answers: SIOCATMARK, TIOCOUTQ.
pub fn number(fd: BorrowedFd<'_>, request: u32) -> Result<i32, Errno> {
    if !matches!(request, abi::ioctl::SIOCATMARK | abi::ioctl::TIOCOUTQ) {
        return Err(Errno::ENOTTY);
    }
    let mut n: libc::c_int = 0;
    // SAFETY: the pointer is to a live integer, which is what these two requests write.
    cvt(unsafe { libc::ioctl(fd.as_raw_fd(), u64::from(request), &raw mut n) })?;
    Ok(n)
}

/// sendmsg(2).
pub fn send(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    to: Option<&[u8]>,
    control: &[Control],
    flags: i32,
) -> Result<usize, Errno> {
    let mut words = [0_u64; CONTROL_WORDS];
    let used = put_control(control, &mut words)?;
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all zeros is a valid message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    if let Some(to) = to {
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = length(to);
    }
    (message.msg_iov, message.msg_iovlen) = (&raw mut iov, 1);
    if used > 0 {
        (message.msg_control, message.msg_controllen) = (words.as_mut_ptr().cast(), used);
    }
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: all that the message points to is live, as long as it says, and only read.
    cvt_len(unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, flags) })
}

/// recvmsg(2).
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8], flags: i32) -> Result<Message, Errno> {
    let mut words = [0_u64; CONTROL_WORDS];
    let mut from = vec![0_u8; ADDRESS];
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeros is a valid message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_name, message.msg_namelen) = (from.as_mut_ptr().cast(), length(&from));
    (message.msg_iov, message.msg_iovlen) = (&raw mut iov, 1);
    (message.msg_control, message.msg_controllen) = (words.as_mut_ptr().cast(), CONTROL);
    // SAFETY: all that the message points to is live, exclusively borrowed and as long as it says.
    let len = cvt_len(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags | libc::MSG_DONTWAIT) })?;
    from.truncate(usize::try_from(message.msg_namelen).unwrap_or(0).min(ADDRESS));
    let control = get_control(&words, message.msg_controllen.min(CONTROL));
    Ok(Message { len, from, control, flags: message.msg_flags })
}

/// Writes control messages; returns how many bytes they take. ENOBUFS if they do not fit.
fn put_control(control: &[Control], words: &mut [u64; CONTROL_WORDS]) -> Result<usize, Errno> {
    let mut bytes = Vec::new();
    for (level, kind, data) in control {
        bytes.extend((HEADER + data.len()).to_ne_bytes());
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    if bytes.len() > CONTROL {
        return Err(Errno::ENOBUFS);
    }
    for (word, piece) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*piece);
    }
    Ok(bytes.len())
}

fn get_control(words: &[u64; CONTROL_WORDS], used: usize) -> Vec<Control> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).take(used).collect();
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    while let (Some(len), Some(numbers)) = (rest.first_chunk::<8>(), rest.get(8..HEADER)) {
        let len = usize::from_ne_bytes(*len);
        let Some(data) = rest.get(HEADER..len) else { break };
        let number = |at: usize| numbers[at..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        found.push((number(0), number(4), data.to_vec()));
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    found
}

/// Lets a call fill in an address.
fn address(call: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> i32) -> Result<Vec<u8>, Errno> {
    let mut words = [0_u64; ADDRESS / 8];
    let mut len = ADDRESS as libc::socklen_t;
    cvt(call(words.as_mut_ptr().cast(), &raw mut len))?;
    let len = usize::try_from(len).unwrap_or(0).min(ADDRESS);
    Ok(words.iter().flat_map(|word| word.to_ne_bytes()).take(len).collect())
}

fn length(bytes: &[u8]) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes.len()).unwrap_or(libc::socklen_t::MAX)
}

const _: () = assert!(size_of::<libc::cmsghdr>() == HEADER);

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn loopback() -> Vec<u8> {
        let mut addr = vec![0; 16];
        addr[..2].copy_from_slice(&2_u16.to_ne_bytes());
        addr[4..8].copy_from_slice(&[127, 0, 0, 1]);
        addr
    }

    #[test]
    fn a_datagram_arrives_with_its_address_and_control_messages() {
        let (a, b) = (open(2, 2, 17).unwrap(), open(2, 2, 17).unwrap());
        bind(a.as_fd(), &loopback()).unwrap();
        set_option(a.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTTL, &1_i32.to_ne_bytes()).unwrap();
        let ttl = (libc::IPPROTO_IP, libc::IP_TTL, 9_i32.to_ne_bytes().to_vec());
        let to = local_addr(a.as_fd()).unwrap();
        assert_eq!(receive(a.as_fd(), &mut [0; 9], 0).map(drop), Err(Errno::EAGAIN));
        assert_eq!(send(b.as_fd(), b"hello", Some(&to), std::slice::from_ref(&ttl), 0), Ok(5));
        let mut buffer = [0; 9];
        let got = receive(a.as_fd(), &mut buffer, 0).unwrap();
        assert_eq!((got.len, &buffer[..5]), (5, &b"hello"[..]));
        assert_eq!(got.from[4..8], [127, 0, 0, 1]);
        assert_eq!(got.control, [ttl]);
    }

    #[test]
    fn too_many_control_messages_are_refused() {
        let one = (0, 2, vec![0; 4080]);
        assert_eq!(put_control(std::slice::from_ref(&one), &mut [0; CONTROL_WORDS]), Ok(4096));
        assert_eq!(put_control(&[one.clone(), one], &mut [0; CONTROL_WORDS]), Err(Errno::ENOBUFS));
    }
}
