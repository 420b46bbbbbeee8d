//! Scheduling: policies and affinity are stored and told, the host's scheduler decides.

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::resource::Resource;
use abi::sched::{
    MAX_NICE, MIN_NICE, RT_PRIO_MAX, RT_PRIO_MIN, SCHED_ATTR_SIZE_VER0, SCHED_BATCH, SCHED_DEADLINE, SCHED_FIFO,
    SCHED_IDLE, SCHED_NORMAL, SCHED_RESET_ON_FORK, SCHED_RR, SchedAttr, SchedFlags, SchedParam,
};
use abi::time::Timespec;
use sentry::error::{Result, err};
use sentry::task::sched::Params;
use sentry::task::{CurrentTask, Task};
use sentry::user::UserPtr;
use zerocopy::IntoBytes;

/// sched_yield(2).
pub(crate) fn sched_yield(_: &mut CurrentTask) -> Result<()> {
    std::thread::yield_now();
    Ok(())
}

/// sched_setscheduler(2).
pub(crate) fn sched_setscheduler(
    task: &mut CurrentTask,
    pid: i32,
    policy: i32,
    param: UserPtr<SchedParam>,
) -> Result<()> {
    let policy = u32::try_from(policy).map_err(|_| Errno::EINVAL)?;
    let target = find(task, pid)?;
    let param = task.mm().read(param.non_null().ok_or(Errno::EINVAL)?)?;
    let mut new = target.sched.get();
    new.reset_on_fork = policy & SCHED_RESET_ON_FORK != 0;
    new.policy = policy & !SCHED_RESET_ON_FORK;
    new.priority = param.sched_priority;
    if new.policy == SCHED_DEADLINE {
        return err(Errno::EINVAL);
    }
    set(task, &target, new)
}

/// sched_getscheduler(2).
pub(crate) fn sched_getscheduler(task: &mut CurrentTask, pid: i32) -> Result<u32> {
    Ok(find(task, pid)?.sched.policy())
}

/// sched_setparam(2).
pub(crate) fn sched_setparam(task: &mut CurrentTask, pid: i32, param: UserPtr<SchedParam>) -> Result<()> {
    let target = find(task, pid)?;
    let param = task.mm().read(param.non_null().ok_or(Errno::EINVAL)?)?;
    let mut new = target.sched.get();
    new.priority = param.sched_priority;
    set(task, &target, new)
}

/// sched_getparam(2).
pub(crate) fn sched_getparam(task: &mut CurrentTask, pid: i32, param: UserPtr<SchedParam>) -> Result<()> {
    let target = find(task, pid)?;
    let param = param.non_null().ok_or(Errno::EINVAL)?;
    task.mm().write(param, &SchedParam { sched_priority: target.sched.get().priority })
}

/// sched_setattr(2).
pub(crate) fn sched_setattr(task: &mut CurrentTask, pid: i32, attr: UserPtr<SchedAttr>, flags: u32) -> Result<()> {
    if flags != 0 || attr.is_null() || pid < 0 {
        return err(Errno::EINVAL);
    }
    let attr = read_attr(task, attr)?;
    let flags = SchedFlags::from_bits(attr.sched_flags).ok_or(Errno::EINVAL)?;
    let target = find(task, pid)?;
    let mut new = target.sched.get();
    new.reset_on_fork = flags.contains(SchedFlags::SCHED_FLAG_RESET_ON_FORK);
    if !flags.contains(SchedFlags::SCHED_FLAG_KEEP_POLICY) {
        new.policy = attr.sched_policy;
    }
    if !flags.contains(SchedFlags::SCHED_FLAG_KEEP_PARAMS) {
        new.priority = i32::try_from(attr.sched_priority).map_err(|_| Errno::EINVAL)?;
        new.deadline = (attr.sched_runtime, attr.sched_deadline, attr.sched_period);
        if matches!(new.policy, SCHED_NORMAL | SCHED_BATCH) {
            new.nice = attr.sched_nice.clamp(MIN_NICE, MAX_NICE);
        }
    }
    set(task, &target, new)
}

