//! NUMA policy: get_mempolicy(2), set_mempolicy(2), mbind(2), move_pages(2), migrate_pages(2). There is one node.

use abi::mman::{
    GetMempolicyFlags, MPOL_DEFAULT, MPOL_LOCAL, MPOL_WEIGHTED_INTERLEAVE, MbindFlags, MempolicyModeFlags,
};
use abi::{Errno, PAGE_SIZE, UserAddr, UserRange};
use sentry::error::{Result, err};
use sentry::task::CurrentTask;
use sentry::user::UserPtr;

use crate::arg::flag_args;

flag_args! { GetMempolicyFlags: u32, MbindFlags: u32 }

/// One more than the highest node number that a mask may have bits for.
const MAX_NODES: u64 = 1024;
/// The only node.
const NODE_0: u64 = 1;

/// Reads a node mask of `max` bits; EINVAL for nodes that there are not.
fn read_nodes(task: &CurrentTask, mask: UserPtr<u64>, max: u64) -> Result<u64> {
    if mask.is_null() || max <= 1 {
        return Ok(0);
    }
    // As on Linux the last bit does not count.
    let bits = max - 1;
    if bits > MAX_NODES * 8 {
        return err(Errno::EINVAL);
    }
    let mut nodes = 0;
    for index in 0..bits.div_ceil(64) {
        let word = task.mm().read(mask.at(usize::try_from(index).map_err(|_| Errno::EINVAL)?)?)?;
        let left = bits - index * 64;
        let word = if left < 64 { word & ((1 << left) - 1) } else { word };
        if index > 0 && word != 0 {
            return err(Errno::EINVAL);
        }
        if index == 0 {
            nodes = word;
        }
    }
    if nodes & !NODE_0 != 0 { err(Errno::EINVAL) } else { Ok(nodes) }
}

/// Checks a policy and its nodes.
fn check_policy(mode: u32, nodes: u64) -> Result<()> {
    let all = MempolicyModeFlags::all().bits();
    let (flags, mode) = (mode & all, mode & !all);
    let relative = MempolicyModeFlags::MPOL_F_STATIC_NODES | MempolicyModeFlags::MPOL_F_RELATIVE_NODES;
    if mode > MPOL_WEIGHTED_INTERLEAVE || flags & relative.bits() == relative.bits() {
        return err(Errno::EINVAL);
    }
    match mode {
        MPOL_DEFAULT | MPOL_LOCAL if nodes != 0 || flags & relative.bits() != 0 => err(Errno::EINVAL),
        MPOL_DEFAULT | MPOL_LOCAL => Ok(()),
        // MPOL_PREFERRED without nodes is MPOL_LOCAL.
        abi::mman::MPOL_PREFERRED => Ok(()),
        _ if nodes == 0 => err(Errno::EINVAL),
        _ => Ok(()),
    }
}

/// set_mempolicy(2).
pub(crate) fn set_mempolicy(task: &mut CurrentTask, mode: u32, mask: UserPtr<u64>, max: u64) -> Result<()> {
    let nodes = read_nodes(task, mask, max)?;
    check_policy(mode, nodes)
}

/// mbind(2).
pub(crate) fn mbind(
    task: &mut CurrentTask,
    addr: UserAddr,
    len: u64,
    mode: u32,
    mask: UserPtr<u64>,
    max: u64,
    flags: MbindFlags,
) -> Result<()> {
    if !MbindFlags::all().contains(flags) || !addr.is_page_aligned() {
        return err(Errno::EINVAL);
    }
    let nodes = read_nodes(task, mask, max)?;
    check_policy(mode, nodes)?;
    let len = len.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::EINVAL)?;
    let range = UserRange::new(addr, len).map_err(|_| Errno::EINVAL)?;
    if !range.is_empty() && !task.mm().is_mapped(range) {
        return err(Errno::EFAULT);
    }
    Ok(())
}

/// get_mempolicy(2): always the default policy, always node 0.
pub(crate) fn get_mempolicy(
    task: &mut CurrentTask,
    mode: UserPtr<u32>,
    mask: UserPtr<u64>,
    max: u64,
    addr: UserAddr,
    flags: GetMempolicyFlags,
) -> Result<()> {
    let allowed = GetMempolicyFlags::MPOL_F_MEMS_ALLOWED;
    let by_address = GetMempolicyFlags::MPOL_F_ADDR;
    if !GetMempolicyFlags::all().contains(flags) || (!mask.is_null() && max < 1) {
        return err(Errno::EINVAL);
    }
    if flags.contains(allowed) && flags.intersects(by_address | GetMempolicyFlags::MPOL_F_NODE) {
        return err(Errno::EINVAL);
    }
    if flags.contains(by_address) {
        let page = UserRange::new(addr.page_down(), PAGE_SIZE)?;
        if !task.mm().is_mapped(page) {
            return err(Errno::EFAULT);
        }
    } else if !addr.is_null() {
        return err(Errno::EINVAL);
    } else if flags.contains(GetMempolicyFlags::MPOL_F_NODE) {
        // Only an interleaving policy has a next node.
        return err(Errno::EINVAL);
    }
    if let Some(mode) = mode.non_null() {
        task.mm().write(mode, &MPOL_DEFAULT)?;
    }
    if let Some(mask) = mask.non_null() {
        let nodes = if flags.contains(allowed) { NODE_0 } else { 0 };
        let words = usize::try_from(max.min(MAX_NODES).div_ceil(64)).map_err(|_| Errno::EINVAL)?;
        for index in 0..words {
            task.mm().write(mask.at(index)?, &if index == 0 { nodes } else { 0 })?;
        }
    }
    Ok(())
}
