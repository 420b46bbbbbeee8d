//! Load averages: sampled when somebody asks, so that an idle sandbox does nothing.

use std::time::{Duration, Instant};

use sync::Mutex;

use crate::lock_order::Leaf;

/// Seconds over which the three averages decay.
const PERIODS: [f64; 3] = [60.0, 300.0, 900.0];

/// The averages.
#[derive(Debug, Default)]
pub(super) struct LoadAverage {
    state: Mutex<Option<(Instant, [f64; 3])>, Leaf>,
}

impl LoadAverage {
    /// Counts `running` tasks for the time since the last call; returns the averages with 16 bits after the point.
    pub(super) fn update(&self, running: usize) -> [u64; 3] {
        let mut state = self.state.lock();
        let now = Instant::now();
        let (last, mut loads) = state.unwrap_or((now, [0.0; 3]));
        decay(&mut loads, running, now.saturating_duration_since(last));
        *state = Some((now, loads));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a load is small and not negative")]
        loads.map(|load| (load * 65536.0) as u64)
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has that many tasks")]
fn decay(loads: &mut [f64; 3], running: usize, elapsed: Duration) {
    for (load, period) in loads.iter_mut().zip(PERIODS) {
        let keep = (-elapsed.as_secs_f64() / period).exp();
        *load = *load * keep + running as f64 * (1.0 - keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_approach_what_runs() {
        let mut loads = [0.0; 3];
        decay(&mut loads, 2, Duration::from_secs(60));
        assert!(loads[0] > 1.2 && loads[0] < 1.3 && loads[2] < 0.2);
        decay(&mut loads, 0, Duration::from_secs(100_000));
        assert!(loads.iter().all(|load| *load < 0.01));
    }
}