/// sched_getattr(2).
pub(crate) fn sched_getattr(
    task: &mut CurrentTask,
    pid: i32,
    attr: UserPtr<SchedAttr>,
    size: u32,
    flags: u32,
) -> Result<()> {
    if flags != 0 || attr.is_null() || pid < 0 || size < SCHED_ATTR_SIZE_VER0 || u64::from(size) > abi::PAGE_SIZE {
        return err(Errno::EINVAL);
    }
    let params = find(task, pid)?.sched.get();
    let full = u32::try_from(size_of::<SchedAttr>()).unwrap_or(u32::MAX);
    let reset = if params.reset_on_fork { SchedFlags::SCHED_FLAG_RESET_ON_FORK } else { SchedFlags::empty() };
    let value = SchedAttr {
        size: size.min(full),
        sched_policy: params.policy,
        sched_flags: reset.bits(),
        sched_nice: if matches!(params.policy, SCHED_NORMAL | SCHED_BATCH) { params.nice } else { 0 },
        sched_priority: u32::try_from(params.priority).unwrap_or(0),
        sched_runtime: params.deadline.0,
        sched_deadline: params.deadline.1,
        sched_period: params.deadline.2,
        sched_util_min: 0,
        sched_util_max: 1024,
    };
    let len = usize::try_from(size.min(full)).unwrap_or(0);
    task.mm().write_bytes(attr.addr(), &value.as_bytes()[..len])
}

/// sched_get_priority_max(2).
pub(crate) fn sched_get_priority_max(_: &mut CurrentTask, policy: u32) -> Result<i32> {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(RT_PRIO_MAX),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => err(Errno::EINVAL),
    }
}

/// sched_get_priority_min(2).
pub(crate) fn sched_get_priority_min(_: &mut CurrentTask, policy: u32) -> Result<i32> {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(RT_PRIO_MIN),
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok(0),
        _ => err(Errno::EINVAL),
    }
}

/// sched_rr_get_interval(2).
pub(crate) fn sched_rr_get_interval(task: &mut CurrentTask, pid: i32, interval: UserPtr<Timespec>) -> Result<()> {
    let ns = match find(task, pid)?.sched.get().policy {
        SCHED_RR => 100_000_000,
        SCHED_FIFO => 0,
        _ => 4_000_000,
    };
    task.mm().write(interval, &Timespec::from_nanos(ns))
}

/// sched_setaffinity(2): stored; the host places threads.
pub(crate) fn sched_setaffinity(task: &mut CurrentTask, pid: i32, len: u32, mask: UserPtr<u64>) -> Result<()> {
    let target = find_for_affinity(task, pid)?;
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(cpu_words(task) * 8);
    let mut bytes = vec![0; cpu_words(task) * 8];
    task.mm().read_bytes(mask.addr(), &mut bytes[..len])?;
    if !task.owns_or(&target, Cap::CAP_SYS_NICE) {
        return err(Errno::EPERM);
    }
    let all = all_cpus(task);
    let words: Vec<u64> =
        bytes.as_chunks::<8>().0.iter().zip(&all).map(|(word, all)| u64::from_ne_bytes(*word) & all).collect();
    if words.iter().all(|word| *word == 0) {
        return err(Errno::EINVAL);
    }
    target.sched.change(|params| params.affinity = words);
    Ok(())
}

/// sched_getaffinity(2): returns how many bytes it stored.
pub(crate) fn sched_getaffinity(task: &mut CurrentTask, pid: i32, len: u32, mask: UserPtr<u64>) -> Result<usize> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len % 8 != 0 || len.saturating_mul(8) < task.kernel().cpus {
        return err(Errno::EINVAL);
    }
    let mut words = find_for_affinity(task, pid)?.sched.get().affinity;
    if words.is_empty() {
        words = all_cpus(task);
    }
    let bytes = words.as_bytes();
    let count = bytes.len().min(len);
    task.mm().write_bytes(mask.addr(), &bytes[..count])?;
    Ok(count)
}

