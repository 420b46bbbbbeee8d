//! How fast a connection comes up to speed: acknowledgements of many segments count as many.
//!
//! smoltcp's congestion window grows by a segment with each acknowledgement, as if each were for one or two. A peer that gets
//! 64 KiB in a frame acknowledges all of it at once. So the first megabyte of a connection, and the next one after a loss, are
//! acknowledged to smoltcp segment by segment (appropriate byte counting, RFC 3465).

/// For how many bytes that is done.
const DISTANCE: u32 = 1 << 20;
/// What a segment has; it need not be exact.
const SEGMENT: u32 = 1448;
/// The most steps of one acknowledgement.
const MOST: u32 = 48;
const ACK: u8 = 0x10;

/// What was acknowledged so far.
#[derive(Debug)]
pub(crate) struct Ramp {
    last: Option<u32>,
    /// Bytes that are still taken in steps.
    left: u32,
    /// How many times the last number came again.
    again: u8,
}

impl Default for Ramp {
    fn default() -> Self {
        Self { last: None, left: DISTANCE, again: 0 }
    }
}

impl Ramp {
    /// The numbers between the last acknowledgement and that of a segment, which comes after them.
    pub(crate) fn steps(&mut self, segment: &[u8]) -> impl Iterator<Item = u32> + use<> {
        let number = acknowledgement(segment);
        let mut steps = 0;
        let mut from = 0;
        if let Some((number, plain)) = number {
            let last = self.last.replace(number).unwrap_or(number);
            // What goes back is an old segment, and makes no step.
            let ahead = number.wrapping_sub(last).min(1 << 30) % (1 << 30);
            if ahead == 0 {
                self.again = if plain { self.again.saturating_add(1) } else { 0 };
                // The third of the same tells of a loss.
                if self.again == 3 {
                    self.left = DISTANCE;
                }
            } else {
                self.again = 0;
                if self.left > 0 && plain {
                    from = last;
                    steps = (ahead.saturating_sub(1) / SEGMENT).min(MOST);
                }
                self.left = self.left.saturating_sub(ahead);
            }
        }
        (1..=steps).map(move |n| from.wrapping_add(n * SEGMENT))
    }
}

/// What a segment acknowledges, and whether it does nothing else.
fn acknowledgement(segment: &[u8]) -> Option<(u32, bool)> {
    let head = segment.first_chunk::<20>()?;
    let flags = head[13];
    (flags & ACK != 0).then_some(())?;
    let number = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    Some((number, flags == ACK && segment.len() == usize::from(head[12] >> 4) * 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: u32, flags: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; 20 + payload];
        bytes[8..12].copy_from_slice(&number.to_be_bytes());
        bytes[12] = 0x50;
        bytes[13] = flags;
        bytes
    }

    #[test]
    fn an_acknowledgement_of_many_segments_comes_in_steps() {
        let mut ramp = Ramp::default();
        let near_the_end = u32::MAX - 100;
        assert_eq!(ramp.steps(&segment(near_the_end, ACK, 0)).count(), 0);
        let next = near_the_end.wrapping_add(3 * SEGMENT);
        let steps: Vec<_> = ramp.steps(&segment(next, ACK, 0)).collect();
        assert_eq!(steps, [near_the_end.wrapping_add(SEGMENT), near_the_end.wrapping_add(2 * SEGMENT)]);
        assert_eq!(ramp.steps(&segment(next.wrapping_add(9 * SEGMENT), ACK, 5)).count(), 0);
        assert_eq!(ramp.steps(&segment(next, ACK, 0)).count(), 0);
    }

    #[test]
    fn steps_are_bounded_and_end() {
        let mut ramp = Ramp::default();
        let _ = ramp.steps(&segment(0, ACK, 0));
        assert_eq!(ramp.steps(&segment(1 << 29, ACK, 0)).count(), MOST as usize);
        assert_eq!(ramp.steps(&segment((1 << 29) + 9 * SEGMENT, ACK, 0)).count(), 0);
        for _ in 0..3 {
            assert_eq!(ramp.steps(&segment((1 << 29) + 9 * SEGMENT, ACK, 0)).count(), 0);
        }
        assert_eq!(ramp.steps(&segment((1 << 29) + 12 * SEGMENT, ACK, 0)).count(), 2);
    }
}
