//! What the tasks find in memory: the input's bytes, structures that calls take, paths. It is the data of their program.

/// Where it is.
pub(super) const DATA: u64 = 0x1000_0000;
/// How much there is, of which the first part is in the file.
pub(super) const LEN: u64 = 0x1_0000;
const STRUCTURES: u64 = 0x2000;
const STRUCTURE: usize = 64;
const PATHS: u64 = 0x4000;
const PATH: usize = 64;

const NAMES: [&str; 54] = [
    "/tmp/f",
    "/tmp",
    "/",
    ".",
    "..",
    "",
    "/vol/f",
    "/vol/d",
    "/vol/d/e",
    "/vol/d/up",
    "/vol/new",
    "/tmp/a",
    "/tmp/b",
    "/tmp/d",
    "/tmp/d/e",
    "f",
    "/x",
    "/proc/self/exe",
    "/proc/self/fd/1",
    "/proc/self/maps",
    "/proc/self/mem",
    "/proc/self/ns/net",
    "/proc/self/ns/mnt",
    "/proc/self/status",
    "/proc/self/uid_map",
    "/proc/self/oom_score_adj",
    "/proc/self/attr/current",
    "/proc/self/fdinfo/3",
    "/proc/thread-self/comm",
    "/proc/sys/kernel/hostname",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/mounts",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/zero",
    "/dev/ptmx",
    "/dev/pts/0",
    "/dev/tty",
    "/dev/shm",
    "/dev/mqueue",
    "/q",
    "tmpfs",
    "proc",
    "overlay",
    "lowerdir=/vol,upperdir=/tmp/a,workdir=/tmp/b",
    "size=1m,mode=1777",
    "user.a",
    "security.capability",
    "system.posix_acl_access",
    "/tmp/s",
    "/tmp/f/",
    "keyring",
    "user",
];

/// The address of a path.
pub(super) fn path(index: usize) -> u64 {
    PATHS + DATA + ((index % NAMES.len()) * PATH) as u64
}

/// The address of a structure.
pub(super) fn structure(index: usize) -> u64 {
    STRUCTURES + DATA + ((index % structures().len()) * STRUCTURE) as u64
}

