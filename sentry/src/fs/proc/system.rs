//! The files of /proc that are about the system: what the container may count on, never what the host has.

use std::fmt::Write;
use std::sync::Arc;

use abi::stat::S_IFREG;
use abi::time::NSEC_PER_SEC;
use host::cpu::CpuInfo;

use crate::error::Result;
use crate::fs::pseudo::Tree;
use crate::fs::pseudo::dir::StaticDir;
use crate::fs::pseudo::link::Link;
use crate::fs::pseudo::text::TextFile;
use crate::ipc::IpcSpace;
use crate::kernel::Kernel;
use crate::kernel::version::proc_version;
use crate::task::CurrentTask;
use crate::vfs::Inode;

type Show = fn(&CurrentTask) -> Result<Vec<u8>>;

/// Files that anybody may read.
const TEXTS: &[(&str, Show)] = &[
    ("cgroups", |_| Ok(b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n".to_vec())),
    ("cmdline", |_| Ok(b"runsc-rs\n".to_vec())),
    ("consoles", |_| Ok(Vec::new())),
    ("cpuinfo", cpuinfo),
    ("crypto", |_| Ok(Vec::new())),
    ("devices", |_| Ok(DEVICES.as_bytes().to_vec())),
    ("diskstats", |_| Ok(Vec::new())),
    ("filesystems", |_| Ok(FILESYSTEMS.as_bytes().to_vec())),
    ("interrupts", interrupts),
    ("key-users", |task| Ok(task.kernel().keys.users_text(task).into_bytes())),
    ("keys", |task| Ok(task.kernel().keys.keys_text(task).into_bytes())),
    ("loadavg", loadavg),
    ("locks", |_| Ok(Vec::new())),
    ("meminfo", meminfo),
    ("misc", |_| Ok(Vec::new())),
    ("modules", |_| Ok(Vec::new())),
    ("partitions", |_| Ok(b"major minor  #blocks  name\n\n".to_vec())),
    ("softirqs", |_| Ok(Vec::new())),
    ("stat", stat),
    ("swaps", |_| Ok(b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec())),
    ("uptime", uptime),
    ("version", version),
    ("vmstat", vmstat),
    ("zoneinfo", |_| Ok(Vec::new())),
];

const DEVICES: &str =
    "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n";
const FILESYSTEMS: &str = "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tpipefs\nnodev\tsockfs\nnodev\tdevpts\nnodev\tmqueue\nnodev\toverlay\nnodev\t9p\n";

/// All entries of the root that are about the system.
pub(super) fn files(tree: &Arc<Tree>, kernel: &Arc<Kernel>) -> Vec<(&'static str, Arc<dyn Inode>)> {
    let _ = kernel;
    let mut list: Vec<(&'static str, Arc<dyn Inode>)> = Vec::new();
    for (name, show) in TEXTS {
        list.push((name, TextFile::new(tree, *show)));
    }
    list.push(("mounts", Link::fixed(tree, "self/mounts")));
    list.push(("net", Link::fixed(tree, "self/net")));
    let private: &[(&str, Show)] =
        &[("kmsg", |_| Ok(Vec::new())), ("slabinfo", |_| Ok(b"slabinfo - version: 2.1\n".to_vec()))];
    for (name, show) in private {
        list.push((name, TextFile::with(tree.meta(S_IFREG | 0o400, 1), Arc::new(*show), None)));
    }
    list.push(("fs", StaticDir::new(tree, Vec::new())));
    list.push(("irq", StaticDir::new(tree, Vec::new())));
    list.push(("driver", StaticDir::new(tree, Vec::new())));
    list.push(("tty", StaticDir::new(tree, vec![("drivers", TextFile::fixed(tree, TTY_DRIVERS) as Arc<dyn Inode>)])));
    let tables: [(&'static str, fn(&IpcSpace, &CurrentTask) -> String); 3] =
        [("msg", IpcSpace::msg_text), ("sem", IpcSpace::sem_text), ("shm", IpcSpace::shm_text)];
    let sysvipc = tables.map(|(name, text)| {
        let show = move |task: &CurrentTask| Ok(text(&task.namespaces().ipc.space(), task).into_bytes());
        (name, TextFile::new(tree, show) as Arc<dyn Inode>)
    });
    list.push(("sysvipc", StaticDir::new(tree, sysvipc.to_vec())));
    list
}

const TTY_DRIVERS: &str = "/dev/tty             /dev/tty        5       0 system:/dev/tty\n/dev/console         /dev/console    5       1 system:console\n/dev/ptmx            /dev/ptmx       5       2 system\npty_slave            /dev/pts      136 0-1048575 pty:slave\n";

/// The words of a bit mask of CPUs, as `Cpus_allowed` shows them. An empty affinity means all.
pub(super) fn cpu_mask(affinity: &[u64], cpus: usize) -> String {
    let bits: u64 = (0..cpus.min(64)).filter(|cpu| allowed(affinity, *cpu)).map(|cpu| 1 << cpu).sum();
    if cpus > 32 { format!("{:08x},{:08x}", bits >> 32, bits & 0xffff_ffff) } else { format!("{bits:x}") }
}

/// The same as ranges: `0-3,5`.
pub(super) fn cpu_list(affinity: &[u64], cpus: usize) -> String {
    let mut out = String::new();
    let mut cpu = 0;
    while cpu < cpus {
        let start = cpu;
        while cpu < cpus && allowed(affinity, cpu) {
            cpu += 1;
        }
        if cpu > start {
            let comma = if out.is_empty() { "" } else { "," };
            let _ = if cpu - start == 1 {
                write!(out, "{comma}{start}")
            } else {
                write!(out, "{comma}{start}-{}", cpu - 1)
            };
        }
        cpu += 1;
    }
    out
}

fn allowed(affinity: &[u64], cpu: usize) -> bool {
    let word = affinity.get(cpu / 64);
    affinity.is_empty() || word.is_some_and(|word| word >> (cpu % 64) & 1 != 0)
}

fn cpuinfo(task: &CurrentTask) -> Result<Vec<u8>> {
    let info = CpuInfo::read();
    let cpus = task.kernel().cpus;
    let mut out = String::new();
    for cpu in 0..cpus {
        let _ = write!(
            out,
            "processor\t: {cpu}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\nstepping\t: {}\ncpu MHz\t\t: 2000.000\nphysical id\t: 0\nsiblings\t: {cpus}\ncore id\t\t: {cpu}\ncpu cores\t: {cpus}\napicid\t\t: {cpu}\ninitial apicid\t: {cpu}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes\nflags\t\t: {}\nbugs\t\t:\nbogomips\t: 4000.00\nclflush size\t: {}\ncache_alignment\t: {}\naddress sizes\t: {} bits physical, {} bits virtual\npower management:\n\n",
            info.vendor,
            info.family,
            info.model,
            info.name,
            info.stepping,
            info.level,
            info.flags.join(" "),
            info.clflush,
            info.clflush,
            info.address_bits.0,
            info.address_bits.1,
        );
    }
    Ok(out.into_bytes())
}

/// What is said of memory, in KiB, under the names of /proc/meminfo.
pub(crate) fn memory_lines(kernel: &Kernel) -> Vec<(&'static str, u64)> {
    let total = kernel.memory_total / 1024;
    let used = (kernel.memory_used() / 1024).min(total);
    let free = total - used;
    vec![
        ("MemTotal:", total),
        ("MemFree:", free),
        ("MemAvailable:", free),
        ("Buffers:", 0),
        ("Cached:", used / 2),
        ("SwapCached:", 0),
        ("Active:", used),
        ("Inactive:", 0),
        ("Active(anon):", used / 2),
        ("Inactive(anon):", 0),
        ("Active(file):", used / 2),
        ("Inactive(file):", 0),
        ("Unevictable:", 0),
        ("Mlocked:", 0),
        ("SwapTotal:", 0),
        ("SwapFree:", 0),
        ("Dirty:", 0),
        ("Writeback:", 0),
        ("AnonPages:", used / 2),
        ("Mapped:", used / 2),
        ("Shmem:", 0),
        ("KReclaimable:", 0),
        ("Slab:", 0),
        ("SReclaimable:", 0),
        ("SUnreclaim:", 0),
        ("KernelStack:", 0),
        ("PageTables:", 0),
        ("CommitLimit:", total),
        ("Committed_AS:", used),
        ("VmallocTotal:", 34_359_738_367),
        ("VmallocUsed:", 0),
        ("VmallocChunk:", 0),
        ("Hugepagesize:", 2048),
    ]
}

fn meminfo(task: &CurrentTask) -> Result<Vec<u8>> {
    let mut out = String::new();
    for (name, value) in memory_lines(task.kernel()) {
        if name == "Hugepagesize:" {
            for pages in ["HugePages_Total:", "HugePages_Free:", "HugePages_Rsvd:", "HugePages_Surp:"] {
                let _ = writeln!(out, "{pages:<16}{:>8}", 0);
            }
        }
        let _ = writeln!(out, "{name:<16}{value:>8} kB");
    }
    Ok(out.into_bytes())
}

/// Sum of user, system and idle time of the sandbox in clock ticks.
fn cpu_ticks(task: &CurrentTask) -> (u128, u128, u128) {
    let kernel = task.kernel();
    let mut used = crate::task::usage::CpuTime::default();
    for group in task.pid_ns().groups() {
        used = used + group.cpu_time() + group.children_used().cpu;
    }
    let total = kernel.boot.elapsed().as_millis() / 10 * kernel.cpus as u128;
    let (user, sys) = (used.user.as_millis() / 10, used.sys.as_millis() / 10);
    (user, sys, total.saturating_sub(user + sys))
}

fn stat(task: &CurrentTask) -> Result<Vec<u8>> {
    let kernel = task.kernel();
    let (user, sys, idle) = cpu_ticks(task);
    let mut out = format!("cpu  {user} 0 {sys} {idle} 0 0 0 0 0 0\n");
    let cpus = kernel.cpus as u128;
    for cpu in 0..kernel.cpus {
        let _ = writeln!(out, "cpu{cpu} {} 0 {} {} 0 0 0 0 0 0", user / cpus, sys / cpus, idle / cpus);
    }
    let now = kernel.clocks.realtime().tv_sec;
    let boot = now - kernel.uptime(&task.namespaces().time) / NSEC_PER_SEC;
    let processes = task.pid_ns().last_number();
    let _ = write!(
        out,
        "intr 0\nctxt 0\nbtime {boot}\nprocesses {processes}\nprocs_running {}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        running(task)
    );
    Ok(out.into_bytes())
}

fn running(task: &CurrentTask) -> usize {
    let is_running = |group: &Arc<crate::task::ThreadGroup>| {
        group.threads().iter().any(|t| t.state() == crate::task::TaskState::Running)
    };
    task.pid_ns().groups().iter().filter(|group| is_running(group)).count().max(1)
}

fn interrupts(task: &CurrentTask) -> Result<Vec<u8>> {
    let mut out = String::from("     ");
    for cpu in 0..task.kernel().cpus {
        let _ = write!(out, "      CPU{cpu:<5}");
    }
    out.push('\n');
    Ok(out.into_bytes())
}

fn loadavg(task: &CurrentTask) -> Result<Vec<u8>> {
    let groups = task.pid_ns().groups().len();
    let [one, five, fifteen] =
        task.kernel().load_average().map(|load| format!("{}.{:02}", load >> 16, (load & 0xffff) * 100 >> 16));
    Ok(format!("{one} {five} {fifteen} {}/{groups} {}\n", running(task), task.pid_ns().last_number()).into_bytes())
}

fn uptime(task: &CurrentTask) -> Result<Vec<u8>> {
    // A time namespace may set it before the start.
    let up = task.kernel().uptime(&task.namespaces().time);
    let (seconds, hundredths) = (up.div_euclid(NSEC_PER_SEC), up.rem_euclid(NSEC_PER_SEC) / 10_000_000);
    let (_, _, idle) = cpu_ticks(task);
    Ok(format!("{seconds}.{hundredths:02} {}.{:02}\n", idle / 100, idle % 100).into_bytes())
}

fn version(task: &CurrentTask) -> Result<Vec<u8>> {
    let _ = task;
    Ok(proc_version().into_bytes())
}

fn vmstat(task: &CurrentTask) -> Result<Vec<u8>> {
    let kernel = task.kernel();
    let free = kernel.memory_total.saturating_sub(kernel.memory_used()) / 4096;
    Ok(format!("nr_free_pages {free}\nnr_zone_inactive_anon 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\noom_kill 0\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::{cpu_list, cpu_mask};

    #[test]
    fn masks_and_lists_agree() {
        assert_eq!((cpu_mask(&[], 4), cpu_list(&[], 4)), ("f".into(), "0-3".into()));
        assert_eq!((cpu_mask(&[0b1011], 4), cpu_list(&[0b1011], 4)), ("b".into(), "0-1,3".into()));
        assert_eq!((cpu_mask(&[0b10], 2), cpu_list(&[0b10], 2)), ("2".into(), "1".into()));
    }
}
