//! Direct calls: through memory, while the sentry's thread looks for them on another CPU.
//!
//! The word [`area::STATE`] says whose turn it is:
//!
//! - [`ASLEEP`]: the sentry does not look. Calls go the ordinary way.
//! - [`SPINNING`]: it looks; application code is running.
//! - [`POSTED`]: there is a call, and its thread looks for the answer.
//! - [`WAITING`]: the same, but the thread has stopped looking, and is or soon will be in a notification.
//! - [`LEARN`]: instead of an answer, the thread is to report all its registers; [`LEARN_ASLEEP`]: by a notification.
//! - [`TOLD`]: there is a report, and its thread looks for the answer; [`TOLD_WAITING`]: it has stopped looking.
//! - [`TELL_AGAIN`]: instead of an answer to a report, the thread is to report by a notification.
//!
//! The application can write all this at any time. What it can make us believe is that it has made a call, while it runs on:
//! so in an address space with gates nothing that is taken away waits until later ([`super::space`]), and no thread counts
//! as stopped for others before it is in a notification.
//!
//! Neighbours: [`super::direct_text`] is the other side, [`super::spin`] decides when to look.

use std::sync::atomic::Ordering;

use abi::UserAddr;

use super::area::{self, Area};
use super::direct_text::Labels;
use crate::event::SyscallArgs;
use crate::regs::Regs;

pub(super) const ASLEEP: u32 = 0;
pub(super) const SPINNING: u32 = 1;
pub(super) const POSTED: u32 = 2;
pub(super) const WAITING: u32 = 3;
pub(super) const LEARN: u32 = 4;
pub(super) const TOLD: u32 = 5;
pub(super) const TOLD_WAITING: u32 = 6;
pub(super) const TELL_AGAIN: u32 = 7;
pub(super) const LEARN_ASLEEP: u32 = 8;

/// Flags that `lahf` gives: SF, ZF, AF, PF, CF.
const LOW_FLAGS: u64 = 0xd5;
const OVERFLOW: u64 = 0x800;

/// Lets the thread know that we look, or that we do not. While it waits for us this is the answer's business.
pub(super) fn set_looking(area: &Area, looking: bool) {
    area.word(area::STATE).store(if looking { SPINNING } else { ASLEEP }, Ordering::SeqCst);
}

/// Has the thread give way to others on its CPU while it looks for its answer, or not.
pub(super) fn set_yielding(area: &Area, yielding: bool) {
    area.word(area::YIELDS).store(yielding.into(), Ordering::Relaxed);
}

/// The call that is posted, if one is.
#[inline]
pub(super) fn posted(area: &Area) -> Option<SyscallArgs> {
    // Who waits has posted before, and we were away for that long.
    if !matches!(area.word(area::STATE).load(Ordering::Acquire), POSTED | WAITING) {
        return None;
    }
    let nr = area.word(area::NUMBER).load(Ordering::Relaxed).cast_signed();
    let args = std::array::from_fn(|i| area.read(area::ARGS + i as u64 * 8));
    let ip = UserAddr(area.read(area::RETURN));
    Some(SyscallArgs { nr: i64::from(nr).cast_unsigned(), args, ip, compat: false })
}

/// Whether a report has come.
#[inline]
pub(super) fn is_told(area: &Area) -> bool {
    matches!(area.word(area::STATE).load(Ordering::Acquire), TOLD | TOLD_WAITING)
}

/// Stops looking. Something may have come just before; then nothing changes, and it returns false.
pub(super) fn look_away(area: &Area) -> bool {
    area.word(area::STATE).compare_exchange(SPINNING, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

/// Answers the posted call, and goes on looking or not. Returns whether the thread saw to it itself; if not, it waits in a
/// notification.
#[inline]
pub(super) fn answer(area: &Area, value: u64, looking: bool) -> bool {
    area.write(area::ARGS, value);
    hand_back(area, POSTED, looking)
}

/// The same for a report.
#[inline]
pub(super) fn answer_report(area: &Area, value: u64, looking: bool) -> bool {
    area.write(area::ANSWER, value);
    hand_back(area, TOLD, looking)
}

/// Has the thread report instead, through memory if we are looking. Returns the same.
pub(super) fn ask_for_registers(area: &Area, looking: bool) -> bool {
    change(area, POSTED, if looking { LEARN } else { LEARN_ASLEEP })
}

/// We do not look for that report any longer. Returns false if it has come.
pub(super) fn ask_by_notification(area: &Area) -> bool {
    change(area, LEARN, LEARN_ASLEEP)
}

/// Has the thread make its report by a notification, if it is not doing so already.
pub(super) fn ask_again(area: &Area) {
    change(area, TOLD, TELL_AGAIN);
}

#[inline]
fn hand_back(area: &Area, from: u32, looking: bool) -> bool {
    change(area, from, if looking { SPINNING } else { ASLEEP })
}

#[inline]
fn change(area: &Area, from: u32, to: u32) -> bool {
    area.word(area::STATE).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// The same for a thread that waits in a notification: it looks at this once it is answered.
pub(super) fn leave_word(area: &Area, word: u32) {
    area.word(area::STATE).store(word, Ordering::SeqCst);
}

/// How many calls came through gates in vain since the last time, if any did.
#[inline]
pub(super) fn misses(area: &Area, seen: &mut u32) -> bool {
    let now = area.word(area::MISSES).load(Ordering::Relaxed);
    std::mem::replace(seen, now) != now
}

/// Where a thread is, by its instruction pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// In application code.
    Outside,
    /// On its way from a gate to a call. If the gate is one of ours, it will make one soon, and has not yet.
    Before,
    /// It has posted its call.
    After,
}

/// Tells by the registers of a report.
pub(super) fn whereabouts(labels: &Labels, regs: &Regs) -> Whereabouts {
    const ZERO_FLAG: u64 = 0x40;
    let rip = regs.rip;
    if (labels.entry..labels.tried).contains(&rip) {
        return Whereabouts::Before;
    }
    if !(labels.tried..labels.end).contains(&rip) {
        return Whereabouts::Outside;
    }
    match rip == labels.tried && regs.eflags & ZERO_FLAG == 0 || rip >= labels.lost {
        true => Whereabouts::Before,
        false => Whereabouts::After,
    }
}

/// The registers of a thread that has posted a call, as it will have them when the call returns; without the result.
pub(super) fn returned(area: &Area, regs: &mut Regs) {
    let saved = area.read(area::FLAGS);
    let (overflow, low) = (saved & 0xff, saved >> 8 & LOW_FLAGS);
    regs.eflags = regs.eflags & !(LOW_FLAGS | OVERFLOW) | low | if overflow != 0 { OVERFLOW } else { 0 };
    regs.rip = area.read(area::RETURN);
    regs.rcx = regs.rip;
    regs.r11 = regs.eflags;
}
