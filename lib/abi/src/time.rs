//! Clocks and timers: times, intervals, clock numbers, adjtimex(2), times(2).
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::errno::Errno;
use crate::names::{flags, numbers};

pub const NSEC_PER_SEC: i64 = 1_000_000_000;
pub const NSEC_PER_USEC: i64 = 1_000;
pub const USEC_PER_SEC: i64 = 1_000_000;
/// Clock ticks a second as times(2) and /proc count them.
pub const USER_HZ: u64 = 100;

/// `struct timespec`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Timespec {
    pub tv_sec: i64,
    pub tv_nsec: i64,
}

impl Timespec {
    pub const ZERO: Self = Self { tv_sec: 0, tv_nsec: 0 };

    /// The time `ns` nanoseconds after zero; negative times have a negative second and a positive nanosecond.
    #[must_use]
    pub const fn from_nanos(ns: i64) -> Self {
        Self { tv_sec: ns.div_euclid(NSEC_PER_SEC), tv_nsec: ns.rem_euclid(NSEC_PER_SEC) }
    }

    /// Whether the nanoseconds lie in 0..10^9; the sign of the seconds does not matter.
    #[must_use]
    pub const fn is_normalized(self) -> bool {
        0 <= self.tv_nsec && self.tv_nsec < NSEC_PER_SEC
    }

    /// EINVAL unless this is a time that is not negative with nanoseconds in 0..10^9, as most calls demand.
    pub const fn validate(self) -> Result<Self, Errno> {
        if self.tv_sec < 0 || !self.is_normalized() { Err(Errno::EINVAL) } else { Ok(self) }
    }

    /// Nanoseconds, held at the largest (or smallest) value that fits.
    #[must_use]
    pub const fn to_nanos_saturating(self) -> i64 {
        self.tv_sec.saturating_mul(NSEC_PER_SEC).saturating_add(self.tv_nsec)
    }
}

/// `struct timeval`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Timeval {
    pub tv_sec: i64,
    pub tv_usec: i64,
}

impl Timeval {
    /// The time `ns` nanoseconds after zero, rounded down to a microsecond.
    #[must_use]
    pub const fn from_nanos(ns: i64) -> Self {
        Self { tv_sec: ns.div_euclid(NSEC_PER_SEC), tv_usec: ns.rem_euclid(NSEC_PER_SEC) / NSEC_PER_USEC }
    }

    /// The time `ns` nanoseconds after zero, rounded up to a microsecond, as the rest of a running timer is told.
    #[must_use]
    pub const fn from_nanos_up(ns: i64) -> Self {
        Self::from_nanos(ns.saturating_add(NSEC_PER_USEC - 1))
    }

    /// EINVAL unless this is a time that is not negative with microseconds in 0..10^6.
    pub const fn validate(self) -> Result<Self, Errno> {
        if self.tv_sec < 0 || self.tv_usec < 0 || self.tv_usec >= USEC_PER_SEC { Err(Errno::EINVAL) } else { Ok(self) }
    }

    /// Nanoseconds, held at the largest (or smallest) value that fits.
    #[must_use]
    pub const fn to_nanos_saturating(self) -> i64 {
        self.tv_sec.saturating_mul(NSEC_PER_SEC).saturating_add(self.tv_usec.saturating_mul(NSEC_PER_USEC))
    }
}

/// `struct itimerval` of setitimer(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Itimerval {
    pub it_interval: Timeval,
    pub it_value: Timeval,
}

/// `struct itimerspec` of timer_settime(2), timerfd_settime(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Itimerspec {
    pub it_interval: Timespec,
    pub it_value: Timespec,
}

/// `struct timezone` of gettimeofday(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Timezone {
    pub tz_minuteswest: i32,
    pub tz_dsttime: i32,
}

/// `struct utimbuf` of utime(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Utimbuf {
    pub actime: i64,
    pub modtime: i64,
}

/// `struct tms` of times(2), in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Tms {
    pub tms_utime: i64,
    pub tms_stime: i64,
    pub tms_cutime: i64,
    pub tms_cstime: i64,
}

/// `struct timex` of adjtimex(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Timex {
    pub modes: u32,
    pub _pad: u32,
    pub offset: i64,
    pub freq: i64,
    pub maxerror: i64,
    pub esterror: i64,
    pub status: i32,
    pub _pad2: u32,
    pub constant: i64,
    pub precision: i64,
    pub tolerance: i64,
    pub time: Timeval,
    pub tick: i64,
    pub ppsfreq: i64,
    pub jitter: i64,
    pub shift: i32,
    pub _pad3: u32,
    pub stabil: i64,
    pub jitcnt: i64,
    pub calcnt: i64,
    pub errcnt: i64,
    pub stbcnt: i64,
    pub tai: i32,
    pub _pad4: [u32; 11],
}

