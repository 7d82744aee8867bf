use crate::clock::after;
use jiff::Timestamp;
use quench_automations::Retry;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// What holds where a step says nothing of retries.
///
/// It is the same for every action, because only failures that certainly took no effect are retried by it.
pub(crate) const DEFAULT_RETRY: Retry = Retry {
    window: Duration::from_secs(24 * 60 * 60),
    attempts: None,
    base: Duration::from_secs(1),
    cap: Duration::from_secs(15 * 60),
};

/// A target that asks for a longer pause than this is asked again after this.
pub(crate) const LONGEST_REQUESTED_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The attempts of one step so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts<'a> {
    /// The run, so that runs that fail together do not return together.
    pub(crate) run: &'a str,
    /// The step.
    pub(crate) path: &'a str,
    /// Number of the attempt that failed.
    pub(crate) attempt: u32,
    /// How many attempts this series has had, that one included.
    pub(crate) series: u32,
    /// When the series began.
    pub(crate) since: Timestamp,
}

/// When the next attempt is due, or nothing if attempts or window are used up.
pub(crate) fn next_attempt(
    retry: &Retry,
    attempts: Attempts<'_>,
    asked: Option<Duration>,
    now: Timestamp,
) -> Option<Timestamp> {
    if retry.attempts.is_some_and(|most| attempts.series >= most) {
        return None;
    }
    let pause = pause(retry, attempts).max(asked.unwrap_or_default().min(LONGEST_REQUESTED_PAUSE));
    let due = after(now, pause);
    (due <= after(attempts.since, retry.window)).then_some(due)
}

/// Full jitter: anywhere between nothing and the exponential bound, drawn from run, step and attempt.
fn pause(retry: &Retry, attempts: Attempts<'_>) -> Duration {
    let doublings = attempts.series.saturating_sub(1).min(31);
    let bound = retry.base.saturating_mul(1 << doublings).min(retry.cap);
    let pause = bound.mul_f64(fraction(attempts));
    // Times in the journal are for people, too.
    pause - Duration::from_nanos(u64::from(pause.subsec_nanos() % 1_000_000))
}

/// A number from 0 up to 1, always the same for the same attempt.
fn fraction(attempts: Attempts<'_>) -> f64 {
    let mut hash = Sha256::new();
    hash.update(attempts.run);
    hash.update([0]);
    hash.update(attempts.path);
    hash.update([0]);
    hash.update(attempts.attempt.to_be_bytes());
    let digest = hash.finalize();
    let drawn = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    f64::from(drawn) / (f64::from(u32::MAX) + 1.0)
}

/// A time within `length` of another, always the same for the same step.
pub(crate) fn spread(run: &str, path: &str, from: Timestamp, length: Duration) -> Timestamp {
    let drawn = fraction(Attempts {
        run,
        path,
        attempt: 0,
        series: 0,
        since: from,
    });
    let pause = length.mul_f64(drawn);
    after(
        from,
        pause - Duration::from_nanos(u64::from(pause.subsec_nanos() % 1_000_000)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attempts(series: u32, since: Timestamp) -> Attempts<'static> {
        Attempts {
            run: "r",
            path: "mail",
            attempt: series,
            series,
            since,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a small number of seconds")
    }

    #[test]
    fn the_same_attempt_always_draws_the_same_pause() {
        let one = next_attempt(&DEFAULT_RETRY, attempts(5, at(0)), None, at(100));
        let two = next_attempt(&DEFAULT_RETRY, attempts(5, at(0)), None, at(100));
        assert_eq!(one, two);
        let mut other = attempts(5, at(0));
        other.run = "s";
        assert_ne!(one, next_attempt(&DEFAULT_RETRY, other, None, at(100)));
    }

    #[test]
    fn a_target_that_asks_for_a_pause_gets_it_up_to_the_bound() {
        let asked = Some(Duration::from_secs(120));
        let due = next_attempt(&DEFAULT_RETRY, attempts(1, at(0)), asked, at(0));
        assert_eq!(due, Some(at(120)));
        let asked = Some(Duration::from_secs(1_000_000));
        let due = next_attempt(&DEFAULT_RETRY, attempts(1, at(0)), asked, at(0));
        assert_eq!(due, Some(at(3600)));
    }

    #[test]
    fn attempts_and_window_end_the_series() {
        let retry = Retry {
            attempts: Some(3),
            ..DEFAULT_RETRY
        };
        assert!(next_attempt(&retry, attempts(2, at(0)), None, at(1)).is_some());
        assert_eq!(next_attempt(&retry, attempts(3, at(0)), None, at(1)), None);
        let day = 24 * 60 * 60;
        assert_eq!(
            next_attempt(&DEFAULT_RETRY, attempts(2, at(0)), None, at(day + 1)),
            None
        );
    }

    proptest! {
        /// Walks a whole series that always fails, each attempt taking some time.
        #[test]
        fn dues_rise_and_keep_to_window_cap_and_attempts(
            run in "[a-f0-9]{8}",
            window in 1_u64..200_000,
            base in 1_u64..5_000,
            cap in 1_u64..2_000,
            most in proptest::option::of(1_u32..40),
            took in 0_i64..40,
            asked in proptest::option::of(0_u64..10_000),
        ) {
            let retry = Retry {
                window: Duration::from_secs(window),
                attempts: most,
                base: Duration::from_millis(base),
                cap: Duration::from_secs(cap),
            };
            let asked = asked.map(Duration::from_secs);
            let longest = retry.cap.max(asked.unwrap_or_default());
            let mut now = at(1_000_000);
            let since = now;
            let mut series = 0;
            for _ in 0..3_000 {
                series += 1;
                now = after(now, Duration::from_secs(took.unsigned_abs()));
                let so_far = Attempts { run: &run, path: "p", attempt: series, series, since };
                let Some(due) = next_attempt(&retry, so_far, asked, now) else { break };
                prop_assert!(due >= now);
                prop_assert!(due <= after(now, longest));
                prop_assert!(due <= after(since, retry.window));
                prop_assert!(due >= after(now, asked.unwrap_or_default().min(LONGEST_REQUESTED_PAUSE)));
                now = due;
            }
            if let Some(most) = most {
                prop_assert!(series <= most);
            }
        }
    }
}
