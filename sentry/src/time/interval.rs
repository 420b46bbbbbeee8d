//! The arithmetic of something that expires on a clock, once or again and again. Times are nanoseconds on that clock.

/// When something expires next, and how often after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    next: Option<i64>,
    every: i64,
}

impl Interval {
    /// Expires at `next` (`None`: never), then every `every` nanoseconds if that is positive.
    #[must_use]
    pub fn new(next: Option<i64>, every: i64) -> Self {
        Self { next, every: every.max(0) }
    }

    /// When it expires next.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// Whether it has expired by `now` and was not moved on.
    #[must_use]
    pub fn is_due(&self, now: i64) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// Moves on past `now`; returns how often it has expired.
    pub fn advance(&mut self, now: i64) -> u64 {
        let Some(next) = self.next.filter(|next| *next <= now) else { return 0 };
        if self.every == 0 {
            self.next = None;
            return 1;
        }
        let times = (now.saturating_sub(next) / self.every).saturating_add(1);
        self.next = Some(next.saturating_add(self.every.saturating_mul(times)));
        times.unsigned_abs()
    }

    /// How long until the next expiry, and the interval: what timer_gettime(2) tells. Zero if it will not expire; never zero
    /// if it will.
    #[must_use]
    pub fn remaining(&self, now: i64) -> (i64, i64) {
        let mut ahead = *self;
        ahead.advance(now);
        (ahead.next.map_or(0, |next| next.saturating_sub(now).max(1)), self.every)
    }
}

#[cfg(test)]
mod tests {
    use super::Interval;

    #[test]
    fn a_single_shot_expires_once() {
        let mut once = Interval::new(Some(100), 0);
        assert_eq!((once.advance(99), once.remaining(99)), (0, (1, 0)));
        assert_eq!((once.advance(500), once.advance(600)), (1, 0));
        assert_eq!(once.remaining(600), (0, 0));
    }

    #[test]
    fn a_period_counts_what_was_missed_and_keeps_its_phase() {
        let mut timer = Interval::new(Some(100), 10);
        assert_eq!(timer.remaining(135), (5, 10));
        assert_eq!(timer.advance(135), 4);
        assert_eq!(timer.next(), Some(140));
        assert_eq!((timer.advance(140), timer.next()), (1, Some(150)));
    }

    #[test]
    fn extreme_values_do_not_overflow() {
        let mut timer = Interval::new(Some(i64::MIN), 1);
        assert!(timer.advance(i64::MAX) > 0);
        let mut timer = Interval::new(Some(0), i64::MAX);
        assert_eq!(timer.advance(i64::MAX), 2);
        assert_eq!(Interval::new(Some(i64::MAX), i64::MIN).remaining(i64::MIN), (i64::MAX, 0));
    }
}