flags! {
    /// `modes` of [`Timex`].
    pub struct AdjFlags: u32 {
        const ADJ_OFFSET_SINGLESHOT = 0x8001;
        const ADJ_OFFSET_SS_READ = 0xa001;
        const ADJ_OFFSET = 0x1;
        const ADJ_FREQUENCY = 0x2;
        const ADJ_MAXERROR = 0x4;
        const ADJ_ESTERROR = 0x8;
        const ADJ_STATUS = 0x10;
        const ADJ_TIMECONST = 0x20;
        const ADJ_TAI = 0x80;
        const ADJ_SETOFFSET = 0x100;
        const ADJ_MICRO = 0x1000;
        const ADJ_NANO = 0x2000;
        const ADJ_TICK = 0x4000;
    }
}

pub const STA_PLL: i32 = 0x1;
pub const STA_UNSYNC: i32 = 0x40;
pub const STA_NANO: i32 = 0x2000;
pub const TIME_OK: i32 = 0;
pub const TIME_ERROR: i32 = 5;

numbers! {
    /// The name of a clock of clock_gettime(2).
    pub fn clock_name(i32) {
        CLOCK_REALTIME = 0,
        CLOCK_MONOTONIC = 1,
        CLOCK_PROCESS_CPUTIME_ID = 2,
        CLOCK_THREAD_CPUTIME_ID = 3,
        CLOCK_MONOTONIC_RAW = 4,
        CLOCK_REALTIME_COARSE = 5,
        CLOCK_MONOTONIC_COARSE = 6,
        CLOCK_BOOTTIME = 7,
        CLOCK_REALTIME_ALARM = 8,
        CLOCK_BOOTTIME_ALARM = 9,
        CLOCK_TAI = 11,
    }
}

numbers! {
    /// The name of an interval timer of setitimer(2).
    pub fn itimer_name(u32) {
        ITIMER_REAL = 0,
        ITIMER_VIRTUAL = 1,
        ITIMER_PROF = 2,
    }
}

/// timer_settime(2), clock_nanosleep(2): the time is absolute.
pub const TIMER_ABSTIME: u32 = 1;

/// A clock id made of a pid or tid (`clock_getcpuclockid(3)`): `(!pid) << 3 | per-thread bit 2 | which`.
#[must_use]
pub const fn cpu_clock(pid: i32, per_thread: bool, which: u32) -> i32 {
    (!pid << 3) | if per_thread { 4 } else { 0 } | (which & 3) as i32
}

/// A negative clock id taken apart: pid (0: the caller), whether it names a thread, and which time; `None` for an fd clock.
#[must_use]
pub const fn cpu_clock_parts(clock: i32) -> Option<(i32, bool, u32)> {
    let which = (clock & 3) as u32;
    if clock >= 0 || which == CPUCLOCK_MAX { None } else { Some((!(clock >> 3), clock & 4 != 0, which)) }
}

pub const CPUCLOCK_PROF: u32 = 0;
pub const CPUCLOCK_VIRT: u32 = 1;
pub const CPUCLOCK_SCHED: u32 = 2;
pub const CPUCLOCK_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_the_c_library() {
        assert_eq!(size_of::<Timex>(), size_of::<libc::timex>());
        assert_eq!(core::mem::offset_of!(Timex, tai), core::mem::offset_of!(libc::timex, tai));
        assert_eq!(core::mem::offset_of!(Timex, stabil), core::mem::offset_of!(libc::timex, stabil));
        assert_eq!(size_of::<Itimerval>(), 32);
        assert_eq!(size_of::<Tms>(), size_of::<libc::tms>());
    }

    #[test]
    fn nanoseconds_round_trip_and_saturate() {
        assert_eq!(Timespec::from_nanos(-1), Timespec { tv_sec: -1, tv_nsec: 999_999_999 });
        assert_eq!(Timespec::from_nanos(-1).to_nanos_saturating(), -1);
        assert_eq!(Timespec { tv_sec: i64::MAX, tv_nsec: 5 }.to_nanos_saturating(), i64::MAX);
        assert_eq!(Timeval::from_nanos_up(1), Timeval { tv_sec: 0, tv_usec: 1 });
        assert!(Timespec { tv_sec: 0, tv_nsec: NSEC_PER_SEC }.validate().is_err());
        assert_eq!(cpu_clock_parts(cpu_clock(42, true, CPUCLOCK_SCHED)), Some((42, true, CPUCLOCK_SCHED)));
    }
}
