//! Signals: numbers, sets, actions, alternate stacks. What a signal carries is in [`crate::siginfo`], its frame in [`crate::sigframe`].
#![expect(missing_docs, reason = "the names are Linux's, see signal(7)")]

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::errno::Errno;
use crate::names::{flags, numbers};

/// Number of signals.
pub const NSIG: u32 = 64;
/// Bytes of a kernel signal set, the only `sigsetsize` calls accept.
pub const SIGSET_SIZE: u64 = 8;
/// First real-time signal as the kernel counts (the C library keeps the first two for itself).
pub const SIGRTMIN: u8 = 32;
/// Last real-time signal.
pub const SIGRTMAX: u8 = 64;

/// A signal number, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Signal(u8);

macro_rules! signals {
    ($($name:ident = $value:literal,)*) => {
        impl Signal {
            $(pub const $name: Self = Self($value);)*

            /// The name of a standard signal; `None` for a real-time signal.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some(stringify!($name)),)* _ => None }
            }
        }
    };
}

signals! {
    SIGHUP = 1,
    SIGINT = 2,
    SIGQUIT = 3,
    SIGILL = 4,
    SIGTRAP = 5,
    SIGABRT = 6,
    SIGBUS = 7,
    SIGFPE = 8,
    SIGKILL = 9,
    SIGUSR1 = 10,
    SIGSEGV = 11,
    SIGUSR2 = 12,
    SIGPIPE = 13,
    SIGALRM = 14,
    SIGTERM = 15,
    SIGSTKFLT = 16,
    SIGCHLD = 17,
    SIGCONT = 18,
    SIGSTOP = 19,
    SIGTSTP = 20,
    SIGTTIN = 21,
    SIGTTOU = 22,
    SIGURG = 23,
    SIGXCPU = 24,
    SIGXFSZ = 25,
    SIGVTALRM = 26,
    SIGPROF = 27,
    SIGWINCH = 28,
    SIGIO = 29,
    SIGPWR = 30,
    SIGSYS = 31,
}

impl Signal {
    /// The signal of a number from outside; EINVAL if there is none. Zero, which some calls take as a probe, is none.
    pub fn new(number: i32) -> Result<Self, Errno> {
        match u8::try_from(number) {
            Ok(n @ 1..=SIGRTMAX) => Ok(Self(n)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// The number less one: an index into tables of 64.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 - 1) as usize
    }

    /// Whether each instance is queued.
    #[must_use]
    pub const fn is_realtime(self) -> bool {
        self.0 >= SIGRTMIN
    }

    /// The set of this signal alone.
    #[must_use]
    pub const fn bit(self) -> SigSet {
        SigSet(1 << (self.0 - 1))
    }

    /// What happens when the action is SIG_DFL.
    #[must_use]
    pub const fn default_action(self) -> DefaultAction {
        match self {
            Self::SIGCHLD | Self::SIGURG | Self::SIGWINCH => DefaultAction::Ignore,
            Self::SIGCONT => DefaultAction::Continue,
            Self::SIGSTOP | Self::SIGTSTP | Self::SIGTTIN | Self::SIGTTOU => DefaultAction::Stop,
            Self::SIGQUIT
            | Self::SIGILL
            | Self::SIGTRAP
            | Self::SIGABRT
            | Self::SIGFPE
            | Self::SIGSEGV
            | Self::SIGBUS
            | Self::SIGSYS
            | Self::SIGXCPU
            | Self::SIGXFSZ => DefaultAction::Core,
            _ => DefaultAction::Terminate,
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "SIGRT_{}", self.0 - SIGRTMIN),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What SIG_DFL does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultAction {
    Ignore,
    Terminate,
    Core,
    Stop,
    Continue,
}

/// A set of signals, in the bits of the kernel's sigset_t.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct SigSet(pub u64);

impl SigSet {
    pub const EMPTY: Self = Self(0);
    pub const FULL: Self = Self(!0);
    /// What can be neither blocked, caught nor ignored.
    pub const UNBLOCKABLE: Self = Signal::SIGKILL.bit().union(Signal::SIGSTOP.bit());
    /// What stops a process by default or always.
    pub const STOP: Self =
        Signal::SIGSTOP.bit().union(Signal::SIGTSTP.bit()).union(Signal::SIGTTIN.bit()).union(Signal::SIGTTOU.bit());
    /// What a fault of the program itself raises; dequeued before anything else.
    pub const SYNCHRONOUS: Self = Signal::SIGSEGV
        .bit()
        .union(Signal::SIGBUS.bit())
        .union(Signal::SIGILL.bit())
        .union(Signal::SIGTRAP.bit())
        .union(Signal::SIGFPE.bit())
        .union(Signal::SIGSYS.bit());

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & signal.bit().0 != 0
    }

    pub const fn insert(&mut self, signal: Signal) {
        self.0 |= signal.bit().0;
    }

    pub const fn remove(&mut self, signal: Signal) {
        self.0 &= !signal.bit().0;
    }

    #[must_use]
    pub const fn with(self, signal: Signal) -> Self {
        self.union(signal.bit())
    }

    #[must_use]
    pub const fn without(self, signal: Signal) -> Self {
        self.difference(signal.bit())
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[must_use]
    pub const fn complement(self) -> Self {
        Self(!self.0)
    }

    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// As a mask: without SIGKILL and SIGSTOP.
    #[must_use]
    pub const fn blockable(self) -> Self {
        self.difference(Self::UNBLOCKABLE)
    }

    /// The lowest signal.
    #[must_use]
    pub const fn first(self) -> Option<Signal> {
        if self.0 == 0 { None } else { Some(Signal(self.0.trailing_zeros() as u8 + 1)) }
    }

    /// The signals in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        let mut rest = self;
        core::iter::from_fn(move || {
            let first = rest.first()?;
            rest.remove(first);
            Some(first)
        })
    }
}

impl From<Signal> for SigSet {
    fn from(signal: Signal) -> Self {
        signal.bit()
    }
}

impl FromIterator<Signal> for SigSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for SigSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.count_ones() > 32 {
            f.write_str("~")?;
            return self.complement().fmt(f);
        }
        f.write_str("[")?;
        for (i, signal) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            match signal.name() {
                Some(name) => f.write_str(name.strip_prefix("SIG").unwrap_or(name))?,
                None => write!(f, "RT_{}", signal.0 - SIGRTMIN)?,
            }
        }
        f.write_str("]")
    }
}

