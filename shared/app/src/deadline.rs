use std::time::{Duration, Instant};

/// The least time in which work on a run is begun: to claim it, to do a step and to write down what came of it.
const TO_BEGIN: Duration = Duration::from_secs(5);
/// Kept back from a step's time: to cut it off and to write down what came of it.
const TO_END: Duration = Duration::from_secs(3);
/// Kept back from the time of a batch: to answer which of its messages are done.
const TO_ANSWER: Duration = Duration::from_secs(1);
/// The least time that a step is given.
const STEP: Duration = Duration::from_secs(1);

/// When this invocation of a function ends, done or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) begun: Instant,
    pub(crate) granted: Duration,
}

impl Deadline {
    pub(crate) fn after(granted: Duration) -> Deadline {
        Deadline {
            begun: Instant::now(),
            granted,
        }
    }

    /// Whether there is time enough to take up a run.
    pub(crate) fn may_begin(&self) -> bool {
        self.left() >= TO_BEGIN
    }

    /// The time that a step gets which asks for `limit`; `None` if it had better wait for another invocation.
    ///
    /// A step is cut short only by an invocation that has most of its time left: another would not give it more.
    pub(crate) fn room(&self, limit: Duration) -> Option<Duration> {
        room(limit, self.left(), self.granted)
    }

    /// The time after which work on a message is broken off, so that the others of its batch need not be done again.
    pub(crate) fn until_answer(&self) -> Duration {
        self.left().saturating_sub(TO_ANSWER)
    }

    fn left(&self) -> Duration {
        self.granted.saturating_sub(self.begun.elapsed())
    }
}

fn room(limit: Duration, left: Duration, granted: Duration) -> Option<Duration> {
    let usable = left.saturating_sub(TO_END);
    if limit <= usable {
        return Some(limit);
    }
    let fresh = left >= granted / 4 * 3;
    (fresh && usable >= STEP).then_some(usable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_step_is_cut_short_only_where_another_invocation_would_not_give_it_more() {
        for (limit, left, granted, expected) in [
            (30, 120, 120, Some(30)),
            (30, 33, 120, Some(30)),
            (30, 32, 120, None),
            (600, 119, 120, Some(116)),
            (600, 90, 120, Some(87)),
            (600, 89, 120, None),
            (1, 3, 120, None),
            (30, 4, 5, Some(1)),
            (30, 3, 4, None),
        ] {
            assert_eq!(
                room(seconds(limit), seconds(left), seconds(granted)),
                expected.map(seconds),
                "{limit} of {left} of {granted}"
            );
        }
    }

    #[test]
    fn a_run_is_begun_only_with_time_for_a_step() {
        assert!(Deadline::after(seconds(10)).may_begin());
        assert!(!Deadline::after(seconds(4)).may_begin());
    }
}
