//! Error numbers, errno(3), as the generic headers of Linux number them.
//!
//! The restart codes of signal handling are not errno values and do not live here: see `sentry::error`.

use core::fmt;

/// An error number that an application may see.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($(#[doc = $doc:literal])? $name:ident = $value:literal),* $(,)?) => {
        impl Errno {
            $($(#[doc = $doc])? pub const $name: Self = Self($value);)*

            /// The symbolic name, `"EINVAL"`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($value => stringify!($name),)* _ => "E?" }
            }
        }
    };
}

errnos! {
    #[doc = "operation not permitted"] EPERM = 1,
    #[doc = "no such file or directory"] ENOENT = 2,
    #[doc = "no such process"] ESRCH = 3,
    #[doc = "interrupted system call"] EINTR = 4,
    #[doc = "i/o error"] EIO = 5,
    #[doc = "no such device or address"] ENXIO = 6,
    #[doc = "argument list too long"] E2BIG = 7,
    #[doc = "exec format error"] ENOEXEC = 8,
    #[doc = "bad file number"] EBADF = 9,
    #[doc = "no child processes"] ECHILD = 10,
    #[doc = "try again"] EAGAIN = 11,
    #[doc = "out of memory"] ENOMEM = 12,
    #[doc = "permission denied"] EACCES = 13,
    #[doc = "bad address"] EFAULT = 14,
    #[doc = "block device required"] ENOTBLK = 15,
    #[doc = "device or resource busy"] EBUSY = 16,
    #[doc = "file exists"] EEXIST = 17,
    #[doc = "cross-device link"] EXDEV = 18,
    #[doc = "no such device"] ENODEV = 19,
    #[doc = "not a directory"] ENOTDIR = 20,
    #[doc = "is a directory"] EISDIR = 21,
    #[doc = "invalid argument"] EINVAL = 22,
    #[doc = "file table overflow"] ENFILE = 23,
    #[doc = "too many open files"] EMFILE = 24,
    #[doc = "not a typewriter"] ENOTTY = 25,
    #[doc = "text file busy"] ETXTBSY = 26,
    #[doc = "file too large"] EFBIG = 27,
    #[doc = "no space left on device"] ENOSPC = 28,
    #[doc = "illegal seek"] ESPIPE = 29,
    #[doc = "read-only file system"] EROFS = 30,
    #[doc = "too many links"] EMLINK = 31,
    #[doc = "broken pipe"] EPIPE = 32,
    #[doc = "math argument out of domain of func"] EDOM = 33,
    #[doc = "math result not representable"] ERANGE = 34,
    #[doc = "resource deadlock would occur"] EDEADLK = 35,
    #[doc = "file name too long"] ENAMETOOLONG = 36,
    #[doc = "no record locks available"] ENOLCK = 37,
    #[doc = "invalid system call number"] ENOSYS = 38,
    #[doc = "directory not empty"] ENOTEMPTY = 39,
    #[doc = "too many symbolic links encountered"] ELOOP = 40,
    #[doc = "no message of desired type"] ENOMSG = 42,
    #[doc = "identifier removed"] EIDRM = 43,
    #[doc = "channel number out of range"] ECHRNG = 44,
    #[doc = "level 2 not synchronized"] EL2NSYNC = 45,
    #[doc = "level 3 halted"] EL3HLT = 46,
    #[doc = "level 3 reset"] EL3RST = 47,
    #[doc = "link number out of range"] ELNRNG = 48,
    #[doc = "protocol driver not attached"] EUNATCH = 49,
    #[doc = "no csi structure available"] ENOCSI = 50,
    #[doc = "level 2 halted"] EL2HLT = 51,
    #[doc = "invalid exchange"] EBADE = 52,
    #[doc = "invalid request descriptor"] EBADR = 53,
    #[doc = "exchange full"] EXFULL = 54,
    #[doc = "no anode"] ENOANO = 55,
    #[doc = "invalid request code"] EBADRQC = 56,
    #[doc = "invalid slot"] EBADSLT = 57,
    #[doc = "bad font file format"] EBFONT = 59,
    #[doc = "device not a stream"] ENOSTR = 60,
    #[doc = "no data available"] ENODATA = 61,
    #[doc = "timer expired"] ETIME = 62,
    #[doc = "out of streams resources"] ENOSR = 63,
    #[doc = "machine is not on the network"] ENONET = 64,
    #[doc = "package not installed"] ENOPKG = 65,
    #[doc = "object is remote"] EREMOTE = 66,
    #[doc = "link has been severed"] ENOLINK = 67,
    #[doc = "advertise error"] EADV = 68,
    #[doc = "srmount error"] ESRMNT = 69,
    #[doc = "communication error on send"] ECOMM = 70,
    #[doc = "protocol error"] EPROTO = 71,
    #[doc = "multihop attempted"] EMULTIHOP = 72,
    #[doc = "rfs specific error"] EDOTDOT = 73,
    #[doc = "not a data message"] EBADMSG = 74,
    #[doc = "value too large for defined data type"] EOVERFLOW = 75,
    #[doc = "name not unique on network"] ENOTUNIQ = 76,
    #[doc = "file descriptor in bad state"] EBADFD = 77,
    #[doc = "remote address changed"] EREMCHG = 78,
    #[doc = "can not access a needed shared library"] ELIBACC = 79,
    #[doc = "accessing a corrupted shared library"] ELIBBAD = 80,
    #[doc = ".lib section in a.out corrupted"] ELIBSCN = 81,
    #[doc = "attempting to link in too many shared libraries"] ELIBMAX = 82,
    #[doc = "cannot exec a shared library directly"] ELIBEXEC = 83,
    #[doc = "illegal byte sequence"] EILSEQ = 84,
    #[doc = "interrupted system call should be restarted"] ERESTART = 85,
    #[doc = "streams pipe error"] ESTRPIPE = 86,
    #[doc = "too many users"] EUSERS = 87,
    #[doc = "socket operation on non-socket"] ENOTSOCK = 88,
    #[doc = "destination address required"] EDESTADDRREQ = 89,
    #[doc = "message too long"] EMSGSIZE = 90,
    #[doc = "protocol wrong type for socket"] EPROTOTYPE = 91,
    #[doc = "protocol not available"] ENOPROTOOPT = 92,
    #[doc = "protocol not supported"] EPROTONOSUPPORT = 93,
    #[doc = "socket type not supported"] ESOCKTNOSUPPORT = 94,
    #[doc = "operation not supported on transport endpoint"] EOPNOTSUPP = 95,
    #[doc = "protocol family not supported"] EPFNOSUPPORT = 96,
    #[doc = "address family not supported by protocol"] EAFNOSUPPORT = 97,
    #[doc = "address already in use"] EADDRINUSE = 98,
    #[doc = "cannot assign requested address"] EADDRNOTAVAIL = 99,
    #[doc = "network is down"] ENETDOWN = 100,
    #[doc = "network is unreachable"] ENETUNREACH = 101,
    #[doc = "network dropped connection because of reset"] ENETRESET = 102,
    #[doc = "software caused connection abort"] ECONNABORTED = 103,
    #[doc = "connection reset by peer"] ECONNRESET = 104,
    #[doc = "no buffer space available"] ENOBUFS = 105,
    #[doc = "transport endpoint is already connected"] EISCONN = 106,
    #[doc = "transport endpoint is not connected"] ENOTCONN = 107,
    #[doc = "cannot send after transport endpoint shutdown"] ESHUTDOWN = 108,
    #[doc = "too many references: cannot splice"] ETOOMANYREFS = 109,
    #[doc = "connection timed out"] ETIMEDOUT = 110,
    #[doc = "connection refused"] ECONNREFUSED = 111,
    #[doc = "host is down"] EHOSTDOWN = 112,
    #[doc = "no route to host"] EHOSTUNREACH = 113,
    #[doc = "operation already in progress"] EALREADY = 114,
    #[doc = "operation now in progress"] EINPROGRESS = 115,
    #[doc = "stale file handle"] ESTALE = 116,
    #[doc = "structure needs cleaning"] EUCLEAN = 117,
    #[doc = "not a xenix named type file"] ENOTNAM = 118,
    #[doc = "no xenix semaphores available"] ENAVAIL = 119,
    #[doc = "is a named type file"] EISNAM = 120,
    #[doc = "remote i/o error"] EREMOTEIO = 121,
    #[doc = "quota exceeded"] EDQUOT = 122,
    #[doc = "no medium found"] ENOMEDIUM = 123,
    #[doc = "wrong medium type"] EMEDIUMTYPE = 124,
    #[doc = "operation canceled"] ECANCELED = 125,
    #[doc = "required key not available"] ENOKEY = 126,
    #[doc = "key has expired"] EKEYEXPIRED = 127,
    #[doc = "key has been revoked"] EKEYREVOKED = 128,
    #[doc = "key was rejected by service"] EKEYREJECTED = 129,
    #[doc = "owner died"] EOWNERDEAD = 130,
    #[doc = "state not recoverable"] ENOTRECOVERABLE = 131,
    #[doc = "operation not possible due to rf-kill"] ERFKILL = 132,
    #[doc = "memory page has hardware error"] EHWPOISON = 133,
    #[doc = "operation is not supported (kernel internal)"] ENOTSUPP = 524,
}

impl Errno {
    /// EAGAIN under its other name.
    pub const EWOULDBLOCK: Self = Self::EAGAIN;
    /// EOPNOTSUPP under its other name.
    pub const ENOTSUP: Self = Self::EOPNOTSUPP;

    /// An error number from outside (a 9P peer, the host); anything that is not a valid errno becomes EIO.
    #[must_use]
    pub fn from_raw(raw: i32) -> Self {
        match u16::try_from(raw) {
            Ok(v @ 1..=4095) => Self(v),
            _ => Self::EIO,
        }
    }

    /// The positive number.
    #[must_use]
    pub const fn raw(self) -> i32 {
        self.0 as i32
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Errno {}
