//! The family TASKSTATS: what a thread or a process has used, for iotop and its like. Nobody is told of exits.

use std::sync::Arc;
use std::time::Duration;

use abi::Errno;
use abi::capability::Cap;
use abi::taskstats::*;
use zerocopy::IntoBytes;

use super::nest;
use crate::error::{Result, err};
use crate::net::netlink::message::{Attributes, Reply};
use crate::task::usage::Usage;
use crate::task::user_ns::IdKind;
use crate::task::{CurrentTask, Task};

pub(super) fn answer(task: &CurrentTask, family: u16, attributes: Attributes<'_>, reply: &mut Reply) -> Result<()> {
    if !task.creds().has(Cap::CAP_NET_ADMIN) {
        return err(Errno::EPERM);
    }
    if attributes.find(TASKSTATS_CMD_ATTR_REGISTER_CPUMASK).is_some()
        || attributes.find(TASKSTATS_CMD_ATTR_DEREGISTER_CPUMASK).is_some()
    {
        return err(Errno::EOPNOTSUPP);
    }
    let (number, whole) = match (attributes.u32(TASKSTATS_CMD_ATTR_PID)?, attributes.u32(TASKSTATS_CMD_ATTR_TGID)?) {
        (Some(number), _) => (number, false),
        (None, Some(number)) => (number, true),
        (None, None) => return err(Errno::EINVAL),
    };
    let target = i32::try_from(number).ok().and_then(|number| task.pid_ns().task(number)).ok_or(Errno::ESRCH)?;
    let stats = if whole { of_process(&target) } else { of_thread(task, &target) };
    let (aggregate, numbered) = match whole {
        true => (TASKSTATS_TYPE_AGGR_TGID, TASKSTATS_TYPE_TGID),
        false => (TASKSTATS_TYPE_AGGR_PID, TASKSTATS_TYPE_PID),
    };
    let mut inside = Vec::new();
    nest(&mut inside, numbered, &number.to_ne_bytes());
    nest(&mut inside, TASKSTATS_TYPE_STATS, stats.as_bytes());
    let head = Genlmsghdr { cmd: TASKSTATS_CMD_NEW, version: 1, reserved: 0 };
    reply.message(family, &head, |reply| reply.attr(aggregate, &inside));
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What both kinds of answers have.
fn common(used: &Usage) -> Taskstats {
    Taskstats {
        version: TASKSTATS_VERSION,
        cpu_run_real_total: nanos(used.cpu.total()),
        cpu_scaled_run_real_total: nanos(used.cpu.total()),
        cpu_run_virtual_total: nanos(used.cpu.total()),
        nvcsw: used.voluntary_switches,
        ..Taskstats::default()
    }
}

fn of_process(target: &Arc<Task>) -> Taskstats {
    common(&target.group().used())
}

fn of_thread(reader: &CurrentTask, target: &Arc<Task>) -> Taskstats {
    let used = target.used();
    let (creds, ns, user_ns) = (target.creds(), reader.pid_ns(), Arc::clone(&reader.creds().user_ns));
    let mut comm = [0; 32];
    let name = target.comm().padded();
    comm[..name.len()].copy_from_slice(&name);
    let lived = target.started().elapsed();
    let began = reader.kernel().clocks.realtime().tv_sec.cast_unsigned().saturating_sub(lived.as_secs());
    let memory = target.mm().map(|mm| mm.usage()).unwrap_or_default();
    Taskstats {
        ac_nice: target.sched.nice().to_ne_bytes()[0],
        ac_comm: comm,
        ac_uid: user_ns.from_kernel(IdKind::User, creds.uid).unwrap_or(crate::task::user_ns::OVERFLOW_ID),
        ac_gid: user_ns.from_kernel(IdKind::Group, creds.gid).unwrap_or(crate::task::user_ns::OVERFLOW_ID),
        ac_pid: target.tid_in(ns).cast_unsigned(),
        ac_tgid: target.group().tgid_in(ns).cast_unsigned(),
        ac_ppid: target.group().parent().map_or(0, |parent| parent.tgid_in(ns)).cast_unsigned(),
        ac_btime: u32::try_from(began).unwrap_or(u32::MAX),
        ac_btime64: began,
        ac_etime: micros(lived),
        ac_tgetime: micros(target.group().started().elapsed()),
        ac_utime: micros(used.cpu.user),
        ac_stime: micros(used.cpu.sys),
        ac_utimescaled: micros(used.cpu.user),
        ac_stimescaled: micros(used.cpu.sys),
        ac_minflt: used.minor_faults,
        ac_majflt: used.major_faults,
        hiwater_rss: used.max_rss.max(memory.anon + memory.shmem) >> 10,
        ..common(&used)
    }
}
