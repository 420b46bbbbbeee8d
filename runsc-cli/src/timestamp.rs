//! Times as logs and state files write them: RFC 3339, in UTC.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp(Duration);

impl Timestamp {
    /// Now.
    pub(crate) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// Seconds since 1970.
    pub(crate) const fn from_unix(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As ps writes a start: `19:54` today, else `Nov20`.
    pub(crate) fn short(self, today: Self) -> String {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let ((_, month, day), (hour, minute, _)) = (self.date(), self.time());
        if self.date() == today.date() {
            return format!("{hour:02}:{minute:02}");
        }
        let month = (1..).zip(MONTHS).find_map(|(number, name)| (number == month).then_some(name)).unwrap_or_default();
        format!("{month}{day:02}")
    }

    /// With seconds only: `2026-11-20T19:54:59Z`.
    pub(crate) fn seconds(self) -> String {
        Self(Duration::from_secs(self.0.as_secs())).to_string()
    }

    /// For the name of a log file: `20261120-195459.123456`.
    pub(crate) fn compact(self) -> String {
        let (date, time) = (self.date(), self.time());
        let micros = self.0.subsec_micros();
        format!("{:04}{:02}{:02}-{:02}{:02}{:02}.{micros:06}", date.0, date.1, date.2, time.0, time.1, time.2)
    }

    /// Year, month, day in the Gregorian calendar, by counting in 400-year cycles of years that begin in March.
    fn date(self) -> (u64, u64, u64) {
        let days = self.0.as_secs() / 86_400 + 719_468;
        let (cycle, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (cycle * 400 + year + u64::from(month <= 2), month, day)
    }

    fn time(self) -> (u64, u64, u64) {
        let second = self.0.as_secs() % 86_400;
        (second / 3_600, second / 60 % 60, second % 60)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((year, month, day), (hour, minute, second)) = (self.date(), self.time());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if self.0.subsec_nanos() != 0 {
            let fraction = format!("{:09}", self.0.subsec_nanos());
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_knows_leap_years() {
        let at = |seconds, nanos| Timestamp(Duration::new(seconds, nanos)).to_string();
        assert_eq!(at(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399, 0), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400, 500_000_000), "2000-02-29T00:00:00.5Z");
        assert_eq!(at(951_868_800, 1), "2000-03-01T00:00:00.000000001Z");
        assert_eq!(at(1_795_204_499, 0), "2026-11-20T19:54:59Z");
        assert_eq!(at(4_107_542_399, 0), "2100-02-28T23:59:59Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00Z");
    }
}
