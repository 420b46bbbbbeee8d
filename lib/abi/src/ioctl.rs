//! ioctl(2): how requests are encoded, and the requests. Structures stand with what they belong to.
#![expect(missing_docs, reason = "the names are Linux's, see ioctl(2)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::{flags, numbers};

pub const _IOC_NONE: u32 = 0;
pub const _IOC_WRITE: u32 = 1;
pub const _IOC_READ: u32 = 2;

/// A request of a direction, a type (by custom a letter), a number and the size of its argument.
#[must_use]
pub const fn ioc(dir: u32, kind: u8, number: u8, size: usize) -> u32 {
    assert!(size < 1 << 14, "an argument is at most 16 KiB");
    dir << 30 | (size as u32) << 16 | (kind as u32) << 8 | number as u32
}

/// `_IO`: no argument.
#[must_use]
pub const fn io(kind: u8, number: u8) -> u32 {
    ioc(_IOC_NONE, kind, number, 0)
}

/// `_IOR`: the application reads a `T`.
#[must_use]
pub const fn ior<T>(kind: u8, number: u8) -> u32 {
    ioc(_IOC_READ, kind, number, size_of::<T>())
}

/// `_IOW`: the application writes a `T`.
#[must_use]
pub const fn iow<T>(kind: u8, number: u8) -> u32 {
    ioc(_IOC_WRITE, kind, number, size_of::<T>())
}

/// `_IOWR`: both.
#[must_use]
pub const fn iowr<T>(kind: u8, number: u8) -> u32 {
    ioc(_IOC_READ | _IOC_WRITE, kind, number, size_of::<T>())
}

/// The direction bits of a request.
#[must_use]
pub const fn ioc_dir(request: u32) -> u32 {
    request >> 30
}

/// The type of a request.
#[must_use]
pub const fn ioc_type(request: u32) -> u8 {
    (request >> 8) as u8
}

/// The number of a request within its type.
#[must_use]
pub const fn ioc_nr(request: u32) -> u8 {
    request as u8
}

/// The size of a request's argument.
#[must_use]
pub const fn ioc_size(request: u32) -> usize {
    (request >> 16 & 0x3fff) as usize
}

