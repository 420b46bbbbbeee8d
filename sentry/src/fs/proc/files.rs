//! The remaining files of a process: limits, mounts, identity maps, scores, links to its places.

use std::fmt::Write;
use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::resource::{RLIM_INFINITY, Resource};
use abi::time::NSEC_PER_SEC;

use super::mounts;
use super::process::{Entry, Kind, Subject};
use crate::error::{Result, err};
use crate::task::CurrentTask;
use crate::task::user_ns::{Extent, IdKind, IdMap};
use crate::vfs::MountNamespace;

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "cwd", kind: Kind::Link(|task| Some(task.fs()?.cwd())) },
    Entry { name: "root", kind: Kind::Link(|task| Some(task.fs()?.root())) },
    Entry { name: "exe", kind: Kind::Link(|task| task.group().exe()) },
    Entry { name: "limits", kind: Kind::Text(limits) },
    Entry { name: "mounts", kind: Kind::Special(|dir, index| mounts::new(dir, index, MountNamespace::mounts_text)) },
    Entry { name: "mountinfo", kind: Kind::Special(|dir, index| mounts::new(dir, index, MountNamespace::mountinfo)) },
    Entry { name: "mountstats", kind: Kind::Private(mountstats) },
    Entry { name: "cgroup", kind: Kind::Text(|_, _| Ok(b"0::/\n".to_vec())) },
    Entry { name: "io", kind: Kind::Private(io) },
    Entry { name: "syscall", kind: Kind::Private(syscall) },
    Entry { name: "stack", kind: Kind::Private(stack) },
    Entry { name: "wchan", kind: Kind::Text(|_, _| Ok(b"0".to_vec())) },
    Entry {
        name: "personality",
        kind: Kind::Private(|subject, _| Ok(format!("{:08x}\n", subject.task.personality()).into_bytes())),
    },
    Entry { name: "loginuid", kind: Kind::Text(|_, _| Ok(b"4294967295".to_vec())) },
    Entry { name: "sessionid", kind: Kind::Text(|_, _| Ok(b"4294967295".to_vec())) },
    Entry { name: "oom_score", kind: Kind::Text(|_, _| Ok(b"0\n".to_vec())) },
    Entry { name: "oom_score_adj", kind: Kind::Writable(0o644, oom_score_adj, set_oom_score_adj) },
    Entry { name: "oom_adj", kind: Kind::Writable(0o644, oom_adj, set_oom_adj) },
    Entry { name: "coredump_filter", kind: Kind::Writable(0o644, |_, _| Ok(b"00000033\n".to_vec()), |_, _, _| Ok(())) },
    Entry { name: "timerslack_ns", kind: Kind::Writable(0o666, timer_slack, set_timer_slack) },
    Entry { name: "timens_offsets", kind: Kind::Writable(0o644, timens_offsets, set_timens_offsets) },
    Entry { name: "uid_map", kind: Kind::Writable(0o644, uid_map, |s, t, b| set_map(s, t, b, IdKind::User)) },
    Entry { name: "gid_map", kind: Kind::Writable(0o644, gid_map, |s, t, b| set_map(s, t, b, IdKind::Group)) },
    Entry { name: "setgroups", kind: Kind::Writable(0o644, setgroups, set_setgroups) },
];

/// The call that a task is in; known of one that is stopped for its tracer.
fn syscall(subject: &Subject, reader: &CurrentTask) -> Result<Vec<u8>> {
    if !reader.may_attach(&subject.task) {
        return err(Errno::EPERM);
    }
    let text = match subject.task.stopped_in() {
        None => "running\n".to_owned(),
        Some((regs, None)) => format!("-1 {:#x} {:#x}\n", regs.rsp, regs.rip),
        Some((regs, Some(call))) => {
            let args: String = call.args.iter().map(|arg| format!("{arg:#x} ")).collect();
            format!("{} {args}{:#x} {:#x}\n", call.nr, regs.rsp, regs.rip)
        }
    };
    Ok(text.into_bytes())
}

/// There is no kernel stack to show.
fn stack(subject: &Subject, reader: &CurrentTask) -> Result<Vec<u8>> {
    if !reader.may_attach(&subject.task) || !reader.creds().has_in(Cap::CAP_SYS_ADMIN, &reader.kernel().root_user_ns) {
        return err(Errno::EACCES);
    }
    Ok(Vec::new())
}