numbers! {
    /// The name of `how` of rt_sigprocmask(2).
    pub fn sigprocmask_how_name(u32) {
        SIG_BLOCK = 0,
        SIG_UNBLOCK = 1,
        SIG_SETMASK = 2,
    }
}

/// Handler: the default action.
pub const SIG_DFL: u64 = 0;
/// Handler: ignore.
pub const SIG_IGN: u64 = 1;

flags! {
    /// `sa_flags` of rt_sigaction(2).
    pub struct SaFlags: u64 {
        const SA_NOCLDSTOP = 0x1;
        const SA_NOCLDWAIT = 0x2;
        const SA_SIGINFO = 0x4;
        const SA_UNSUPPORTED = 0x400;
        const SA_EXPOSE_TAGBITS = 0x800;
        const SA_RESTORER = 0x4000000;
        const SA_ONSTACK = 0x8000000;
        const SA_RESTART = 0x10000000;
        const SA_NODEFER = 0x40000000;
        const SA_RESETHAND = 0x80000000;
    }
}

/// The kernel's `struct sigaction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SigAction {
    pub handler: u64,
    pub flags: SaFlags,
    pub restorer: u64,
    pub mask: SigSet,
}

/// `stack_t` of sigaltstack(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Stack {
    pub ss_sp: u64,
    pub ss_flags: u32,
    pub _pad: u32,
    pub ss_size: u64,
}

pub const SS_ONSTACK: u32 = 0x1;
pub const SS_DISABLE: u32 = 0x2;
pub const SS_AUTODISARM: u32 = 0x80000000;
/// The smallest alternate stack without wide vector state.
pub const MINSIGSTKSZ: u64 = 2048;

impl Stack {
    /// A stack that is switched off, as a new process has it.
    pub const DISABLED: Self = Self { ss_sp: 0, ss_flags: SS_DISABLE, _pad: 0, ss_size: 0 };

    /// Whether `sp` lies on this stack; the top counts, the bottom does not, as the kernel has it.
    #[must_use]
    pub const fn contains(&self, sp: u64) -> bool {
        sp > self.ss_sp && sp - self.ss_sp <= self.ss_size
    }
}

numbers! {
    /// The name of `sigev_notify`.
    pub fn sigev_name(i32) {
        SIGEV_SIGNAL = 0,
        SIGEV_NONE = 1,
        SIGEV_THREAD = 2,
        SIGEV_THREAD_ID = 4,
    }
}

/// `struct sigevent`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Sigevent {
    pub sigev_value: u64,
    pub sigev_signo: i32,
    pub sigev_notify: i32,
    pub sigev_notify_thread_id: i32,
    pub _pad: [u32; 11],
}

/// The two registers' worth that pselect6(2) takes as its last argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SigSetArg {
    pub addr: u64,
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use linux_raw_sys::general as raw;

    use super::*;

    #[test]
    fn layouts_match_the_kernel_headers() {
        assert_eq!(size_of::<SigAction>(), size_of::<raw::kernel_sigaction>());
        assert_eq!(size_of::<Stack>(), size_of::<raw::stack_t>());
        assert_eq!(core::mem::offset_of!(Stack, ss_size), core::mem::offset_of!(raw::stack_t, ss_size));
        assert_eq!(size_of::<Sigevent>(), size_of::<raw::sigevent>());
        assert_eq!(core::mem::offset_of!(Sigevent, sigev_notify), core::mem::offset_of!(raw::sigevent, sigev_notify));
    }

    #[test]
    fn numbers_from_outside_are_checked() {
        assert_eq!(Signal::new(9), Ok(Signal::SIGKILL));
        for bad in [i32::MIN, -1, 0, 65, 265] {
            assert_eq!(Signal::new(bad), Err(Errno::EINVAL));
        }
        assert_eq!(format!("{:?}", Signal::new(34).expect("a signal")), "SIGRT_2");
    }

    #[test]
    fn sets_iterate_in_order_and_print() {
        let set = SigSet::EMPTY.with(Signal::SIGTERM).with(Signal::SIGHUP).with(Signal(64));
        assert_eq!(set.iter().map(Signal::number).collect::<Vec<_>>(), [1, 15, 64]);
        assert_eq!(format!("{set:?}"), "[HUP TERM RT_32]");
        assert_eq!(format!("{:?}", SigSet::FULL.blockable()), "~[KILL STOP]");
        assert_eq!(SigSet::FULL.iter().count(), 64);
    }
}
