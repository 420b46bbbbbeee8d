//! The kernel, which lives as long as the fuzzer, and one container in it for each input.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use control::spec::{
    Capabilities, ContainerSpec, Limits, MountSource, MountSpec, Namespaces, Overlay, ProcessSpec, RootSpec,
};
use control::wire::Donated;
use control::{FdSlot, SignalTarget, Status};
use gofer::{Connection, Export, FdDir};
use sentry::kernel::{Kernel, KernelParts};
use sentry::mm::memfile::MemFile;
use sentry::syscall::SyscallTable;
use sentry::time::Clocks;

use super::platform::{Run, Scripted};
use super::program::{Program, Step, kind};
use super::{calls, memory};

/// How long an input may run, and how long it may wait for something before a signal comes.
const LIFE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_millis(2);
const SIGUSR1: u8 = 10;
/// Memory of all inputs that must be gone when they are.
const MOST_LEFT: u64 = 256 << 20;

struct Sandbox {
    kernel: Arc<Kernel>,
    platform: Arc<Scripted>,
    dir: PathBuf,
    count: AtomicU64,
}

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(Sandbox::new);

/// A container that does what the input says, from its beginning to its end.
pub fn run(input: &[u8]) {
    SANDBOX.run(Program::decode(input));
}

impl Sandbox {
    fn new() -> Self {
        let platform = Arc::new(Scripted::default());
        let kernel = Kernel::new(KernelParts {
            platform: Arc::clone(&platform) as _,
            memfile: MemFile::new(4 << 30).expect("a memory file"),
            syscalls: SyscallTable::new(syscalls::x86_64::TABLE),
            clocks: Clocks::new(),
            // Arguments are printed as well, to nowhere.
            strace: true,
            cpus: 2,
            memory_total: 1 << 30,
        });
        let base = ["/dev/shm", "/tmp"].into_iter().map(Path::new).find(|dir| dir.is_dir()).expect("a directory");
        let dir = base.join(format!("runsc-rs-fuzz-syscalls-{}", std::process::id()));
        let this = Self { kernel: kernel.expect("a kernel"), platform, dir, count: AtomicU64::new(0) };
        // The sandbox's own container, which never ends.
        this.prepare_files(&[]);
        let mut gofers = Vec::new();
        this.create("first", &mut gofers);
        this
    }

