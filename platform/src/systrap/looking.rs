//! Calls and reports that pass through memory: the thread's side of it is [`super::direct`], when to look for them [`super::spin`].

use std::os::fd::AsFd;

use host::{notify, sched};

use super::direct;
use super::spin::Next;
use super::thread::{Link, Report, Thread, Waiting};
use crate::traits::PlatformError;

/// How often to look for a report that must be there soon; some 50 microseconds.
const PATIENT_LOOKS: u32 = 1000;

impl Thread {
    /// From a direct call to a report with all registers. If the application has made us believe in one, its code runs on; it has to be back soon.
    pub(super) fn finish_direct(&mut self) -> Result<Report, PlatformError> {
        if self.spin.is_active()
            && direct::ask_for_registers(&self.area, true)
            && let Some(report) = self.look_for_registers()?
        {
            self.waiting = Waiting::Told(report);
            return Ok(report);
        }
        self.stop_looking();
        self.pulse.kicked();
        direct::ask_for_registers(&self.area, false);
        if let Waiting::Waited(_) = self.receive()? {
            direct::leave_word(&self.area, direct::LEARN_ASLEEP);
            self.answer(0);
            self.receive()?;
        }
        direct::set_looking(&self.area, false);
        match self.waiting {
            Waiting::Report(_, report) => Ok(report),
            _ => Err(self.misbehaves()),
        }
    }

    /// The report that was asked for; none if it is to come by a notification, because it takes long.
    fn look_for_registers(&self) -> Result<Option<Report>, PlatformError> {
        for _ in 0..PATIENT_LOOKS {
            if direct::is_told(&self.area) {
                break;
            }
            std::hint::spin_loop();
        }
        if direct::ask_by_notification(&self.area) {
            return Ok(None);
        }
        match self.find()? {
            Some(Waiting::Told(report)) => Ok(Some(report)),
            _ => Err(self.misbehaves()),
        }
    }

    /// Whether to look for direct calls after the next answer.
    pub(super) fn begins_to_look(&mut self) -> bool {
        !self.spin.is_active() && matches!(self.waiting, Waiting::Call(..) | Waiting::Report(..)) && self.spin.begins()
    }

    /// Prepares that. The application can make us believe in calls from now on.
    pub(super) fn begin_to_look(&self) {
        // It is to run on another CPU.
        self.set_synchronous(false);
        self.kept_off.set(None);
        self.keep_away();
        direct::set_looking(&self.area, true);
    }

    /// The sentry is about to wait before it answers a call, or has done so. Returns false if that is no direct call.
    pub(super) fn takes_turns(&self, begins: bool) -> bool {
        self.spin.takes_turns(begins);
        if !self.spin.is_active() || !matches!(self.waiting, Waiting::Direct(_)) {
            return false;
        }
        direct::set_yielding(&self.area, begins);
        if !begins {
            self.keep_away();
        }
        true
    }

    /// Keeps it off the CPU that we are on.
    fn keep_away(&self) {
        let here = sched::current_cpu();
        if self.kept_off.replace(Some(here)) != Some(here)
            && let Some(all) = sched::all_cpus()
        {
            let _ = all.without(here).apply(self.tid);
        }
    }

    /// Answers a direct call. Returns false if a report has come meanwhile.
    pub(super) fn answer_direct(&mut self, value: u64) -> Result<bool, PlatformError> {
        if direct::answer(&self.area, value, self.spin.is_active()) {
            return Ok(true);
        }
        // Where several take turns, the next call will not be long in coming.
        let goes_on = self.spin.is_active() && self.spin.is_one_of_several();
        if !goes_on {
            self.stop_looking();
        }
        match self.receive()? {
            Waiting::Waited(_) => {
                direct::leave_word(&self.area, if goes_on { direct::SPINNING } else { direct::ASLEEP });
                self.answer(0);
                Ok(true)
            }
            Waiting::Report(..) => {
                self.stop_looking();
                Ok(false)
            }
            _ => Err(self.misbehaves()),
        }
    }

    /// Looks for the next direct call, for as long as that seems worth it. `stop` tells that we are wanted elsewhere.
    pub(super) fn look(&mut self, stop: &dyn Fn() -> bool) -> Result<Option<Waiting>, PlatformError> {
        if !self.spin.is_active() {
            return Ok(None);
        }
        let mut look = self.spin.look();
        loop {
            for _ in 0..8 {
                if let Some(found) = self.find()? {
                    self.spin.served();
                    return Ok(Some(found));
                }
                std::hint::spin_loop();
            }
            let over = match self.spin.after(&mut look) {
                Next::Look => false,
                Next::Ask if self.has_notification() => {
                    // It may be from one that waits for the answer to what it has posted just now.
                    if let Some(found) = self.find()? {
                        self.spin.served();
                        return Ok(Some(found));
                    }
                    if self.spin.lets_pass() {
                        return self.receive().map(Some);
                    }
                    true
                }
                Next::Ask => {
                    if self.spin.is_one_of_several() {
                        std::thread::yield_now();
                    }
                    stop()
                }
                Next::Stop => true,
            };
            if over {
                // Something may have come at last: it is answered, and then we sleep.
                let late = if direct::look_away(&self.area) { None } else { self.find()? };
                self.stop_looking();
                return Ok(late);
            }
        }
    }

    /// What has come through memory.
    #[inline]
    fn find(&self) -> Result<Option<Waiting>, PlatformError> {
        if let Some(call) = direct::posted(&self.area) {
            return Ok(Some(Waiting::Direct(call)));
        }
        if !direct::is_told(&self.area) {
            return Ok(None);
        }
        match self.written_report(0)? {
            Waiting::Report(_, report) => Ok(Some(Waiting::Told(report))),
            // It never parks this way.
            _ => Err(self.misbehaves()),
        }
    }

    fn has_notification(&self) -> bool {
        match &self.link {
            Link::Listener(listener) => notify::is_pending(listener.as_fd()),
            Link::Futex => false,
        }
    }

    /// Ends what [`Self::begin_to_look`] began.
    pub(super) fn stop_looking(&mut self) {
        if self.spin.is_active() {
            self.spin.ended();
            self.set_synchronous(true);
            if let Some(all) = sched::all_cpus() {
                let _ = all.apply(self.tid);
            }
        }
    }

    /// The same where something has come the ordinary way meanwhile, and more is to.
    pub(super) fn look_no_longer(&mut self) {
        if self.spin.is_active() && !matches!(self.waiting, Waiting::Direct(_) | Waiting::Told(_)) {
            self.stop_looking();
            direct::set_looking(&self.area, false);
        }
    }

    fn set_synchronous(&self, yes: bool) {
        if let Link::Listener(listener) = &self.link {
            let _ = notify::set_synchronous(listener.as_fd(), yes);
        }
    }
}
