use super::{AwsError, Limits, Repeat};
use std::time::Duration;

/// Longest pause before a first further try after an error, and after too much to do.
const PAUSE: Duration = Duration::from_millis(50);
const THROTTLED_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause before any try.
const LONGEST: Duration = Duration::from_secs(8);

/// How long to wait before the next try, the `tried`th having failed; none if there shall be no more.
pub(super) fn pause(
    error: &AwsError,
    repeat: Repeat,
    tried: u32,
    limits: Limits,
) -> Option<Duration> {
    if tried >= limits.attempts || !error.is_transient() || !is_safe(error, repeat) {
        return None;
    }
    let first = match error.is_throttled() {
        true => THROTTLED_PAUSE,
        false => PAUSE,
    };
    let longest = first
        .saturating_mul(1 << tried.saturating_sub(1).min(16))
        .min(LONGEST);
    let asked = error.retry_after().unwrap_or_default();
    Some(asked + longest.mul_f64(fraction()))
}

/// Says whether a further try cannot do it a second time, or may.
fn is_safe(error: &AwsError, repeat: Repeat) -> bool {
    match (repeat, error) {
        (Repeat::Safe, _) | (Repeat::Never, AwsError::Unreachable { .. }) => true,
        (Repeat::Never, AwsError::Timeout { left, .. }) => !left,
        (Repeat::Never, AwsError::Service(refused)) => {
            refused.is_throttled() || refused.is_expired() || refused.status == 503
        }
        (Repeat::Never, AwsError::Cut { .. }) => !error.is_done(),
        (Repeat::Never, _) => false,
    }
}

/// A number from 0 up to 1, by chance; one half where there is none.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Service;
    use proptest::prelude::*;

    fn lost() -> AwsError {
        AwsError::BrokenOff {
            service: Service::Sqs,
            reason: String::new(),
        }
    }

    #[test]
    fn the_last_try_is_the_last() {
        let limits = Limits::default();
        assert!(pause(&lost(), Repeat::Safe, limits.attempts - 1, limits).is_some());
        assert!(pause(&lost(), Repeat::Safe, limits.attempts, limits).is_none());
        assert!(pause(&lost(), Repeat::Never, 1, limits).is_none());
    }

    proptest! {
        #[test]
        fn a_pause_grows_up_to_a_limit(tried in 1u32..200) {
            let limits = Limits { attempts: u32::MAX, ..Limits::default() };
            let longest = PAUSE.saturating_mul(1 << (tried - 1).min(16)).min(LONGEST);
            for _ in 0..20 {
                let pause = pause(&lost(), Repeat::Safe, tried, limits).unwrap();
                prop_assert!(pause <= longest);
            }
        }
    }
}