    fn run(&self, program: Program) {
        let id = format!("c{}", self.count.fetch_add(1, Ordering::Relaxed));
        self.prepare_files(&program.data);
        let tasks = self.kernel.root_pid_ns.used();
        let run = Run::new(program, prelude());
        self.platform.load(&run);
        let mut gofers = Vec::new();
        if self.create(&id, &mut gofers) {
            self.kernel.start_container(&id).expect("it was created");
            self.watch(&id, &run);
            self.kernel.destroy_container(&id).expect("it is there");
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.kernel.root_pid_ns.used() > tasks || gofers.iter().any(|gofer| !gofer.is_finished()) {
            assert!(
                Instant::now() < deadline,
                "something is left: {} tasks, before {tasks}",
                self.kernel.root_pid_ns.used()
            );
            std::thread::sleep(Duration::from_micros(50));
        }
        assert!(self.kernel.memory_used() < MOST_LEFT, "{} bytes are left", self.kernel.memory_used());
    }

    /// Waits for the end, but not for long; who sleeps gets a signal.
    fn watch(&self, id: &str, run: &Run) {
        let start = Instant::now();
        let (mut seen, mut since) = (run.events(), start);
        while start.elapsed() < LIFE && self.kernel.container_status(id).is_ok_and(|status| status != Status::Stopped) {
            std::thread::sleep(Duration::from_micros(60));
            let events = run.events();
            if events != seen {
                (seen, since) = (events, Instant::now());
            } else if since.elapsed() > PATIENCE {
                let _ = self.kernel.signal_container(id, SignalTarget::All, SIGUSR1);
                since = Instant::now();
            }
        }
    }

    /// What the gofer serves: the program, and a volume as it always begins.
    fn prepare_files(&self, data: &[u8]) {
        let volume = self.dir.join("volume");
        let _ = std::fs::remove_dir_all(&volume);
        std::fs::create_dir_all(volume.join("d/e")).expect("room");
        std::fs::create_dir_all(self.dir.join("root")).expect("room");
        std::fs::write(volume.join("f"), "content").expect("room");
        let _ = std::os::unix::fs::symlink("../..", volume.join("d/up"));
        let program = self.dir.join("root/x");
        let _ = std::fs::remove_file(&program);
        std::fs::write(&program, memory::elf(data)).expect("room");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("it is ours");
    }

    fn serve(&self, name: &str, files: &mut Vec<OwnedFd>, gofers: &mut Vec<JoinHandle<()>>) -> FdSlot {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("sockets");
        let root = std::fs::File::open(self.dir.join(name)).expect("there");
        let export = Export::new(root.into()).expect("a directory").device_nodes(false);
        let fds = FdDir::from_proc().expect("procfs");
        gofers.push(std::thread::spawn(move || {
            let _ = gofer::serve(vec![Connection { socket: theirs.into(), export }], fds, |_| Ok(()));
        }));
        files.push(ours.into());
        FdSlot(u32::try_from(files.len() - 1).expect("few"))
    }

    fn create(&self, id: &str, gofers: &mut Vec<JoinHandle<()>>) -> bool {
        let mut files = Vec::new();
        let connection = self.serve("root", &mut files, gofers);
        let volume = self.serve("volume", &mut files, gofers);
        let own = |kind: &str, destination: &str, data: &str| MountSpec {
            destination: destination.into(),
            source: MountSource::Own { kind: kind.into(), name: kind.into() },
            flags: 0,
            propagation: 0,
            data: data.into(),
        };
        let volume = MountSource::Gofer { connection: volume, directory: true, name: "/volume".into() };
        let mounts = vec![
            own("proc", "/proc", ""),
            own("sysfs", "/sys", ""),
            own("tmpfs", "/tmp", "size=8m,nr_inodes=1000"),
            own("tmpfs", "/dev/shm", "size=8m"),
            own("devpts", "/dev/pts", "newinstance,ptmxmode=0666"),
            own("mqueue", "/dev/mqueue", ""),
            MountSpec { source: volume, ..own("", "/vol", "") },
        ];
        // All but what stops the clock or the machine.
        let all = (1 << 41) - 1 & !(1 << 22 | 1 << 25);
        let process = ProcessSpec {
            args: vec!["/x".into()],
            cwd: "/tmp".into(),
            capabilities: Capabilities { bounding: all, effective: all, permitted: all, ..Capabilities::default() },
            ..ProcessSpec::default()
        };
        let spec = ContainerSpec {
            id: id.into(),
            hostname: None,
            domainname: None,
            root: RootSpec { connection, readonly: false, overlay: Overlay::Memory, propagation: 0 },
            mounts,
            process,
            sysctl: Vec::new(),
            masked_paths: Vec::new(),
            readonly_paths: Vec::new(),
            devices: Vec::new(),
            namespaces: Namespaces { pid: true, network: true, ipc: true, uts: true, ..Namespaces::default() },
            limits: Limits { memory: Some(64 << 20), pids: Some(24) },
            seccomp: None,
            uid_mappings: Vec::new(),
            gid_mappings: Vec::new(),
        };
        let mut files = Donated::from(files);
        match self.kernel.create_container(&spec, &mut files) {
            Ok(()) => true,
            Err(failure) => panic!("cannot make a container: {}", failure.message),
        }
    }
}

/// Gives the first task a descriptor of each kind and a handler for the signal that ends waits.
fn prelude() -> Vec<Step> {
    let small = |value: u16| (kind::SMALL, value);
    let number = |value: u16| (kind::NUMBER, value);
    let path = |value: u16| (kind::PATH, value);
    let at = |value: u16| (kind::DATA, value);
    let structure = |value: u16| (kind::STRUCTURE, value);
    let cwd = (kind::NEGATIVE, 100);
    let none = (kind::ZERO, 0);
    let open = |name: u16, flags: u16| (257, [cwd, path(name), number(flags), number(0o644), none, none]);
    let calls: [(u64, [(u8, u16); 6]); 24] = [
        (13, [small(SIGUSR1.into()), structure(15), none, small(8), none, none]),
        open(0, 0o102),
        (293, [at(0xf000), number(0o4000), none, none, none, none]),
        (53, [small(1), small(1), none, at(0xf000), none, none]),
        (41, [small(2), small(2), none, none, none, none]),
        (41, [small(2), small(1), none, none, none, none]),
        (41, [small(10), small(3), small(58), none, none, none]),
        (41, [small(16), small(3), none, none, none, none]),
        (290, [none, number(0o4000), none, none, none, none]),
        (283, [small(1), number(0o4000), none, none, none, none]),
        (289, [small(-1_i8 as u8 as u16), structure(16), small(8), number(0o4000), none, none]),
        (291, [none; 6]),
        (294, [number(0o4000), none, none, none, none, none]),
        (319, [path(15), small(2), none, none, none, none]),
        open(36, 0o402),
        open(23, 0),
        open(2, 0),
        open(6, 2),
        open(1, 0),
        (434, [small(1), none, none, none, none, none]),
        (425, [small(8), at(0xf100), none, none, none, none]),
        (254, [small(14), path(1), number(0xfff), none, none, none]),
        (233, [small(13), small(1), small(3), structure(19), none, none]),
        // The network and the mounts are the input's alone.
        (272, [(kind::CONSTANT, calls::NAMESPACES), none, none, none, none, none]),
    ];
    calls.into_iter().map(|(number, args)| Step::call(number, args)).collect()
}
