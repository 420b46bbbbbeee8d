//! getpriority(2), setpriority(2), ioprio_get(2), ioprio_set(2).

use std::sync::Arc;

use abi::Errno;
use abi::capability::Cap;
use abi::resource::{
    IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE, IOPRIO_CLASS_NONE, IOPRIO_CLASS_RT, IOPRIO_CLASS_SHIFT, IOPRIO_WHO_PGRP,
    IOPRIO_WHO_PROCESS, IOPRIO_WHO_USER, PRIO_PGRP, PRIO_PROCESS, PRIO_USER, Resource,
};
use abi::sched::{MAX_NICE, MIN_NICE};
use sentry::error::{Result, err};
use sentry::task::{CurrentTask, Task};

/// Whom a call is about.
enum Who {
    Process,
    ProcessGroup,
    User,
}

/// getpriority(2): 20 minus the nice value, so that it is never negative.
pub(crate) fn getpriority(task: &mut CurrentTask, which: u32, who: i32) -> Result<i32> {
    let targets = select(task, prio_who(which)?, who)?;
    let highest = targets.iter().map(|target| MAX_NICE + 1 - target.sched.nice()).max();
    highest.ok_or_else(|| Errno::ESRCH.into())
}

/// setpriority(2).
pub(crate) fn setpriority(task: &mut CurrentTask, which: u32, who: i32, nice: i32) -> Result<()> {
    let targets = select(task, prio_who(which)?, who)?;
    let nice = nice.clamp(MIN_NICE, MAX_NICE);
    let mut result = err(Errno::ESRCH);
    for target in targets {
        let refused = if !task.owns_or(&target, Cap::CAP_SYS_NICE) {
            Some(Errno::EPERM)
        } else if nice < target.sched.nice() && !task.creds().has(Cap::CAP_SYS_NICE) && !may_nice(&target, nice) {
            Some(Errno::EACCES)
        } else {
            target.sched.change(|params| params.nice = nice);
            None
        };
        match refused {
            Some(errno) => result = err(errno),
            None if result.as_ref().is_err_and(|e| e.is(Errno::ESRCH)) => result = Ok(()),
            None => {}
        }
    }
    result
}

/// Whether RLIMIT_NICE lets a task have this nice value: the limit is 20 minus it.
pub(super) fn may_nice(target: &Task, nice: i32) -> bool {
    let wanted = u64::try_from(20 - nice).unwrap_or(0);
    wanted <= target.group().limits().soft(Resource::RLIMIT_NICE)
}

/// ioprio_get(2).
pub(crate) fn ioprio_get(task: &mut CurrentTask, which: u32, who: i32) -> Result<u32> {
    let targets = select(task, ioprio_who(which)?, who)?;
    let best = targets.iter().map(|target| target.sched.get().ioprio).min_by_key(|ioprio| match ioprio {
        // No class counts as best effort, in the middle.
        0 => IOPRIO_CLASS_BE << IOPRIO_CLASS_SHIFT | 4,
        ioprio => *ioprio,
    });
    best.ok_or_else(|| Errno::ESRCH.into())
}

/// Whether a request of asynchronous I/O may carry this priority: a class that there is, with its level.
pub(crate) fn is_io_priority(ioprio: i16) -> bool {
    let ioprio = u32::from(ioprio.cast_unsigned());
    match ioprio >> IOPRIO_CLASS_SHIFT {
        IOPRIO_CLASS_RT | IOPRIO_CLASS_BE | IOPRIO_CLASS_IDLE => true,
        class => class == IOPRIO_CLASS_NONE && ioprio & 7 == 0,
    }
}

/// ioprio_set(2).
pub(crate) fn ioprio_set(task: &mut CurrentTask, which: u32, who: i32, ioprio: u32) -> Result<()> {
    let (class, level) = (ioprio >> IOPRIO_CLASS_SHIFT, ioprio & 7);
    match class {
        IOPRIO_CLASS_RT if !task.creds().has(Cap::CAP_SYS_ADMIN) && !task.creds().has(Cap::CAP_SYS_NICE) => {
            return err(Errno::EPERM);
        }
        IOPRIO_CLASS_RT | IOPRIO_CLASS_BE | IOPRIO_CLASS_IDLE => {}
        IOPRIO_CLASS_NONE if level == 0 => {}
        _ => return err(Errno::EINVAL),
    }
    let targets = select(task, ioprio_who(which)?, who)?;
    if targets.is_empty() {
        return err(Errno::ESRCH);
    }
    for target in targets {
        if !task.owns_or(&target, Cap::CAP_SYS_NICE) {
            return err(Errno::EPERM);
        }
        target.sched.change(|params| params.ioprio = ioprio);
    }
    Ok(())
}

fn prio_who(which: u32) -> Result<Who> {
    match which {
        PRIO_PROCESS => Ok(Who::Process),
        PRIO_PGRP => Ok(Who::ProcessGroup),
        PRIO_USER => Ok(Who::User),
        _ => err(Errno::EINVAL),
    }
}

fn ioprio_who(which: u32) -> Result<Who> {
    match which {
        IOPRIO_WHO_PROCESS => Ok(Who::Process),
        IOPRIO_WHO_PGRP => Ok(Who::ProcessGroup),
        IOPRIO_WHO_USER => Ok(Who::User),
        _ => err(Errno::EINVAL),
    }
}

fn select(task: &CurrentTask, which: Who, who: i32) -> Result<Vec<Arc<Task>>> {
    let ns = task.pid_ns();
    Ok(match which {
        Who::Process if who == 0 => vec![Arc::clone(task)],
        Who::Process => ns.task(who).into_iter().collect(),
        Who::ProcessGroup => {
            let group = if who == 0 { task.group().process_group() } else { ns.process_group(who) };
            group.map_or_else(Vec::new, |group| group.members().iter().flat_map(|m| m.threads()).collect())
        }
        Who::User => {
            let uid = match who {
                0 => task.creds().uid,
                who => task.creds().user_ns.uid(who.cast_unsigned()).map_err(|_| Errno::ESRCH)?,
            };
            ns.groups().iter().flat_map(|group| group.threads()).filter(|other| other.creds().uid == uid).collect()
        }
    })
}
