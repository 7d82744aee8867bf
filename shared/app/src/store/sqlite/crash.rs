//! Processes that die at a chosen write, for tests.

use crate::store::StoreError;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Lets the process "die" at its n-th write: that write is lost or done, and no later one gets through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crash(Arc<State>);

#[derive(Debug, Default)]
struct State {
    writes: AtomicU64,
    /// Number of the write to die before, and to die after; none if zero.
    before: AtomicI64,
    after: AtomicI64,
}

impl Crash {
    /// How many writes were begun.
    pub(crate) fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Dies just before the n-th write from now on, counted from one.
    pub(crate) fn arm_before(&self, n: u64) {
        let at = i64::try_from(self.writes() + n).unwrap();
        self.0.before.store(at, Ordering::SeqCst);
    }

    /// Dies just after the n-th write from now on, before anybody learns that it was done.
    pub(crate) fn arm_after(&self, n: u64) {
        let at = i64::try_from(self.writes() + n).unwrap();
        self.0.after.store(at, Ordering::SeqCst);
    }

    pub(super) fn before_commit(&self) -> Result<(), StoreError> {
        let write = i64::try_from(self.0.writes.fetch_add(1, Ordering::SeqCst) + 1).unwrap();
        let before = self.0.before.load(Ordering::SeqCst);
        let after = self.0.after.load(Ordering::SeqCst);
        if (before > 0 && write >= before) || (after > 0 && write > after) {
            return Err(dead());
        }
        Ok(())
    }

    pub(super) fn after_commit(&self) -> Result<(), StoreError> {
        let after = self.0.after.load(Ordering::SeqCst);
        if after > 0 && self.writes() >= u64::try_from(after).unwrap() {
            return Err(dead());
        }
        Ok(())
    }
}

fn dead() -> StoreError {
    StoreError::Transient {
        reason: "the process died".into(),
    }
}
