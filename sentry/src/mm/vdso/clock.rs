//! How the clocks of the host follow from the time stamp counter.
//!
//! Each update samples the clocks, learns their rates from the time since the sample before, and makes parameters that go on
//! where the last ones are, with a rate that takes up the error until the next update. So a clock never jumps, unless the
//! host's did. The first updates come soon, because the first baseline is short; from then on every second.

use abi::time::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE, CLOCK_TAI,
};
use host::clock::Clock;
use host::tsc::{self, Sample};

const NS_PER_SEC: i64 = 1_000_000_000;
/// The shortest baseline that a rate is learnt from.
const FIRST_NS: i64 = 500_000;
/// The usual time between updates.
const USUAL_NS: i64 = NS_PER_SEC;
/// An error beyond this is not taken up slowly.
const STEP_NS: i64 = 1_000_000;
/// So many steps of the monotonic clock, and the counter is no longer trusted.
const MAX_STEPS: u32 = 8;
/// How often a clock is read for one sample.
const TRIES: u32 = 6;

/// What the page of parameters says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    /// The counter at which the times hold.
    pub(super) tsc: u64,
    pub(super) clocks: Vec<ClockParameters>,
}

/// One clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockParameters {
    pub(super) id: usize,
    pub(super) sec: u64,
    pub(super) nsec: u64,
    /// Nanoseconds per tick, times 2^32.
    pub(super) rate: u64,
}

/// Follows the clocks of the host.
#[derive(Debug)]
pub(super) struct Keeper {
    due: u64,
    /// How long the next interval is.
    interval: i64,
    steps: u32,
    /// CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW.
    lines: Option<[Line; 3]>,
}

const SOURCES: [Clock; 3] = [Clock::REALTIME, Clock::MONOTONIC, Clock::MONOTONIC_RAW];

/// One clock as a line over the counter.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The last sample of the host's clock.
    sample: Sample,
    /// What the parameters say: `ns` at `tsc`, then `rate`. No rate yet: the first sample.
    tsc: u64,
    ns: i64,
    rate: Option<u64>,
}

impl Line {
    fn start(sample: Sample) -> Self {
        Self { sample, tsc: sample.tsc, ns: sample.ns, rate: None }
    }

    /// What the parameters say at `tsc`.
    fn at(&self, tsc: u64) -> i64 {
        self.ns.saturating_add(scale(tsc.saturating_sub(self.tsc), self.rate.unwrap_or(0)))
    }

    /// Goes on from a new sample; whether it had to step.
    fn follow(&mut self, sample: Sample, interval: i64) -> Option<bool> {
        let ticks = sample.tsc.checked_sub(self.sample.tsc).filter(|ticks| *ticks > 0)?;
        let passed = u64::try_from(sample.ns.checked_sub(self.sample.ns)?).ok()?;
        let rate = u64::try_from((u128::from(passed) << 32) / u128::from(ticks)).ok()?;
        let shown = self.at(sample.tsc);
        let error = sample.ns.saturating_sub(shown);
        let stepped = self.rate.is_none() || error.abs() > STEP_NS;
        *self = if stepped {
            Self { sample, tsc: sample.tsc, ns: sample.ns, rate: Some(rate) }
        } else {
            // `error` over `interval`, as a part of the rate; at most a thousandth part, because the error is small.
            let correction = i128::from(rate) * i128::from(error) / i128::from(interval.max(USUAL_NS / 10));
            let rate = u64::try_from(i128::from(rate) + correction).unwrap_or(rate);
            Self { sample, tsc: sample.tsc, ns: shown, rate: Some(rate) }
        };
        Some(stepped)
    }
}

impl Keeper {
    pub(super) fn new() -> Self {
        if !tsc::is_invariant() {
            return Self::never();
        }
        let Some(samples) = sample_all() else { return Self::never() };
        // The rate is not known yet; no counter runs slower than 0.5 GHz or so, and an early look does no harm.
        let due = tsc::now().saturating_add(FIRST_NS.unsigned_abs() / 2);
        Self { due, interval: FIRST_NS, steps: 0, lines: Some(samples.map(Line::start)) }
    }

    pub(super) fn never() -> Self {
        Self { due: u64::MAX, interval: USUAL_NS, steps: 0, lines: None }
    }

    /// The counter at which the next update is due.
    pub(super) fn due(&self) -> u64 {
        self.due
    }