numbers! {
    /// The name of a request.
    pub fn ioctl_name(u32) {
        TCGETS = 0x5401,
        TCSETS = 0x5402,
        TCSETSW = 0x5403,
        TCSETSF = 0x5404,
        TCGETA = 0x5405,
        TCSETA = 0x5406,
        TCSETAW = 0x5407,
        TCSETAF = 0x5408,
        TCSBRK = 0x5409,
        TCXONC = 0x540a,
        TCFLSH = 0x540b,
        TIOCEXCL = 0x540c,
        TIOCNXCL = 0x540d,
        TIOCSCTTY = 0x540e,
        TIOCGPGRP = 0x540f,
        TIOCSPGRP = 0x5410,
        TIOCOUTQ = 0x5411,
        TIOCSTI = 0x5412,
        TIOCGWINSZ = 0x5413,
        TIOCSWINSZ = 0x5414,
        TIOCMGET = 0x5415,
        TIOCMBIS = 0x5416,
        TIOCMBIC = 0x5417,
        TIOCMSET = 0x5418,
        TIOCGSOFTCAR = 0x5419,
        TIOCSSOFTCAR = 0x541a,
        FIONREAD = 0x541b,
        TIOCLINUX = 0x541c,
        TIOCCONS = 0x541d,
        TIOCGSERIAL = 0x541e,
        TIOCSSERIAL = 0x541f,
        TIOCPKT = 0x5420,
        FIONBIO = 0x5421,
        TIOCNOTTY = 0x5422,
        TIOCSETD = 0x5423,
        TIOCGETD = 0x5424,
        TCSBRKP = 0x5425,
        TIOCSBRK = 0x5427,
        TIOCCBRK = 0x5428,
        TIOCGSID = 0x5429,
        TCGETS2 = 0x802c542a,
        TCSETS2 = 0x402c542b,
        TCSETSW2 = 0x402c542c,
        TCSETSF2 = 0x402c542d,
        TIOCGPTN = 0x80045430,
        TIOCSPTLCK = 0x40045431,
        TIOCGDEV = 0x80045432,
        TIOCGPKT = 0x80045438,
        TIOCGPTLCK = 0x80045439,
        TIOCGEXCL = 0x80045440,
        TIOCGPTPEER = 0x5441,
        TIOCSIG = 0x40045436,
        TIOCGLCKTRMIOS = 0x5456,
        TIOCSLCKTRMIOS = 0x5457,
        FIONCLEX = 0x5450,
        FIOCLEX = 0x5451,
        FIOASYNC = 0x5452,
        FIOQSIZE = 0x5460,
        TIOCVHANGUP = 0x5437,
        FIOSETOWN = 0x8901,
        SIOCSPGRP = 0x8902,
        FIOGETOWN = 0x8903,
        SIOCGPGRP = 0x8904,
        SIOCATMARK = 0x8905,
        SIOCGIFNAME = 0x8910,
        SIOCGIFCONF = 0x8912,
        SIOCGIFFLAGS = 0x8913,
        SIOCSIFFLAGS = 0x8914,
        SIOCGIFADDR = 0x8915,
        SIOCSIFADDR = 0x8916,
        SIOCGIFDSTADDR = 0x8917,
        SIOCSIFDSTADDR = 0x8918,
        SIOCGIFBRDADDR = 0x8919,
        SIOCSIFBRDADDR = 0x891a,
        SIOCGIFNETMASK = 0x891b,
        SIOCSIFNETMASK = 0x891c,
        SIOCGIFMETRIC = 0x891d,
        SIOCSIFMETRIC = 0x891e,
        SIOCGIFMEM = 0x891f,
        SIOCGIFMTU = 0x8921,
        SIOCSIFMTU = 0x8922,
        SIOCSIFNAME = 0x8923,
        SIOCSIFHWADDR = 0x8924,
        SIOCGIFHWADDR = 0x8927,
        SIOCGIFINDEX = 0x8933,
        SIOCGIFPFLAGS = 0x8935,
        SIOCADDMULTI = 0x8931,
        SIOCDELMULTI = 0x8932,
        SIOCGIFTXQLEN = 0x8942,
        SIOCSIFTXQLEN = 0x8943,
        SIOCETHTOOL = 0x8946,
        SIOCGIFMAP = 0x8970,
        SIOCADDRT = 0x890b,
        SIOCDELRT = 0x890c,
        SIOCGARP = 0x8954,
        SIOCSARP = 0x8955,
        SIOCDARP = 0x8953,
        SIOCGSTAMP = 0x8906,
        SIOCGSTAMPNS = 0x8907,
        FS_IOC_GETFLAGS = 0x80086601,
        FS_IOC_SETFLAGS = 0x40086602,
        FS_IOC_GETVERSION = 0x80087601,
        FS_IOC_SETVERSION = 0x40087602,
        FS_IOC_FIEMAP = 0xc020660b,
        FS_IOC_FSGETXATTR = 0x801c581f,
        FS_IOC_FSSETXATTR = 0x401c5820,
        FS_IOC_GETFSLABEL = 0x81009431,
        FS_IOC_SETFSLABEL = 0x41009432,
        FICLONE = 0x40049409,
        FICLONERANGE = 0x4020940d,
        FIDEDUPERANGE = 0xc0189436,
        FIBMAP = 0x1,
        FIGETBSZ = 0x2,
        FIFREEZE = 0xc0045877,
        FITHAW = 0xc0045878,
        FITRIM = 0xc0185879,
        FS_IOC_ENABLE_VERITY = 0x40806685,
        FS_IOC_MEASURE_VERITY = 0xc0046686,
        FS_IOC_GETFSUUID = 0x80111500,
        FS_IOC_GETFSSYSFSPATH = 0x80811501,
        BLKROSET = 0x125d,
        BLKROGET = 0x125e,
        BLKRRPART = 0x125f,
        BLKGETSIZE = 0x1260,
        BLKFLSBUF = 0x1261,
        BLKRASET = 0x1262,
        BLKRAGET = 0x1263,
        BLKSSZGET = 0x1268,
        BLKBSZGET = 0x80081270,
        BLKBSZSET = 0x40081271,
        BLKGETSIZE64 = 0x80081272,
        BLKDISCARD = 0x1277,
        BLKIOMIN = 0x1278,
        BLKIOOPT = 0x1279,
        BLKALIGNOFF = 0x127a,
        BLKPBSZGET = 0x127b,
        BLKDISCARDZEROES = 0x127c,
        BLKSECDISCARD = 0x127d,
        BLKROTATIONAL = 0x127e,
        BLKZEROOUT = 0x127f,
        LOOP_SET_FD = 0x4c00,
        LOOP_CLR_FD = 0x4c01,
        LOOP_GET_STATUS64 = 0x4c05,
        LOOP_CTL_GET_FREE = 0x4c82,
        RNDGETENTCNT = 0x80045200,
        RNDADDTOENTCNT = 0x40045201,
        RNDGETPOOL = 0x80085202,
        RNDADDENTROPY = 0x40085203,
        RNDZAPENTCNT = 0x5204,
        RNDCLEARPOOL = 0x5206,
        RNDRESEEDCRNG = 0x5207,
        NS_GET_USERNS = 0xb701,
        NS_GET_PARENT = 0xb702,
        NS_GET_NSTYPE = 0xb703,
        NS_GET_OWNER_UID = 0xb704,
        KDGKBTYPE = 0x4b33,
        KDGETMODE = 0x4b3b,
        KDSETMODE = 0x4b3a,
        VT_OPENQRY = 0x5600,
        VT_GETMODE = 0x5601,
        VT_GETSTATE = 0x5603,
        EPIOCSPARAMS = 0x40088a01,
        EPIOCGPARAMS = 0x80088a02,
        TUNSETIFF = 0x400454ca,
        TUNGETIFF = 0x800454d2,
        TUNSETPERSIST = 0x400454cb,
        TUNSETOWNER = 0x400454cc,
        TUNGETFEATURES = 0x800454cf,
    }
}