fn limits(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    let shown = |value: u64| if value == RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() };
    let mut out = format!("{:<26}{:<21}{:<21}{:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for resource in Resource::ALL {
        let (name, unit) = (resource.proc_name(), resource.unit());
        let limit = subject.task.group().limits().get(resource);
        let _ = write!(out, "{name:<25} {:<20} {:<20} ", shown(limit.rlim_cur), shown(limit.rlim_max));
        let _ = if unit.is_empty() { writeln!(out) } else { writeln!(out, "{unit:<10}") };
    }
    Ok(out.into_bytes())
}

fn mountstats(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    let fs = subject.task.fs().ok_or(Errno::EINVAL)?;
    Ok(fs.namespace().mountstats(&fs.root()))
}

/// Bytes are not accounted; the fields stand there for those who parse them.
fn io(_: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    Ok(b"rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n".to_vec())
}

/// The clocks of the time namespace that children will be in.
fn timens_offsets(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    let offsets = subject.task.namespaces().ok_or(Errno::ESRCH)?.time_for_children.offsets();
    let line = |name: &str, ns: i64| {
        format!("{name:<10} {:>10} {:>9}\n", ns.div_euclid(NSEC_PER_SEC), ns.rem_euclid(NSEC_PER_SEC))
    };
    Ok((line("monotonic", offsets.monotonic) + &line("boottime", offsets.boottime)).into_bytes())
}

/// The longest time that the kernel keeps in nanoseconds, in seconds.
const LONGEST: i64 = i64::MAX / NSEC_PER_SEC;

fn set_timens_offsets(subject: &Subject, writer: &CurrentTask, bytes: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    let mut wanted = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(clock), Some(seconds), Some(nanos)) = (words.next(), words.next(), words.next()) else {
            return err(Errno::EINVAL);
        };
        let boottime = match clock {
            "monotonic" | "1" => false,
            "boottime" | "7" => true,
            _ => return err(Errno::EINVAL),
        };
        let seconds = parse::<i64>(seconds.as_bytes())?;
        let nanos = parse::<i64>(nanos.as_bytes())?;
        if !(0..NSEC_PER_SEC).contains(&nanos) || wanted.len() == 2 {
            return err(Errno::EINVAL);
        }
        wanted.push((boottime, seconds, nanos));
    }
    if wanted.is_empty() {
        return err(Errno::EINVAL);
    }
    let time = Arc::clone(&subject.task.namespaces().ok_or(Errno::ESRCH)?.time_for_children);
    if !writer.creds().has_in(Cap::CAP_SYS_TIME, &time.user_ns) {
        return err(Errno::EPERM);
    }
    let clocks = &writer.kernel().clocks;
    let mut offsets = Vec::new();
    for (boottime, seconds, nanos) in wanted {
        let now = if boottime { clocks.boottime() } else { clocks.monotonic() } / NSEC_PER_SEC;
        // Half of it, so that what is added later cannot leave the range.
        let fits = (-LONGEST..=LONGEST).contains(&seconds) && (0..=LONGEST / 2).contains(&now.saturating_add(seconds));
        if !fits {
            return err(Errno::ERANGE);
        }
        offsets.push((boottime, seconds * NSEC_PER_SEC + nanos));
    }
    time.set(|own| {
        for (boottime, offset) in offsets {
            *(if boottime { &mut own.boottime } else { &mut own.monotonic }) = offset;
        }
    })
}

fn oom_score_adj(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    Ok(format!("{}\n", subject.task.group().oom_score_adj()).into_bytes())
}

fn set_oom_score_adj(subject: &Subject, writer: &CurrentTask, bytes: &[u8]) -> Result<()> {
    let value = parse::<i32>(bytes)?;
    if !(-1000..=1000).contains(&value) {
        return err(Errno::EINVAL);
    }
    let group = subject.task.group();
    let privileged = writer.creds().has(Cap::CAP_SYS_RESOURCE);
    if value < group.oom_score_adj_min() && !privileged {
        return err(Errno::EACCES);
    }
    group.set_oom_score_adj(value, privileged);
    Ok(())
}