/// getcpu(2).
pub(crate) fn getcpu(task: &mut CurrentTask, cpu: UserPtr<u32>, node: UserPtr<u32>) -> Result<()> {
    if let Some(cpu) = cpu.non_null() {
        task.mm().write(cpu, &task.current_cpu())?;
    }
    match node.non_null() {
        Some(node) => task.mm().write(node, &0),
        None => Ok(()),
    }
}

/// No other call takes negative numbers for processes that are not there.
fn find_for_affinity(task: &CurrentTask, pid: i32) -> Result<Arc<Task>> {
    if pid < 0 { err(Errno::ESRCH) } else { find(task, pid) }
}

fn find(task: &CurrentTask, pid: i32) -> Result<Arc<Task>> {
    match pid {
        0 => Ok(Arc::clone(task)),
        pid if pid < 0 => err(Errno::EINVAL),
        pid => task.pid_ns().task(pid).ok_or_else(|| Errno::ESRCH.into()),
    }
}

/// Checks and stores new parameters: what sched(7) grants without CAP_SYS_NICE.
fn set(task: &CurrentTask, target: &Task, new: Params) -> Result<()> {
    let realtime = matches!(new.policy, SCHED_FIFO | SCHED_RR);
    match new.policy {
        SCHED_FIFO | SCHED_RR if (RT_PRIO_MIN..=RT_PRIO_MAX).contains(&new.priority) => {}
        SCHED_NORMAL | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE if new.priority == 0 => {}
        _ => return err(Errno::EINVAL),
    }
    let old = target.sched.get();
    if !task.creds().has(Cap::CAP_SYS_NICE) {
        let rt_limit = target.group().limits().soft(Resource::RLIMIT_RTPRIO);
        let priority = u64::try_from(new.priority).unwrap_or(0);
        let old_priority = u64::try_from(old.priority).unwrap_or(0);
        let refused = realtime && (new.policy != old.policy && rt_limit == 0)
            || realtime && priority > old_priority && priority > rt_limit
            || new.policy == SCHED_DEADLINE
            || new.nice < old.nice && !super::priority::may_nice(target, new.nice)
            || old.policy == SCHED_IDLE && new.policy != SCHED_IDLE && !super::priority::may_nice(target, old.nice)
            || old.reset_on_fork && !new.reset_on_fork
            || !task.owns_or(target, Cap::CAP_SYS_NICE);
        if refused {
            return err(Errno::EPERM);
        }
    }
    target.sched.change(|params| *params = Params { ioprio: params.ioprio, ..new });
    Ok(())
}

/// Reads a structure that may be of an older or newer version than ours; E2BIG if it holds what we do not know.
fn read_attr(task: &CurrentTask, at: UserPtr<SchedAttr>) -> Result<SchedAttr> {
    let size: u32 = task.mm().read(at.cast())?;
    let size = if size == 0 { SCHED_ATTR_SIZE_VER0 } else { size };
    let ours = size_of::<SchedAttr>();
    let len = usize::try_from(size).unwrap_or(usize::MAX);
    if size < SCHED_ATTR_SIZE_VER0 || u64::from(size) > abi::PAGE_SIZE {
        let _ = task.mm().write(at.cast(), &u32::try_from(ours).unwrap_or(0));
        return err(Errno::E2BIG);
    }
    let mut bytes = vec![0; len.max(ours)];
    task.mm().read_bytes(at.addr(), &mut bytes[..len])?;
    if bytes[ours..].iter().any(|byte| *byte != 0) {
        let _ = task.mm().write(at.cast(), &u32::try_from(ours).unwrap_or(0));
        return err(Errno::E2BIG);
    }
    let mut attr = SchedAttr::default();
    attr.as_mut_bytes().copy_from_slice(&bytes[..ours]);
    Ok(attr)
}

fn cpu_words(task: &CurrentTask) -> usize {
    task.kernel().cpus.div_ceil(64)
}

fn all_cpus(task: &CurrentTask) -> Vec<u64> {
    let mut words = vec![u64::MAX; cpu_words(task)];
    let rest = task.kernel().cpus % 64;
    if rest != 0
        && let Some(last) = words.last_mut()
    {
        *last = (1 << rest) - 1;
    }
    words
}
