//! The host calls of the sandbox process, each with its reason.

use control::spec::PlatformKind;
use host::filter::Arg::{Bits, Is};
use host::filter::{Absent, Rule, rules};
use platform::kvm::calls;

/// What a sandbox process may do on a platform, and with the host's network.
pub(crate) fn of(platform: PlatformKind, host_network: bool) -> Vec<&'static [Rule]> {
    let of_platform = match platform {
        PlatformKind::Ptrace => PTRACE,
        PlatformKind::Kvm => KVM,
        // Which one it is, is known before there is a filter.
        PlatformKind::Auto => &[],
        PlatformKind::Systrap
        | PlatformKind::SystrapPlain
        | PlatformKind::SystrapFutex
        | PlatformKind::SystrapEager => SYSTRAP,
    };
    let more = if host_network { HOST_NETWORK } else { &[] };
    [&[COMMON, of_platform], more].concat()
}

/// Not made executable: what runs is ours, and application code runs elsewhere.
const NOT_EXECUTABLE: host::filter::Arg = Bits(2, libc::PROT_EXEC as u64, 0);
/// A thread of ours, in no namespace of its own.
const A_THREAD: host::filter::Arg = Bits(0, THREAD | NAMESPACES, THREAD);
const THREAD: u64 =
    (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
const NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

/// Calls that do not exist.
pub(crate) const ABSENT: &[Absent] = &[
    Absent {
        call: libc::SYS_clone3,
        only: None,
        why: "so that the C library uses clone, whose arguments can be checked",
    },
    Absent {
        call: libc::SYS_openat,
        only: None,
        why: "the C library's heap asks for /proc/sys/vm/overcommit_memory before it shrinks, and makes do without",
    },
];

/// Stubs that are traced.
const PTRACE: &[Rule] = rules! {
    SYS_ptrace "drives the stubs of the ptrace platform";
};

/// Stubs that are notified of.
const SYSTRAP: &[Rule] = rules! {
    SYS_eventfd2 "what a stub hands over with where the host has no notifications";
    SYS_ioctl "calls of the stubs of the systrap platform"
        [Is(1, host::notify::RECEIVE)] [Is(1, host::notify::SEND)] [Is(1, host::notify::SET_FLAGS)];
};

/// A machine that is made; `/dev/kvm` itself is closed by then.
const KVM: &[Rule] = rules! {
    SYS_ioctl "runs virtual CPUs, makes more of them, gives the machine windows of files as memory; the vector state of one that changes hands"
        [Is(1, calls::RUN)] [Is(1, calls::CREATE_VCPU)] [Is(1, calls::SET_MEMORY)] [Is(1, calls::SET_CPUID)]
        [Is(1, calls::SET_MSRS)] [Is(1, calls::GET_SREGS)] [Is(1, calls::SET_SREGS)] [Is(1, calls::SET_XCRS)]
        [Is(1, calls::GET_XSAVE)] [Is(1, calls::SET_XSAVE)] [Is(1, calls::GET_EVENTS)] [Is(1, calls::SET_EVENTS)]
        [Is(1, calls::SET_ATTRIBUTE)];
};

/// What all need, and everything that has nothing to do with application code.
const COMMON: &[Rule] = rules! {
    // Application code: stubs, which are children of ours.
    SYS_wait4 "waits for a stub to stop or to end";
    SYS_kill "ends a stub" [Is(1, libc::SIGKILL as u32)];
    SYS_tgkill "takes a stub or virtual CPU out of application code, interrupts a thread of ours";
    SYS_sched_setaffinity "keeps a stub and its tracer on one CPU while they hand over often; a thread of ours runs anywhere";
    SYS_sched_getaffinity "finds the CPUs there are";

    // Memory of applications and of our own.
    SYS_mmap "windows of the memory file, donated files, our own heap and stacks" [NOT_EXECUTABLE];
    SYS_mprotect "guard pages of stacks, growth of the heap" [NOT_EXECUTABLE];
    SYS_munmap "windows, stacks";
    SYS_mremap "growth of large allocations";
    SYS_madvise "gives back stacks and heap; takes pages from a machine";
    SYS_brk "the heap";
    SYS_mincore "which pages of the memory file exist, for short ranges";
    SYS_memfd_create "memory files of applications with seals";
    SYS_ftruncate "the size of memory files and of donated files";
    SYS_fallocate "punches out freed ranges; an application's fallocate on a donated file";

    // Files that were given to us: donated by the gofer, standard files, sockets.
    SYS_read "standard files, event and signal descriptors, the random device";
    SYS_write "standard files, event descriptors, the debug log";
    SYS_pread64 "donated files, the memory file";
    SYS_pwrite64 "donated files, the memory file";
    SYS_preadv2 "standard files without waiting";
    SYS_lseek "the offset of standard files; SEEK_HOLE and SEEK_DATA of donated ones";
    SYS_fstat "attributes of descriptors, where the C library has them so";
    SYS_statx "attributes of descriptors, by empty path" [Bits(2, libc::AT_EMPTY_PATH as u64, libc::AT_EMPTY_PATH as u64)];
    SYS_newfstatat "attributes of descriptors, by empty path, where it has them so" [Bits(3, libc::AT_EMPTY_PATH as u64, libc::AT_EMPTY_PATH as u64)];
    SYS_fsync "an application's fsync of a donated file";
    SYS_fdatasync "an application's fdatasync of a donated file";
    SYS_close "descriptors";
    SYS_fcntl "duplicates, status flags and seals"
        [Is(1, libc::F_DUPFD_CLOEXEC as u32)] [Is(1, libc::F_GETFD as u32)] [Is(1, libc::F_GETFL as u32)]
        [Is(1, libc::F_SETFL as u32)] [Is(1, libc::F_ADD_SEALS as u32)] [Is(1, libc::F_GET_SEALS as u32)];
    SYS_ioctl "standard files that are terminals, and how much can be read"
        [Is(1, libc::FIONREAD as u32)] [Is(1, libc::TCGETS as u32)] [Is(1, libc::TCSETS as u32)]
        [Is(1, libc::TCSETSW as u32)] [Is(1, libc::TCSETSF as u32)] [Is(1, libc::TIOCGWINSZ as u32)]
        [Is(1, libc::TIOCSWINSZ as u32)];

    // Waiting.
    SYS_futex "locks and sleeping threads";
    SYS_poll "standard files";
    SYS_epoll_create1 "readiness of standard files";
    SYS_epoll_ctl "readiness of standard files";
    SYS_epoll_wait "readiness of standard files";
    SYS_clock_nanosleep "pauses of our own";
    SYS_restart_syscall "continues a wait that a signal interrupted";

    // The gofer and the control socket.
    SYS_sendmsg "requests to the gofer, replies to the command line";
    SYS_recvmsg "replies of the gofer with donated files, requests of the command line";
    SYS_sendto "requests to the gofer, frames of the network device" [Bits(4, u64::MAX, 0)];
    SYS_recvmmsg "frames of the network device, several at a time, without a timeout" [Bits(4, u64::MAX, 0)];
    SYS_recvfrom "replies of the gofer" [Bits(4, u64::MAX, 0)];
    SYS_accept4 "connections to the control socket";

    // Threads.
    SYS_clone "a thread for each task" [A_THREAD];
    SYS_set_robust_list "every thread";
    SYS_rseq "every thread";
    SYS_sigaltstack "every thread";
    SYS_gettid "every thread";
    SYS_getpid "our own pid, for tgkill";
    SYS_prctl "names of threads" [Is(0, libc::PR_SET_NAME as u32)];
    SYS_sched_yield "gives way to a stub";
    SYS_rt_sigprocmask "every thread";
    SYS_rt_sigaction "faults on windows of files that became shorter; the C library takes two with its first thread"
        [Is(0, libc::SIGBUS as u32)] [Is(0, libc::SIGSEGV as u32)] [Is(0, 32)] [Is(0, 33)];
    SYS_rt_sigreturn "returns from those";
    SYS_exit "a thread ends";
    SYS_exit_group "the sandbox ends";

    // Time, chance, accounting.
    SYS_clock_gettime "clocks that the vDSO does not serve, CPU time of threads";
    SYS_getrandom "random numbers";
};

/// A socket that never waits.
const fn kind(kind: i32) -> host::filter::Arg {
    Is(1, (kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).cast_unsigned())
}

const fn name(name: i32) -> host::filter::Arg {
    Is(2, name.cast_unsigned())
}

/// Options of `setsockopt`, by level.
macro_rules! options {
    ($($level:ident: $($name:expr),+;)*) => {
        &[$($(&[Is(1, libc::$level.cast_unsigned()), name($name)]),+),*]
    };
}

const V4: host::filter::Arg = Is(0, libc::AF_INET.cast_unsigned());
const V6: host::filter::Arg = Is(0, libc::AF_INET6.cast_unsigned());
const TCP: host::filter::Arg = Is(2, libc::IPPROTO_TCP.cast_unsigned());
const UDP: host::filter::Arg = Is(2, libc::IPPROTO_UDP.cast_unsigned());
const ICMP: host::filter::Arg = Is(2, libc::IPPROTO_ICMP.cast_unsigned());
const ICMPV6: host::filter::Arg = Is(2, libc::IPPROTO_ICMPV6.cast_unsigned());
const STREAM: host::filter::Arg = kind(libc::SOCK_STREAM);
const DATAGRAM: host::filter::Arg = kind(libc::SOCK_DGRAM);
const RAW: host::filter::Arg = kind(libc::SOCK_RAW);

/// What `setsockopt` may set: the kernel's list (`sentry::net::inet::host::SETTABLE`), which a test compares with this.
const SETTABLE: &[&[host::filter::Arg]] = options! {
    SOL_SOCKET: libc::SO_REUSEADDR, libc::SO_DONTROUTE, libc::SO_BROADCAST, libc::SO_SNDBUF, libc::SO_RCVBUF,
        libc::SO_KEEPALIVE, libc::SO_OOBINLINE, libc::SO_NO_CHECK, libc::SO_PRIORITY, libc::SO_LINGER, libc::SO_REUSEPORT,
        libc::SO_RCVLOWAT, libc::SO_BINDTODEVICE, libc::SO_TIMESTAMP, libc::SO_TIMESTAMPNS, libc::SO_RXQ_OVFL,
        libc::SO_PEEK_OFF, libc::SO_SELECT_ERR_QUEUE, libc::SO_MAX_PACING_RATE, libc::SO_INCOMING_CPU,
        libc::SO_BINDTOIFINDEX, 63, 64; // SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW
    IPPROTO_IP: libc::IP_TOS, libc::IP_TTL, libc::IP_HDRINCL, libc::IP_PKTINFO, libc::IP_MTU_DISCOVER, libc::IP_RECVERR,
        libc::IP_RECVTTL, libc::IP_RECVTOS, libc::IP_FREEBIND, libc::IP_RECVORIGDSTADDR, libc::IP_MINTTL,
        libc::IP_NODEFRAG, libc::IP_CHECKSUM, libc::IP_BIND_ADDRESS_NO_PORT, libc::IP_MULTICAST_IF,
        libc::IP_MULTICAST_TTL, libc::IP_MULTICAST_LOOP, libc::IP_ADD_MEMBERSHIP, libc::IP_DROP_MEMBERSHIP,
        libc::IP_ADD_SOURCE_MEMBERSHIP, libc::IP_DROP_SOURCE_MEMBERSHIP, 42, 45, // MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP
        libc::IP_MULTICAST_ALL, libc::IP_UNICAST_IF, 51; // IP_LOCAL_PORT_RANGE
    IPPROTO_TCP: libc::TCP_NODELAY, libc::TCP_MAXSEG, libc::TCP_CORK, libc::TCP_KEEPIDLE, libc::TCP_KEEPINTVL,
        libc::TCP_KEEPCNT, libc::TCP_SYNCNT, libc::TCP_LINGER2, libc::TCP_DEFER_ACCEPT, libc::TCP_WINDOW_CLAMP,
        libc::TCP_QUICKACK, libc::TCP_CONGESTION, libc::TCP_USER_TIMEOUT, libc::TCP_FASTOPEN, libc::TCP_TIMESTAMP, 25,
        30, 36; // TCP_NOTSENT_LOWAT, TCP_FASTOPEN_CONNECT, TCP_INQ
    IPPROTO_UDP: 1, libc::UDP_SEGMENT, libc::UDP_GRO; // UDP_CORK
    IPPROTO_IPV6: 7, libc::IPV6_UNICAST_HOPS, libc::IPV6_MULTICAST_IF, libc::IPV6_MULTICAST_HOPS, // IPV6_CHECKSUM
        libc::IPV6_MULTICAST_LOOP, libc::IPV6_ADD_MEMBERSHIP, libc::IPV6_DROP_MEMBERSHIP, libc::IPV6_MTU_DISCOVER,
        libc::IPV6_MTU, libc::IPV6_RECVERR, libc::IPV6_V6ONLY, 29, 42, 45, libc::IPV6_RECVPKTINFO, libc::IPV6_PKTINFO,
        libc::IPV6_RECVHOPLIMIT, libc::IPV6_HOPLIMIT, libc::IPV6_DONTFRAG, libc::IPV6_RECVTCLASS, libc::IPV6_TCLASS,
        libc::IPV6_AUTOFLOWLABEL, 76, libc::IPV6_FREEBIND; // IPV6_MULTICAST_ALL, MCAST_*, IPV6_UNICAST_IF
    IPPROTO_ICMPV6: 1; // ICMP6_FILTER
    SOL_RAW: 1; // ICMP_FILTER
};

/// What `--network=host` adds.
pub(crate) const HOST_NETWORK: &[&[Rule]] = &[HOST_CALLS, &[HOST_OPTIONS]];

/// What a container adds that asks an engine's name server. There are no sockets to connect but those that it was given for
/// that, in a network namespace without addresses.
pub(crate) const NAME_SERVER: &[Rule] = rules! {
    SYS_connect "questions to the engine's name server over TCP, and to end that" [Is(2, 16)];
};

/// Sockets of AF_INET and AF_INET6. Who may bind to low ports or send raw packets is decided by
/// the application's capabilities, in the kernel.
const HOST_CALLS: &[Rule] = rules! {
    SYS_socket "an application's Internet socket"
        [V4, STREAM, TCP] [V6, STREAM, TCP] [V4, DATAGRAM, UDP] [V6, DATAGRAM, UDP] [V4, DATAGRAM, ICMP]
        [V6, DATAGRAM, ICMPV6] [V4, RAW] [V6, RAW];
    SYS_bind "an application's bind";
    SYS_connect "an application's connect";
    SYS_listen "an application's listen";
    SYS_shutdown "an application's shutdown";
    SYS_getsockname "an application's getsockname";
    SYS_getpeername "an application's getpeername";
    SYS_getsockopt "an application's getsockopt"
        [Is(1, libc::SOL_SOCKET.cast_unsigned())] [Is(1, libc::IPPROTO_IP.cast_unsigned())]
        [Is(1, libc::IPPROTO_TCP.cast_unsigned())] [Is(1, libc::IPPROTO_UDP.cast_unsigned())]
        [Is(1, libc::IPPROTO_IPV6.cast_unsigned())] [Is(1, libc::IPPROTO_ICMPV6.cast_unsigned())]
        [Is(1, libc::SOL_RAW.cast_unsigned())];
    SYS_ioctl "the mark of urgent data, how much was not sent yet"
        [Is(1, abi::ioctl::SIOCATMARK)] [Is(1, abi::ioctl::TIOCOUTQ)];
};

const HOST_OPTIONS: Rule = Rule { call: libc::SYS_setsockopt, ways: SETTABLE, why: "an application's setsockopt" };