flags! {
    /// Inode flags of FS_IOC_GETFLAGS, chattr(1).
    pub struct InodeFlags: u32 {
        const FS_SECRM_FL = 0x1;
        const FS_UNRM_FL = 0x2;
        const FS_COMPR_FL = 0x4;
        const FS_SYNC_FL = 0x8;
        const FS_IMMUTABLE_FL = 0x10;
        const FS_APPEND_FL = 0x20;
        const FS_NODUMP_FL = 0x40;
        const FS_NOATIME_FL = 0x80;
        const FS_ENCRYPT_FL = 0x800;
        const FS_INDEX_FL = 0x1000;
        const FS_JOURNAL_DATA_FL = 0x4000;
        const FS_NOTAIL_FL = 0x8000;
        const FS_DIRSYNC_FL = 0x10000;
        const FS_TOPDIR_FL = 0x20000;
        const FS_HUGE_FILE_FL = 0x40000;
        const FS_EXTENT_FL = 0x80000;
        const FS_VERITY_FL = 0x100000;
        const FS_NOCOW_FL = 0x800000;
        const FS_DAX_FL = 0x2000000;
        const FS_INLINE_DATA_FL = 0x10000000;
        const FS_PROJINHERIT_FL = 0x20000000;
        const FS_CASEFOLD_FL = 0x40000000;
    }
}

/// `struct fsxattr` of FS_IOC_FSGETXATTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Fsxattr {
    pub fsx_xflags: u32,
    pub fsx_extsize: u32,
    pub fsx_nextents: u32,
    pub fsx_projid: u32,
    pub fsx_cowextsize: u32,
    pub _pad: [u8; 8],
}

/// `struct file_clone_range` of FICLONERANGE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FileCloneRange {
    pub src_fd: i64,
    pub src_offset: u64,
    pub src_length: u64,
    pub dest_offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::termios::Termios2;

    #[test]
    fn requests_encode_as_the_kernel_headers_do() {
        assert_eq!(ior::<Termios2>(b'T', 0x2a), TCGETS2);
        assert_eq!(iow::<i32>(b'T', 0x31), TIOCSPTLCK);
        assert_eq!(io(b'T', 0x41), TIOCGPTPEER);
        assert_eq!(ior::<Fsxattr>(b'X', 31), FS_IOC_FSGETXATTR);
        assert_eq!(iow::<FileCloneRange>(0x94, 13), FICLONERANGE);
        assert_eq!(
            (ioc_dir(TCGETS2), ioc_type(TCGETS2), ioc_nr(TCGETS2), ioc_size(TCGETS2)),
            (_IOC_READ, b'T', 0x2a, 44)
        );
        assert_eq!(ioctl_name(TCGETS), Some("TCGETS"));
    }
}
