//! Terminals: the kernel's `struct termios`, its flags, control characters, window size.
#![expect(missing_docs, reason = "the names are Linux's, see termios(3)")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::names::flags;

/// Control characters in [`Termios`].
pub const NCCS: usize = 19;

/// The kernel's `struct termios` of TCGETS, 36 bytes (the C library's is larger).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Termios {
    pub c_iflag: InputFlags,
    pub c_oflag: OutputFlags,
    pub c_cflag: ControlFlags,
    pub c_lflag: LocalFlags,
    pub c_line: u8,
    pub c_cc: [u8; NCCS],
}

impl Default for Termios {
    /// The settings of a new terminal (`tty_std_termios`).
    fn default() -> Self {
        Self {
            c_iflag: InputFlags::ICRNL | InputFlags::IXON,
            c_oflag: OutputFlags::OPOST | OutputFlags::ONLCR,
            c_cflag: ControlFlags::from_bits_retain(B38400)
                | ControlFlags::CS8
                | ControlFlags::CREAD
                | ControlFlags::HUPCL,
            c_lflag: LocalFlags::ISIG
                | LocalFlags::ICANON
                | LocalFlags::ECHO
                | LocalFlags::ECHOE
                | LocalFlags::ECHOK
                | LocalFlags::ECHOCTL
                | LocalFlags::ECHOKE
                | LocalFlags::IEXTEN,
            c_line: 0,
            c_cc: DEFAULT_CC,
        }
    }
}

/// `struct termios2` of TCGETS2: with speeds of any value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Termios2 {
    pub base: Termios,
    pub c_ispeed: u32,
    pub c_ospeed: u32,
}

/// `struct termio` of TCGETA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Termio {
    pub c_iflag: u16,
    pub c_oflag: u16,
    pub c_cflag: u16,
    pub c_lflag: u16,
    pub c_line: u8,
    pub c_cc: [u8; 8],
    pub _pad: u8,
}

/// `struct winsize` of TIOCGWINSZ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Winsize {
    pub ws_row: u16,
    pub ws_col: u16,
    pub ws_xpixel: u16,
    pub ws_ypixel: u16,
}

flags! {
    /// `c_iflag`.
    pub struct InputFlags: u32 {
        const IGNBRK = 0x1;
        const BRKINT = 0x2;
        const IGNPAR = 0x4;
        const PARMRK = 0x8;
        const INPCK = 0x10;
        const ISTRIP = 0x20;
        const INLCR = 0x40;
        const IGNCR = 0x80;
        const ICRNL = 0x100;
        const IUCLC = 0x200;
        const IXON = 0x400;
        const IXANY = 0x800;
        const IXOFF = 0x1000;
        const IMAXBEL = 0x2000;
        const IUTF8 = 0x4000;
    }
}

flags! {
    /// `c_oflag`.
    pub struct OutputFlags: u32 {
        const OPOST = 0x1;
        const OLCUC = 0x2;
        const ONLCR = 0x4;
        const OCRNL = 0x8;
        const ONOCR = 0x10;
        const ONLRET = 0x20;
        const OFILL = 0x40;
        const OFDEL = 0x80;
        const NLDLY = 0x100;
        const CRDLY = 0x600;
        const TABDLY = 0x1800;
        const BSDLY = 0x2000;
        const VTDLY = 0x4000;
        const FFDLY = 0x8000;
    }
}

impl OutputFlags {
    /// TABDLY: expand tabs to spaces.
    pub const XTABS: Self = Self::from_bits_retain(0x1800);
}

flags! {
    /// `c_cflag`. The lowest bits (CBAUD) are the speed.
    pub struct ControlFlags: u32 {
        const CS8 = 0x30;
        const CS7 = 0x20;
        const CS6 = 0x10;
        const CSTOPB = 0x40;
        const CREAD = 0x80;
        const PARENB = 0x100;
        const PARODD = 0x200;
        const HUPCL = 0x400;
        const CLOCAL = 0x800;
        const CMSPAR = 0x40000000;
        const CRTSCTS = 0x80000000;
    }
}

impl ControlFlags {
    /// The bits of the character size.
    pub const CSIZE: Self = Self::from_bits_retain(0x30);
    /// The bits of the output speed.
    pub const CBAUD: Self = Self::from_bits_retain(0x100f);
    /// The bits of the input speed.
    pub const CIBAUD: Self = Self::from_bits_retain(0x100f << 16);
}

flags! {
    /// `c_lflag`.
    pub struct LocalFlags: u32 {
        const ISIG = 0x1;
        const ICANON = 0x2;
        const XCASE = 0x4;
        const ECHO = 0x8;
        const ECHOE = 0x10;
        const ECHOK = 0x20;
        const ECHONL = 0x40;
        const NOFLSH = 0x80;
        const TOSTOP = 0x100;
        const ECHOCTL = 0x200;
        const ECHOPRT = 0x400;
        const ECHOKE = 0x800;
        const FLUSHO = 0x1000;
        const PENDIN = 0x4000;
        const IEXTEN = 0x8000;
        const EXTPROC = 0x10000;
    }
}