    /// Looks at the clocks again. `None`: the counter cannot be used (yet).
    pub(super) fn update(&mut self) -> Option<Parameters> {
        let lines = self.lines.as_mut()?;
        let Some(samples) = sample_all() else {
            *self = Self::never();
            return None;
        };
        if samples[1].ns.saturating_sub(lines[1].sample.ns) < FIRST_NS {
            self.due = samples[1].tsc.saturating_add(FIRST_NS.unsigned_abs() / 2);
            return None;
        }
        let first = lines[1].rate.is_none();
        self.interval = if first { USUAL_NS / 20 } else { self.interval.saturating_mul(4).min(USUAL_NS) };
        let mut steps = [false; 3];
        for ((line, sample), stepped) in lines.iter_mut().zip(samples).zip(&mut steps) {
            // A clock that ran backwards is sampled anew; until then it is not told.
            match line.follow(sample, self.interval) {
                Some(step) => *stepped = step,
                None => *line = Line::start(sample),
            }
        }
        if steps[1] && !first {
            self.steps += 1;
        }
        if self.steps > MAX_STEPS || lines[1].rate.is_none() {
            *self = Self::never();
            return None;
        }
        let parameters = parameters(lines);
        let rate = lines[1].rate.unwrap_or(1).max(1);
        let ticks = (u128::from(self.interval.unsigned_abs()) << 32) / u128::from(rate);
        self.due = samples[1].tsc.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX));
        parameters
    }
}

fn sample_all() -> Option<[Sample; 3]> {
    let mut samples = [Sample::default(); 3];
    for (sample, clock) in samples.iter_mut().zip(SOURCES) {
        *sample = tsc::sample(clock, TRIES).ok()?;
    }
    Some(samples)
}

/// All lines at one moment, and the clocks that differ from them by a constant.
fn parameters(lines: &[Line; 3]) -> Option<Parameters> {
    let [realtime, monotonic, raw] = lines;
    let tsc = lines.iter().map(|line| line.tsc).max()?;
    // Suspending and leap seconds change these; both are read between samples, so they are rounded to what they can be.
    let beyond = |clock: Clock, base: Clock, unit: i64| -> Option<i64> {
        let (before, there, after) = (base.now().ok()?, clock.now().ok()?, base.now().ok()?);
        let offset = there - before - (after - before) / 2;
        Some(offset.saturating_add(unit / 2).div_euclid(unit) * unit)
    };
    let boot = beyond(Clock::BOOTTIME, Clock::MONOTONIC, 1)?;
    // Without suspends the two clocks are one.
    let boot = if boot.abs() < 10_000 { 0 } else { boot };
    let tai = beyond(Clock::TAI, Clock::REALTIME, NS_PER_SEC)?;
    let mut clocks = Vec::with_capacity(7);
    let mut tell = |id: i32, line: &Line, offset: i64| {
        let (Ok(id), Some(rate), Ok(ns)) = (usize::try_from(id), line.rate, u64::try_from(line.at(tsc) + offset))
        else {
            return;
        };
        let unit = NS_PER_SEC.unsigned_abs();
        clocks.push(ClockParameters { id, sec: ns / unit, nsec: ns % unit, rate });
    };
    for id in [CLOCK_REALTIME, CLOCK_REALTIME_COARSE] {
        tell(id, realtime, 0);
    }
    for id in [CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE] {
        tell(id, monotonic, 0);
    }
    tell(CLOCK_MONOTONIC_RAW, raw, 0);
    // A suspended host changes the offset between updates; the call is exact then.
    if boot == 0 {
        tell(CLOCK_BOOTTIME, monotonic, 0);
    }
    tell(CLOCK_TAI, realtime, tai);
    Some(Parameters { tsc, clocks })
}

/// `ticks` at `rate` in nanoseconds.
fn scale(ticks: u64, rate: u64) -> i64 {
    i64::try_from((u128::from(ticks) * u128::from(rate)) >> 32).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Line, scale};
    use host::tsc::Sample;

    fn sample(tsc: u64, ns: i64) -> Sample {
        Sample { tsc, ns, width: 0 }
    }

    #[test]
    fn a_line_takes_up_its_error_without_a_jump() {
        let second = 1_000_000_000;
        let mut line = Line::start(sample(0, 0));
        assert_eq!(line.follow(sample(3_000_000, 1_000_000), second), Some(true));
        assert_eq!(line.at(6_000_000), 1_999_999);
        // The host says 500 ns more after the next second.
        let tsc = 3_003_000_000;
        let before = line.at(tsc);
        assert_eq!(line.follow(sample(tsc, 1_001_000_500), second), Some(false));
        assert_eq!(line.at(tsc), before);
        let later = tsc + 3_000_000_000;
        assert!((line.at(later) - 2_001_001_000).abs() < 3, "{}", line.at(later));
    }

    #[test]
    fn a_clock_that_was_set_is_followed_at_once() {
        let mut line = Line::start(sample(0, 0));
        line.follow(sample(1000, 1000), 1_000_000_000);
        assert_eq!(line.follow(sample(2000, 5_000_000_000), 1_000_000_000), Some(true));
        assert_eq!(line.at(2000), 5_000_000_000);
        assert_eq!(line.follow(sample(3000, 4_000_000_000), 1_000_000_000), None);
        assert_eq!(scale(u64::MAX, u64::MAX), i64::MAX);
    }
}