/// Each is what some calls take, as words.
fn structures() -> [[u64; 8]; 40] {
    let text = DATA + 0x1000;
    let handler = 0x40_0200;
    let at = |index: u64| DATA + STRUCTURES + index * STRUCTURE as u64;
    [
        [0; 8],
        [DATA, 16, DATA + 16, 4096, DATA + LEN - 8, 16, 0, 0], // iovec
        [DATA, 0x7fff_f000, text, 1, 0, u64::MAX, 1, 1],
        [0x0100_007f_1f90_0002, 0, 0, 0, 0, 0, 0, 0], // sockaddr_in
        [0x901f_000a, 0, 0x0100_0000_0000_0000, 0, 0, 0, 0, 0], // sockaddr_in6
        [0x732f_706d_742f_0001, 0, 0, 0, 0, 0, 0, 0], // sockaddr_un
        [0x0000_6261_0000_0001, 0, 0, 0, 0, 0, 0, 0],
        [0x10, 0, 0, 0, 0, 0, 0, 0],                // sockaddr_nl
        [at(3), 16, at(1), 2, DATA + 64, 64, 0, 0], // msghdr
        [0, 0, at(1), 1, at(10), 24, 0, 0],
        [20, 0x1_0000_0001, 3, 0, 0, 0, 0, 0], // SCM_RIGHTS
        [28, 0x2_0000_0001, 0, 0, 0, 0, 0, 0], // SCM_CREDENTIALS
        [0, 1000, 0, 1000, 0, 0, 0, 0],        // timespec, itimerspec
        [0, 0, 0, 1, 0, 0, 0, 0],
        [u64::MAX, 1_000_000_000, 1 << 62, 999_999_999, 0, 0, 0, 0],
        [handler, 0x0400_0004, 0x40_0300, 0, 0, 0, 0, 0], // sigaction
        [1, 0, 0, 0, 0, 0, 0, 0],
        [5, 0xa_0000_0000, 0, 0, 0, 0, 0, 0], // sigevent
        [5, 0, 0x7f, 0, 0, 0, 0, 0],
        [0x1_0000_0001, 5, 0x8000_0019, 7, 0, 0, 0, 0], // epoll_event
        [0x5_0000_0003, 0x1_0000_0004, 0x4_0000_0005, 0x7_0000_0006, 0, 0, 0, 0], // pollfd
        [0x100, 0, 0, 0, 17, DATA + 0x8000, 0x1000, 0], // clone_args
        [0x42, 0o600, 0, 0, 0, 0, 0, 0],                // open_how
        [0x42, 0, 0x1f, 0, 0, 0, 0, 0],
        [1, 0, 16, 0, 0, 0, 0, 0], // flock
        [0, 8, u64::MAX, 0, 0, 0, 0, 0],
        [0xffff_0000, 0x1000_0001_0000, 0, 0, 0, 0, 0, 0], // sembuf
        [1, at(28), 0, 0, 0, 0, 0, 0],                     // sock_fprog
        [0x7fff_0000_0000_0006, 0, 0, 0, 0, 0, 0, 0],
        [at(29), 0, 0, 0, 0, 0, 0, 0],                     // robust list, of itself
        [0x6f6c, 0, 0x0100_007f_0000_0002, 0, 0, 0, 0, 0], // ifreq
        [0x7379_7374_656d, 0, 0, 0, 0, 0, 0, 0],
        [0x10_0000_0014, 0x301_0012, 0, 0, 0, 0, 0, 0], // nlmsghdr: RTM_GETLINK
        [0x1a_0000_002c, 0x0605_0010, 0, 0, 0x0008_0003_0000_0a00, 0, 0, 0],
        [0x8_2008_0522, 0, 0, 0, 0, 0, 0, 0], // capability header
        [u64::MAX, u64::MAX, u64::MAX, 0, 0, 0, 0, 0],
        [path(0), path(1), path(16), 0, 0, 0, 0, 0], // argv
        [16, 8192, 0, 0, 0, 0, 0, 0],                // mq_attr
        [0x30, 0, 0, 0, 0, 0, 0, 0],                 // sched_attr
        [0, 0, 0xffff_ffff, 1 << 20, 1 << 32, 1 << 47, u64::MAX, 4096],
    ]
}

/// The program: an ELF file that is all data.
pub(super) fn elf(data: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 0x1000];
    let put = |file: &mut Vec<u8>, at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(&mut file, 0, b"\x7fELF\x02\x01\x01");
    for (at, half) in [(16, 2_u16), (18, 62), (20, 1), (52, 64), (54, 56), (56, 2)] {
        put(&mut file, at, &half.to_le_bytes());
    }
    put(&mut file, 24, &0x40_0100_u64.to_le_bytes());
    put(&mut file, 32, &64_u64.to_le_bytes());
    let image = STRUCTURES as usize + 0x3000;
    for (index, (flags, offset, addr, in_file, len)) in
        [(5_u32, 0_u64, 0x40_0000_u64, 0x1000_u64, 0x1000_u64), (6, 0x1000, DATA, image as u64, LEN)]
            .into_iter()
            .enumerate()
    {
        let at = 64 + index * 56;
        put(&mut file, at, &1_u32.to_le_bytes());
        put(&mut file, at + 4, &flags.to_le_bytes());
        for (word, value) in [offset, addr, addr, in_file, len, 0x1000].into_iter().enumerate() {
            put(&mut file, at + 8 + word * 8, &value.to_le_bytes());
        }
    }
    file.resize(0x1000 + image, 0);
    put(&mut file, 0x1000, &data[..data.len().min(STRUCTURES as usize)]);
    for (index, words) in structures().iter().enumerate() {
        for (word, value) in words.iter().enumerate() {
            put(&mut file, 0x1000 + STRUCTURES as usize + index * STRUCTURE + word * 8, &value.to_le_bytes());
        }
    }
    for (index, name) in NAMES.iter().enumerate() {
        put(&mut file, 0x1000 + PATHS as usize + index * PATH, name.as_bytes());
    }
    file
}