/// The old scale, -17 to 15.
fn oom_adj(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    let value = match subject.task.group().oom_score_adj() {
        1000 => 15,
        value => value * 17 / 1000,
    };
    Ok(format!("{value}\n").into_bytes())
}

fn set_oom_adj(subject: &Subject, writer: &CurrentTask, bytes: &[u8]) -> Result<()> {
    let value = match parse::<i32>(bytes)? {
        15 => 1000,
        value @ -17..=14 => value * 1000 / 17,
        _ => return err(Errno::EINVAL),
    };
    set_oom_score_adj(subject, writer, value.to_string().as_bytes())
}

fn timer_slack(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    Ok(format!("{}\n", subject.task.timer_slack()).into_bytes())
}

fn set_timer_slack(subject: &Subject, _: &CurrentTask, bytes: &[u8]) -> Result<()> {
    let ns: u64 = parse(bytes)?;
    subject.task.set_timer_slack((ns > 0).then_some(ns));
    Ok(())
}

fn uid_map(subject: &Subject, reader: &CurrentTask) -> Result<Vec<u8>> {
    Ok(map_text(subject, reader, IdKind::User))
}

fn gid_map(subject: &Subject, reader: &CurrentTask) -> Result<Vec<u8>> {
    Ok(map_text(subject, reader, IdKind::Group))
}

fn map_text(subject: &Subject, _: &CurrentTask, kind: IdKind) -> Vec<u8> {
    let creds = subject.task.creds();
    let mut out = String::new();
    if creds.user_ns.parent.is_none() && creds.user_ns.id_map(kind).is_none() {
        // The initial namespace maps every id to itself.
        let _ = writeln!(out, "{:>10} {:>10} {:>10}", 0, 0, u32::MAX);
    }
    for extent in creds.user_ns.id_map(kind).map(IdMap::extents).unwrap_or_default() {
        let _ = writeln!(out, "{:>10} {:>10} {:>10}", extent.inside, extent.outside, extent.count);
    }
    out.into_bytes()
}

/// user_namespaces(7): one write, by somebody with the right capability in the parent namespace or for one's own id alone.
fn set_map(subject: &Subject, writer: &CurrentTask, bytes: &[u8], kind: IdKind) -> Result<()> {
    let ns = std::sync::Arc::clone(&subject.task.creds().user_ns);
    let Some(parent) = ns.parent.clone() else { return err(Errno::EPERM) };
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    let mut extents = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<u32> =
            line.split_whitespace().map(str::parse).collect::<Result<_, _>>().map_err(|_| Errno::EINVAL)?;
        let [inside, outside, count] = words[..] else { return err(Errno::EINVAL) };
        extents.push(Extent { inside, outside, count });
    }
    let cap = if matches!(kind, IdKind::User) { Cap::CAP_SETUID } else { Cap::CAP_SETGID };
    let own = match &extents[..] {
        [only] if only.count == 1 => match kind {
            IdKind::User => parent.to_kernel(kind, only.outside) == Some(writer.creds().euid),
            IdKind::Group => parent.to_kernel(kind, only.outside) == Some(writer.creds().egid) && ns.setgroups_denied(),
        },
        _ => false,
    };
    if !own && !writer.creds().has_in(cap, &parent) {
        return err(Errno::EPERM);
    }
    ns.set_map(kind, &IdMap::new(extents)?)
}

fn setgroups(subject: &Subject, _: &CurrentTask) -> Result<Vec<u8>> {
    Ok(if subject.task.creds().user_ns.setgroups_denied() { b"deny\n".to_vec() } else { b"allow\n".to_vec() })
}

fn set_setgroups(subject: &Subject, writer: &CurrentTask, bytes: &[u8]) -> Result<()> {
    let ns = std::sync::Arc::clone(&subject.task.creds().user_ns);
    if !writer.creds().has_in(Cap::CAP_SYS_ADMIN, &ns) {
        return err(Errno::EPERM);
    }
    match bytes.trim_ascii() {
        b"deny" => ns.deny_setgroups(true),
        b"allow" => ns.deny_setgroups(false),
        _ => err(Errno::EINVAL),
    }
}

/// A number with white space around it; EINVAL otherwise.
pub(super) fn parse<T: std::str::FromStr>(bytes: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    Ok(text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0').parse().map_err(|_| Errno::EINVAL)?)
}
