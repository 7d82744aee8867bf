use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where `now` comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that moves only when told; its clones move together.
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// Makes a clock that stands at `now` until it is moved.
    pub fn manual(now: Timestamp) -> Clock {
        Clock::Manual(Arc::new(Mutex::new(now)))
    }

    /// Tells the time, to the microsecond: what the store keeps is what was told.
    pub fn now(&self) -> Timestamp {
        let now = match self {
            Clock::System => Timestamp::now(),
            Clock::Manual(now) => *lock(now),
        };
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// Moves a manual clock forward; the machine's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Clock::Manual(now) = self {
            let mut now = lock(now);
            *now = after(*now, by);
        }
    }
}

fn lock(now: &Mutex<Timestamp>) -> std::sync::MutexGuard<'_, Timestamp> {
    now.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The time `by` later, or the last one that can be told.
pub(crate) fn after(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| now.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The time `by` earlier, or the first one that can be told.
pub(crate) fn before(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| now.checked_sub(by).ok())
        .unwrap_or(Timestamp::MIN)
}

/// How long from `now` until `then`; nothing if that is past.
pub(crate) fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let other = clock.clone();
        clock.advance(Duration::from_secs(90));
        assert_eq!(other.now().as_second(), 90);
    }

    #[test]
    fn time_does_not_run_over_its_ends() {
        assert_eq!(after(Timestamp::MAX, Duration::MAX), Timestamp::MAX);
        assert_eq!(before(Timestamp::MIN, Duration::MAX), Timestamp::MIN);
        assert_eq!(until(Timestamp::MAX, Timestamp::MIN), Duration::ZERO);
    }
}
