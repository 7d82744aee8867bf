use crate::Attempt;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long to wait where too much goes on at once.
pub(super) const QUEUED: Duration = Duration::from_secs(60);

/// How long what was just started is looked at before it is left alone: much of it is done by then.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// Shortest and longest time that it is left alone.
const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(5 * 60)];

/// The looks that one attempt takes at what it started, or at what an earlier one started.
pub(super) struct Watch {
    left: &'static [Duration],
    until: Instant,
}

impl Watch {
    pub(super) fn begin(attempt: &Attempt) -> Self {
        Self {
            left: match attempt.mark {
                Some(_) => &[],
                None => &LOOKS,
            },
            until: Instant::now() + attempt.timeout,
        }
    }

    /// Waits for the next look; false where this attempt takes none any more.
    pub(super) async fn again(&mut self) -> bool {
        let Some((pause, left)) = self.left.split_first() else {
            return false;
        };
        self.left = left;
        // What is asked then needs time as well.
        if Instant::now() + *pause * 2 >= self.until {
            return false;
        }
        sleep(*pause).await;
        true
    }
}

/// How long to leave alone what was started then, in seconds since 1970: the longer it has been going on, the longer, so
/// that the journal stays short.
pub(super) fn pause(started: Option<f64>) -> Duration {
    let [shortest, longest] = PAUSES;
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 are far below 2^53"
    )]
    let now = Timestamp::now().as_second() as f64;
    let age = started.map_or(0.0, |started| now - started);
    let age = Duration::try_from_secs_f64(age).unwrap_or_default();
    (age / 5).clamp(shortest, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_for_long_is_left_alone_for_long() {
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds since 1970 are far below 2^53"
        )]
        let now = Timestamp::now().as_second() as f64;
        let [shortest, longest] = PAUSES;
        assert_eq!(pause(None), shortest);
        assert_eq!(pause(Some(now + 1_000.0)), shortest);
        assert!(pause(Some(now - 600.0)) >= Duration::from_secs(120));
        assert_eq!(pause(Some(now - 1e9)), longest);
    }
}
