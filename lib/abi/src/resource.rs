//! getrlimit(2), getrusage(2), getpriority(2), ioprio_set(2).
#![expect(missing_docs, reason = "the names are Linux's, see the man pages")]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::errno::Errno;
use crate::names::numbers;
use crate::time::Timeval;

macro_rules! resources {
    ($($name:ident = $value:literal, $proc_name:literal, $unit:literal;)*) => {
        /// A resource of getrlimit(2).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[expect(non_camel_case_types, reason = "the names are Linux's")]
        #[repr(u8)]
        pub enum Resource {
            $($name = $value,)*
        }

        impl Resource {
            /// Every resource, in the order of their numbers.
            pub const ALL: [Self; RLIM_NLIMITS] = [$(Self::$name,)*];

            /// The name in /proc/PID/limits.
            #[must_use]
            pub const fn proc_name(self) -> &'static str {
                match self { $(Self::$name => $proc_name,)* }
            }

            /// The unit in /proc/PID/limits.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$name => $unit,)* }
            }

            /// The name as config.json has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

/// Number of resources.
pub const RLIM_NLIMITS: usize = 16;

resources! {
    RLIMIT_CPU = 0, "Max cpu time", "seconds";
    RLIMIT_FSIZE = 1, "Max file size", "bytes";
    RLIMIT_DATA = 2, "Max data size", "bytes";
    RLIMIT_STACK = 3, "Max stack size", "bytes";
    RLIMIT_CORE = 4, "Max core file size", "bytes";
    RLIMIT_RSS = 5, "Max resident set", "bytes";
    RLIMIT_NPROC = 6, "Max processes", "processes";
    RLIMIT_NOFILE = 7, "Max open files", "files";
    RLIMIT_MEMLOCK = 8, "Max locked memory", "bytes";
    RLIMIT_AS = 9, "Max address space", "bytes";
    RLIMIT_LOCKS = 10, "Max file locks", "locks";
    RLIMIT_SIGPENDING = 11, "Max pending signals", "signals";
    RLIMIT_MSGQUEUE = 12, "Max msgqueue size", "bytes";
    RLIMIT_NICE = 13, "Max nice priority", "";
    RLIMIT_RTPRIO = 14, "Max realtime priority", "";
    RLIMIT_RTTIME = 15, "Max realtime timeout", "us";
}

impl Resource {
    /// The resource of a number from outside; EINVAL if there is none.
    pub fn new(number: u32) -> Result<Self, Errno> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)).copied().ok_or(Errno::EINVAL)
    }
}

/// No limit.
pub const RLIM_INFINITY: u64 = u64::MAX;

/// `struct rlimit64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Rlimit {
    pub rlim_cur: u64,
    pub rlim_max: u64,
}

impl Rlimit {
    /// No limit, soft or hard.
    pub const INFINITY: Self = Self { rlim_cur: RLIM_INFINITY, rlim_max: RLIM_INFINITY };
}

/// `struct rusage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Rusage {
    pub ru_utime: Timeval,
    pub ru_stime: Timeval,
    pub ru_maxrss: i64,
    pub ru_ixrss: i64,
    pub ru_idrss: i64,
    pub ru_isrss: i64,
    pub ru_minflt: i64,
    pub ru_majflt: i64,
    pub ru_nswap: i64,
    pub ru_inblock: i64,
    pub ru_oublock: i64,
    pub ru_msgsnd: i64,
    pub ru_msgrcv: i64,
    pub ru_nsignals: i64,
    pub ru_nvcsw: i64,
    pub ru_nivcsw: i64,
}

numbers! {
    /// The name of `who` of getrusage(2).
    pub fn rusage_who_name(i32) {
        RUSAGE_SELF = 0,
        RUSAGE_CHILDREN = -1,
        RUSAGE_THREAD = 1,
    }
}

numbers! {
    /// The name of `which` of getpriority(2).
    pub fn prio_which_name(u32) {
        PRIO_PROCESS = 0,
        PRIO_PGRP = 1,
        PRIO_USER = 2,
    }
}

numbers! {
    /// The name of `which` of ioprio_get(2).
    pub fn ioprio_who_name(u32) {
        IOPRIO_WHO_PROCESS = 1,
        IOPRIO_WHO_PGRP = 2,
        IOPRIO_WHO_USER = 3,
    }
}

pub const IOPRIO_CLASS_SHIFT: u32 = 13;
pub const IOPRIO_CLASS_NONE: u32 = 0;
pub const IOPRIO_CLASS_RT: u32 = 1;
pub const IOPRIO_CLASS_BE: u32 = 2;
pub const IOPRIO_CLASS_IDLE: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_and_numbers_hold() {
        assert_eq!(size_of::<Rusage>(), size_of::<libc::rusage>());
        for (i, r) in Resource::ALL.iter().enumerate() {
            assert_eq!(*r as usize, i);
        }
        assert_eq!(Resource::new(16), Err(Errno::EINVAL));
    }
}
