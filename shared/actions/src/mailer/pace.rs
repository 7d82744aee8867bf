use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Lets so many through a second, a second's worth of them at once after a pause, and makes the others wait in turn.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the next one is due if nobody paused.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// None for what is no rate.
    pub(super) fn per_second(rate: f64) -> Option<Self> {
        let interval = Duration::try_from_secs_f64(rate.recip()).ok()?;
        if interval.is_zero() || rate <= 0.0 {
            return None;
        }
        Some(Self {
            burst: Duration::from_secs(1).saturating_sub(interval),
            interval,
            next: Mutex::new(None),
        })
    }

    /// Waits for a turn, if it comes within a time; else no turn is taken, and the error is how long it would be.
    pub(super) async fn turn(&self, within: Duration) -> Result<(), Duration> {
        let at = self.take(Instant::now(), within)?;
        sleep_until(at).await;
        Ok(())
    }

    fn take(&self, now: Instant, within: Duration) -> Result<Instant, Duration> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(self.burst).unwrap_or(now);
        let due = next.map_or(earliest, |next| next.max(earliest));
        let wait = due.saturating_duration_since(now);
        if wait > within {
            return Err(wait);
        }
        *next = Some(due + self.interval);
        Ok(due.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_worth_goes_at_once_and_the_rest_in_turn() {
        let pace = Pace::per_second(4.0).unwrap();
        let now = Instant::now();
        let within = Duration::from_secs(2);
        let waits: Vec<u128> = (0..7)
            .map(|_| (pace.take(now, within).unwrap() - now).as_millis())
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 250, 500, 750]);
    }

    #[test]
    fn who_would_wait_too_long_takes_no_turn() {
        let pace = Pace::per_second(1.0).unwrap();
        let now = Instant::now();
        pace.take(now, Duration::ZERO).unwrap();
        for _ in 0..3 {
            let wait = pace.take(now, Duration::from_millis(900)).unwrap_err();
            assert_eq!(wait, Duration::from_secs(1));
        }
        let later = now + Duration::from_millis(100);
        let turn = pace.take(later, Duration::from_millis(900)).unwrap();
        assert_eq!(turn - now, Duration::from_secs(1));
    }

    #[test]
    fn a_long_pause_saves_up_no_more_than_a_second_worth() {
        let pace = Pace::per_second(2.0).unwrap();
        let now = Instant::now();
        pace.take(now, Duration::ZERO).unwrap();
        let later = now + Duration::from_secs(3_600);
        let free = (0..10)
            .filter(|_| pace.take(later, Duration::ZERO).is_ok())
            .count();
        assert_eq!(free, 2);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300] {
            assert!(Pace::per_second(rate).is_none(), "{rate}");
        }
        assert!(Pace::per_second(0.1).is_some());
    }
}
