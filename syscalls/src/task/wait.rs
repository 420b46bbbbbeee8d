//! wait4(2), waitid(2).

use abi::Errno;
use abi::resource::Rusage;
use abi::siginfo::{CLD_CONTINUED, CLD_DUMPED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, CLD_TRAPPED, SigInfo};
use abi::signal::Signal;
use abi::wait::{P_ALL, P_PGID, P_PID, P_PIDFD, WaitOptions};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::task::group::JobReport;
use sentry::task::pidfd::PidFd;
use sentry::task::wait::{WaitFor, Waited};
use sentry::user::UserPtr;

use super::usage::rusage;

/// wait4(2).
pub(crate) fn wait4(
    task: &mut CurrentTask,
    pid: i32,
    status: UserPtr<i32>,
    options: WaitOptions,
    usage: UserPtr<Rusage>,
) -> Result<i32> {
    const ALLOWED: WaitOptions = WaitOptions::WNOHANG
        .union(WaitOptions::WSTOPPED)
        .union(WaitOptions::WCONTINUED)
        .union(WaitOptions::__WNOTHREAD)
        .union(WaitOptions::__WCLONE)
        .union(WaitOptions::__WALL);
    if !ALLOWED.contains(options) {
        return err(Errno::EINVAL);
    }
    let which = match pid {
        i32::MIN => return err(Errno::ESRCH),
        -1 => WaitFor::Any,
        0 => own_group(task)?,
        pid if pid < 0 => WaitFor::ProcessGroup(find(task, -pid)?),
        pid => WaitFor::Pid(find(task, pid)?),
    };
    let Some(waited) = task.wait_for_child(&which, options | WaitOptions::WEXITED)? else { return Ok(0) };
    if let Some(status) = status.non_null() {
        task.mm().write(status, &waited.status.0)?;
    }
    write_usage(task, usage, &waited)?;
    Ok(waited.pid)
}

/// waitid(2).
pub(crate) fn waitid(
    task: &mut CurrentTask,
    kind: u32,
    id: i32,
    info: UserPtr<SigInfo>,
    options: WaitOptions,
    usage: UserPtr<Rusage>,
) -> Result<()> {
    const EVENTS: WaitOptions = WaitOptions::WEXITED.union(WaitOptions::WSTOPPED).union(WaitOptions::WCONTINUED);
    let allowed = EVENTS
        | WaitOptions::WNOHANG
        | WaitOptions::WNOWAIT
        | WaitOptions::__WNOTHREAD
        | WaitOptions::__WCLONE
        | WaitOptions::__WALL;
    if !allowed.contains(options) || !options.intersects(EVENTS) {
        return err(Errno::EINVAL);
    }
    let mut effective = options;
    let which = match kind {
        P_ALL => WaitFor::Any,
        P_PID if id > 0 => WaitFor::Pid(find(task, id)?),
        P_PGID if id == 0 => own_group(task)?,
        P_PGID if id > 0 => WaitFor::ProcessGroup(find(task, id)?),
        P_PIDFD if id >= 0 => {
            let file = task.files().get(id)?;
            if file.nonblocking() {
                effective |= WaitOptions::WNOHANG;
            }
            WaitFor::Pid(PidFd::pid_of(&file)?)
        }
        _ => return err(Errno::EINVAL),
    };
    let waited = task.wait_for_child(&which, effective)?;
    if waited.is_none() && effective != options {
        // A non-blocking pidfd says so, instead of an empty answer.
        return err(Errno::EAGAIN);
    }
    if let Some(waited) = &waited {
        write_usage(task, usage, waited)?;
    }
    if let Some(at) = info.non_null() {
        let info = waited.map_or_else(SigInfo::default, |waited| child_info(task, &waited));
        // Only the first fields are stored; what lies behind them in a siginfo_t is left alone.
        task.mm().write(at.cast(), &ChildInfo::of(&info))?;
    }
    Ok(())
}

/// The part of a siginfo_t that waitid(2) stores.
#[derive(zerocopy::IntoBytes, zerocopy::Immutable)]
#[repr(C)]
struct ChildInfo {
    signo: i32,
    errno: i32,
    code: i32,
    padding: i32,
    pid: i32,
    uid: u32,
    status: i32,
}

impl ChildInfo {
    fn of(info: &SigInfo) -> Self {
        Self {
            signo: info.si_signo,
            errno: 0,
            code: info.si_code,
            padding: 0,
            pid: info.pid(),
            uid: info.uid(),
            status: info.status(),
        }
    }
}

fn child_info(task: &CurrentTask, waited: &Waited) -> SigInfo {
    if waited.trapped {
        let uid = task.creds().user_ns.show_uid(waited.uid);
        return SigInfo::child(CLD_TRAPPED, waited.pid, uid, waited.status.0 >> 8, 0, 0);
    }
    let (code, status) = match (waited.job, waited.status.term_signal()) {
        (Some(JobReport::Stopped(signal)), _) => (CLD_STOPPED, signal.number()),
        (Some(JobReport::Continued), _) => (CLD_CONTINUED, Signal::SIGCONT.number()),
        (None, Some(signal)) if waited.status.core_dumped() => (CLD_DUMPED, signal.number()),
        (None, Some(signal)) => (CLD_KILLED, signal.number()),
        (None, None) => (CLD_EXITED, waited.status.exit_code().unwrap_or(0)),
    };
    SigInfo::child(code, waited.pid, task.creds().user_ns.show_uid(waited.uid), status, 0, 0)
}

fn own_group(task: &CurrentTask) -> Result<WaitFor> {
    let group = task.group().process_group().ok_or(Errno::ECHILD)?;
    Ok(WaitFor::ProcessGroup(std::sync::Arc::clone(group.pid())))
}

/// The pid of a number; no pid means no child.
fn find(task: &CurrentTask, number: i32) -> Result<std::sync::Arc<sentry::task::Pid>> {
    task.pid_ns().pid(number).ok_or_else(|| Errno::ECHILD.into())
}

fn write_usage(task: &CurrentTask, at: UserPtr<Rusage>, waited: &Waited) -> Result<()> {
    match at.non_null() {
        Some(at) => task.mm().write(at, &rusage(&waited.usage)),
        None => Ok(()),
    }
}