pub const VINTR: usize = 0;
pub const VQUIT: usize = 1;
pub const VERASE: usize = 2;
pub const VKILL: usize = 3;
pub const VEOF: usize = 4;
pub const VTIME: usize = 5;
pub const VMIN: usize = 6;
pub const VSWTC: usize = 7;
pub const VSTART: usize = 8;
pub const VSTOP: usize = 9;
pub const VSUSP: usize = 10;
pub const VEOL: usize = 11;
pub const VREPRINT: usize = 12;
pub const VDISCARD: usize = 13;
pub const VWERASE: usize = 14;
pub const VLNEXT: usize = 15;
pub const VEOL2: usize = 16;

/// A control character that is switched off.
pub const _POSIX_VDISABLE: u8 = 0;

/// The control characters of a new terminal: ^C ^\ DEL ^U ^D 0 1 0 ^Q ^S ^Z 0 ^R ^O ^W ^V 0.
pub const DEFAULT_CC: [u8; NCCS] =
    [0o3, 0o34, 0o177, 0o25, 0o4, 0, 1, 0, 0o21, 0o23, 0o32, 0, 0o22, 0o17, 0o27, 0o26, 0, 0, 0];

pub const B0: u32 = 0x0;
pub const B50: u32 = 0x1;
pub const B75: u32 = 0x2;
pub const B110: u32 = 0x3;
pub const B134: u32 = 0x4;
pub const B150: u32 = 0x5;
pub const B200: u32 = 0x6;
pub const B300: u32 = 0x7;
pub const B600: u32 = 0x8;
pub const B1200: u32 = 0x9;
pub const B1800: u32 = 0xa;
pub const B2400: u32 = 0xb;
pub const B4800: u32 = 0xc;
pub const B9600: u32 = 0xd;
pub const B19200: u32 = 0xe;
pub const B38400: u32 = 0xf;
pub const BOTHER: u32 = 0x1000;
pub const B57600: u32 = 0x1001;
pub const B115200: u32 = 0x1002;
pub const B230400: u32 = 0x1003;
pub const B460800: u32 = 0x1004;
pub const B500000: u32 = 0x1005;
pub const B576000: u32 = 0x1006;
pub const B921600: u32 = 0x1007;
pub const B1000000: u32 = 0x1008;
pub const B1152000: u32 = 0x1009;
pub const B1500000: u32 = 0x100a;
pub const B2000000: u32 = 0x100b;
pub const B2500000: u32 = 0x100c;
pub const B3000000: u32 = 0x100d;
pub const B3500000: u32 = 0x100e;
pub const B4000000: u32 = 0x100f;

/// The speed in bits a second that a CBAUD value stands for; `None` for BOTHER and unknown values.
#[must_use]
pub fn baud_rate(cbaud: u32) -> Option<u32> {
    const LOW: [u32; 16] = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
    const HIGH: [u32; 15] = [
        57600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000,
        2_500_000, 3_000_000, 3_500_000, 4_000_000,
    ];
    match cbaud {
        0..=15 => LOW.get(cbaud as usize).copied(),
        0x1001..=0x100f => HIGH.get((cbaud - 0x1001) as usize).copied(),
        _ => None,
    }
}

pub const TCOOFF: u32 = 0;
pub const TCOON: u32 = 1;
pub const TCIOFF: u32 = 2;
pub const TCION: u32 = 3;
pub const TCIFLUSH: u32 = 0;
pub const TCOFLUSH: u32 = 1;
pub const TCIOFLUSH: u32 = 2;

/// Line disciplines of TIOCSETD.
pub const N_TTY: u32 = 0;

flags! {
    /// Packet mode's status byte, TIOCPKT.
    pub struct PacketStatus: u8 {
        const TIOCPKT_FLUSHREAD = 0x1;
        const TIOCPKT_FLUSHWRITE = 0x2;
        const TIOCPKT_STOP = 0x4;
        const TIOCPKT_START = 0x8;
        const TIOCPKT_NOSTOP = 0x10;
        const TIOCPKT_DOSTOP = 0x20;
        const TIOCPKT_IOCTL = 0x40;
    }
}

flags! {
    /// Modem lines, TIOCMGET.
    pub struct ModemLines: u32 {
        const TIOCM_LE = 0x1;
        const TIOCM_DTR = 0x2;
        const TIOCM_RTS = 0x4;
        const TIOCM_ST = 0x8;
        const TIOCM_SR = 0x10;
        const TIOCM_CTS = 0x20;
        const TIOCM_CAR = 0x40;
        const TIOCM_RNG = 0x80;
        const TIOCM_DSR = 0x100;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_kernel_headers() {
        use linux_raw_sys::general as raw;
        assert_eq!(size_of::<Termios>(), size_of::<raw::termios>());
        assert_eq!(size_of::<Termios2>(), size_of::<raw::termios2>());
        assert_eq!(size_of::<Termio>(), size_of::<raw::termio>());
        assert_eq!(baud_rate(B115200), Some(115_200));
        assert_eq!(baud_rate(B38400), Some(38400));
        assert_eq!(baud_rate(BOTHER), None);
    }
}
