//! `status`, `stat`, `statm`, `schedstat`, `comm`: the state of a process in the forms that ps(1) and top(1) read.

use std::fmt::Write;
use std::time::Duration;

use abi::Errno;
use abi::resource::Resource;
use abi::signal::SigSet;

use super::memory;
use super::process::{Entry, Kind, Subject};
use crate::error::{Result, err};
use crate::task::usage::CpuTime;
use crate::task::user_ns::UserNamespace;
use crate::task::{Comm, CurrentTask, TaskState};

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "status", kind: Kind::Text(status) },
    Entry { name: "stat", kind: Kind::Text(stat) },
    Entry { name: "schedstat", kind: Kind::Text(schedstat) },
    Entry { name: "comm", kind: Kind::Writable(0o644, comm, set_comm) },
];

/// Clock ticks in a second, as times in `stat` count.
const USER_HZ: u128 = 100;

/// The letter and the word of a state.
const fn state_name(state: TaskState) -> (char, &'static str) {
    match state {
        TaskState::Running => ('R', "running"),
        TaskState::Sleeping => ('S', "sleeping"),
        TaskState::Uninterruptible => ('D', "disk sleep"),
        TaskState::Stopped => ('T', "stopped"),
        TaskState::Traced => ('t', "tracing stop"),
        TaskState::Zombie => ('Z', "zombie"),
        TaskState::Dead => ('X', "dead"),
    }
}

