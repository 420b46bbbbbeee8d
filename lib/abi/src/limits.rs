//! Limits of names, arguments and lists, limits.h.

/// Longest path, its NUL included.
pub const PATH_MAX: usize = 4096;
/// Longest name of a directory entry, without a NUL.
pub const NAME_MAX: usize = 255;
/// Most symbolic links one path walk follows.
pub const MAXSYMLINKS: u32 = 40;
/// Longest single argument or environment string of execve(2), its NUL included.
pub const MAX_ARG_STRLEN: usize = 32 * 4096;
/// Most arguments (and most environment strings) of execve(2).
pub const MAX_ARG_STRINGS: usize = 0x7fff_ffff;
/// Bytes for arguments and environment that execve(2) grants whatever RLIMIT_STACK says.
pub const ARG_MAX: usize = 128 * 1024;
/// Bytes of the arguments and environment that no RLIMIT_STACK exceeds: three quarters of 8 MiB.
pub const ARG_MAX_CAP: usize = 6 * 1024 * 1024;
/// Bytes of the first line of a script that execve(2) reads.
pub const BINPRM_BUF_SIZE: usize = 256;
/// Writes of up to this many bytes to a pipe are atomic.
pub const PIPE_BUF: usize = 4096;
/// Capacity of a new pipe.
pub const PIPE_DEFAULT_SIZE: usize = 65536;
/// Largest capacity an unprivileged process may give a pipe (/proc/sys/fs/pipe-max-size).
pub const PIPE_MAX_SIZE: usize = 1024 * 1024;
/// Most segments of a vectored call.
pub const IOV_MAX: usize = 1024;
/// Most supplementary groups.
pub const NGROUPS_MAX: usize = 65536;
/// Bytes of a task's name, its NUL included.
pub const TASK_COMM_LEN: usize = 16;
/// One past the largest pid the default setting allows.
pub const PID_MAX_DEFAULT: i32 = 32768;
/// One past the largest pid.
pub const PID_MAX_LIMIT: i32 = 4 * 1024 * 1024;
/// Default RLIMIT_NOFILE, soft.
pub const INR_OPEN_CUR: u64 = 1024;
/// Default RLIMIT_NOFILE, hard.
pub const INR_OPEN_MAX: u64 = 4096;
/// Most descriptors a process may have (/proc/sys/fs/nr_open).
pub const NR_OPEN: u64 = 1024 * 1024;
/// Bytes of a host or domain name.
pub const UTS_NAME_LEN: usize = 64;
/// Most mappings of an address space (/proc/sys/vm/max_map_count).
pub const MAX_MAP_COUNT: usize = 65530;
/// Largest file offset.
pub const MAX_LFS_FILESIZE: i64 = i64::MAX;
