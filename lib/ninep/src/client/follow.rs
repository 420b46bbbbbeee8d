//! Where the server is to run: on the CPU of who asks, as long as that is one and the same.
//!
//! A call waits for its answer and does nothing meanwhile, so that the two take turns; on one CPU a turn costs a switch, on two
//! a wake-up across them, which is twenty times as much where the other one sleeps. Callers that come from several CPUs
//! leave the server where the host puts it.

/// Calls in a row from one CPU after which the server follows there.
const STEADY: u8 = 4;
/// How far a CPU can get ahead of calls from others.
const MOST: u8 = 8;

/// What the server was told, and where calls come from lately.
#[derive(Debug, Default)]
pub(super) struct Follow {
    told: Option<u32>,
    cpu: u32,
    score: u8,
}

impl Follow {
    /// A call comes from `cpu`. Returns what the server is to be told, if that is anything new: a CPU, or none in particular.
    pub(super) fn call_from(&mut self, cpu: u32) -> Option<Option<u32>> {
        if cpu == self.cpu {
            self.score = (self.score + 1).min(MOST);
        } else if self.score > 1 {
            self.score -= 1;
        } else {
            (self.cpu, self.score) = (cpu, 1);
        }
        let wanted = match self.score {
            STEADY.. => Some(self.cpu),
            1 => None,
            _ => self.told,
        };
        (wanted != self.told).then(|| {
            self.told = wanted;
            wanted
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_caller_is_followed_and_several_are_not() {
        let mut follow = Follow::default();
        let told: Vec<_> = [3; 9].into_iter().filter_map(|cpu| follow.call_from(cpu)).collect();
        assert_eq!(told, [Some(3)]);
        // One call from elsewhere changes nothing.
        assert_eq!([1, 3, 3].into_iter().find_map(|cpu| follow.call_from(cpu)), None);
        let told: Vec<_> = [1; 20].into_iter().filter_map(|cpu| follow.call_from(cpu)).collect();
        assert_eq!(told, [None, Some(1)]);
        let told: Vec<_> = [0, 1].into_iter().cycle().take(200).filter_map(|cpu| follow.call_from(cpu)).collect();
        assert!(told.len() <= 1);
    }
}