/// A device number in the 32 bits that `stat` shows: 12 of the major between 8 and 12 of the minor.
fn encode_dev(dev: u64) -> u32 {
    let (major, minor) = (abi::stat::major(dev), abi::stat::minor(dev));
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

/// Time in clock ticks.
fn ticks(time: Duration) -> u128 {
    time.as_nanos() * USER_HZ / 1_000_000_000
}

fn cpu_time(subject: &Subject) -> CpuTime {
    if subject.whole_process { subject.task.group().cpu_time() } else { subject.task.cpu_time() }
}

fn status(subject: &Subject, reader: &CurrentTask) -> Result<Vec<u8>> {
    let (task, group, ns) = (&subject.task, subject.task.group(), &subject.ns);
    let creds = task.creds();
    let user_ns: &UserNamespace = &reader.creds().user_ns;
    let (letter, word) = state_name(task.state());
    let umask = task.fs().map_or(0, |fs| fs.umask());
    let tracer = task.tracer().map_or(0, |tracer| tracer.tid_in(ns));
    let mut out = String::with_capacity(1536);
    let mut name = String::new();
    for byte in task.comm().as_bytes() {
        match byte {
            b'\n' => name.push_str("\\n"),
            b'\\' => name.push_str("\\\\"),
            byte => name.push(char::from(*byte)),
        }
    }
    let ppid = group.parent().map_or(0, |parent| parent.tgid_in(ns));
    let files = task.files().map_or(0, |files| files.capacity());
    let groups: String = creds.groups.iter().map(|gid| format!("{} ", user_ns.show_gid(*gid))).collect();
    let numbers = |list: &[i32]| list.iter().map(|n| format!("\t{n}")).collect::<String>();
    let nspid = numbers(task.pid().numbers_from(ns));
    let nstgid = numbers(group.pid().numbers_from(ns));
    let nspgid = group.process_group().map_or_else(String::new, |pg| numbers(pg.pid().numbers_from(ns)));
    let nssid = group.session().map_or_else(String::new, |session| numbers(session.pid().numbers_from(ns)));
    let _ = write!(
        out,
        "Name:\t{name}\nUmask:\t{umask:04o}\nState:\t{letter} ({word})\nTgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{ppid}\nTracerPid:\t{tracer}\n",
        group.tgid_in(ns),
        task.tid_in(ns),
    );
    let uid = |id| user_ns.show_uid(id);
    let gid = |id| user_ns.show_gid(id);
    let _ = write!(
        out,
        "Uid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\nFDSize:\t{files}\nGroups:\t{groups}\nNStgid:{nstgid}\nNSpid:{nspid}\nNSpgid:{nspgid}\nNSsid:{nssid}\nKthread:\t0\n",
        uid(creds.uid),
        uid(creds.euid),
        uid(creds.suid),
        uid(creds.fsuid),
        gid(creds.gid),
        gid(creds.egid),
        gid(creds.sgid),
        gid(creds.fsgid),
    );
    if let Some(mm) = task.mm() {
        out.push_str(&memory::status_lines(&mm));
    }
    let threads = group.live_threads();
    let pending_limit = group.limits().soft(Resource::RLIMIT_SIGPENDING);
    let (ignored, caught) = group.signals.actions().ignored_and_caught();
    let queued = reader.kernel().signal_counts.of(creds.uid);
    let set = |set: SigSet| set.0;
    let _ = write!(
        out,
        "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\nThreads:\t{threads}\nSigQ:\t{queued}/{pending_limit}\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n",
        set(task.signals.pending_set()),
        set(group.signals.pending_set()),
        set(task.signals.blocked()),
        set(ignored),
        set(caught),
    );
    let switches = task.used().voluntary_switches;
    let cpus = reader.kernel().cpus;
    let _ = write!(
        out,
        "CapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t{}\nSeccomp:\t{}\nSeccomp_filters:\t{}\nSpeculation_Store_Bypass:\tvulnerable\nSpeculationIndirectBranch:\tconditional enabled\n",
        creds.inheritable.bits(),
        creds.permitted.bits(),
        creds.effective.bits(),
        creds.bounding.bits(),
        creds.ambient.bits(),
        u8::from(creds.no_new_privs),
        task.seccomp_mode(),
        task.seccomp_filters(),
    );
    let affinity = task.sched.get().affinity;
    let _ = write!(
        out,
        "Cpus_allowed:\t{}\nCpus_allowed_list:\t{}\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t0\n",
        super::system::cpu_mask(&affinity, cpus),
        super::system::cpu_list(&affinity, cpus),
    );
    Ok(out.into_bytes())
}

fn stat(subject: &Subject, reader: &CurrentTask) -> Result<Vec<u8>> {
    let (task, group, ns) = (&subject.task, subject.task.group(), &subject.ns);
    let cpu = cpu_time(subject);
    let children = group.children_used().cpu;
    let used = if subject.whole_process { group.used() } else { task.used() };
    let (pgrp, session) = (
        group.process_group().map_or(0, |pg| pg.pid().number_in(ns)),
        group.session().map_or(0, |session| session.pid().number_in(ns)),
    );
    let tty = group.tty();
    let tty_nr = tty.as_ref().map_or(0, |tty| encode_dev(tty.device()));
    let foreground = tty.and_then(|tty| tty.foreground()).map_or(-1, |pg| pg.pid().number_in(ns));
    let params = task.sched.get();
    let numbers = task.mm().map(|mm| memory::numbers(&mm)).unwrap_or_default();
    let offset = reader.namespaces().time.offsets().boottime;
    let started = task.started().saturating_duration_since(task.kernel().boot).as_nanos();
    let start = ticks(Duration::from_nanos(
        i64::try_from(started).unwrap_or(i64::MAX).saturating_add(offset).max(0).unsigned_abs(),
    ));
    let (ignored, caught) = group.signals.actions().ignored_and_caught();
    let word = |set: SigSet| set.0 & 0x7fff_ffff;
    let exit_signal = group.exit_signal().map_or(0, |signal| signal.number());
    let ppid = group.parent().map_or(0, |parent| parent.tgid_in(ns));
    let comm = String::from_utf8_lossy(task.comm().as_bytes()).into_owned();
    let priority = if params.priority > 0 { -1 - params.priority } else { 20 + params.nice };
    let text = format!(
        "{} ({comm}) {} {ppid} {pgrp} {session} {tty_nr} {foreground} 4194304 {} 0 {} 0 {} {} {} {} {priority} {} {} 0 {start} {} {} {} {} {} {} 0 0 {} {} {} {} 0 0 0 {exit_signal} 0 {} {} 0 0 0 {} {} {} {} {} {} {} 0\n",
        task.tid_in(ns),
        state_name(task.state()).0,
        used.minor_faults,
        used.major_faults,
        ticks(cpu.user),
        ticks(cpu.sys),
        ticks(children.user),
        ticks(children.sys),
        params.nice,
        group.live_threads(),
        numbers.size,
        numbers.resident / 4096,
        group.limits().soft(Resource::RLIMIT_RSS),
        numbers.code.0,
        numbers.code.1,
        numbers.stack,
        word(task.signals.pending_set()),
        word(task.signals.blocked()),
        word(ignored),
        word(caught),
        params.priority,
        params.policy,
        numbers.data.0,
        numbers.data.1,
        numbers.brk,
        numbers.args.0,
        numbers.args.1,
        numbers.env.0,
        numbers.env.1,
    );
    Ok(text.into_bytes())
}

fn schedstat(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    let switches = subject.task.used().voluntary_switches;
    Ok(format!("{} 0 {switches}\n", cpu_time(subject).total().as_nanos()).into_bytes())
}

fn comm(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    let mut text = subject.task.comm().as_bytes().to_vec();
    text.push(b'\n');
    Ok(text)
}

/// A thread of the same process may rename another.
fn set_comm(subject: &Subject, writer: &CurrentTask, bytes: &[u8]) -> Result<()> {
    if !std::sync::Arc::ptr_eq(writer.group(), subject.task.group()) {
        return err(Errno::EINVAL);
    }
    let name = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    subject.task.set_comm(Comm::new(name));
    Ok(())
}
