use super::body::Packed;
use crate::store::encoding::to_json;
use quench_findings::Finding;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// How many findings are remembered: a batch has ten.
const MOST: usize = 16;
/// Most bytes of a packed finding that is remembered: large ones, which are few, are not to stay in memory.
const LARGEST: usize = 16 << 10;

/// Findings as they were packed a moment ago: a finding that is stored is stored again with every run that is made for it.
#[derive(Clone, Default)]
pub(super) struct Recent(Arc<Mutex<VecDeque<Known>>>);

struct Known {
    finding: Weak<Finding>,
    packed: Packed,
}

impl Recent {
    /// A finding, packed now or before.
    pub(super) fn packed(&self, finding: &Arc<Finding>) -> Packed {
        if let Some(known) = self.known(finding) {
            return known;
        }
        let packed = Packed::of(to_json(finding));
        if packed.len() <= LARGEST {
            self.remember(finding, packed.clone());
        }
        packed
    }

    /// As long as it is remembered, no other finding can be in its place; and what is shared does not change.
    fn known(&self, finding: &Arc<Finding>) -> Option<Packed> {
        let recent = self.lock();
        let mut recent = recent.iter();
        let known = recent.find(|known| known.finding.as_ptr() == Arc::as_ptr(finding));
        known.map(|known| known.packed.clone())
    }

    fn remember(&self, finding: &Arc<Finding>, packed: Packed) {
        let mut recent = self.lock();
        recent.retain(|known| known.finding.strong_count() > 0);
        if recent.len() == MOST {
            recent.pop_front();
        }
        let finding = Arc::downgrade(finding);
        recent.push_back(Known { finding, packed });
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Recent({})", self.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::{finding, noise};

    fn text(packed: Packed) -> String {
        packed.text("finding").unwrap()
    }

    #[test]
    fn a_finding_is_packed_once_and_another_in_its_place_anew() {
        let recent = Recent::default();
        let mut one = Arc::new(finding("one"));
        let shared = Arc::clone(&one);
        assert_eq!(recent.packed(&one), recent.packed(&shared));
        assert_eq!(recent.lock().len(), 1);
        drop(shared);
        // Nobody else has it, so it would be changed where it is.
        Arc::make_mut(&mut one).title = "Another".to_owned();
        assert_eq!(text(recent.packed(&one)), to_json(&one));
        for number in 0..3 * MOST {
            let other = Arc::new(finding(&number.to_string()));
            assert_eq!(text(recent.packed(&other)), to_json(&other));
        }
        assert!(recent.lock().len() <= MOST);
    }

    #[test]
    fn what_is_gone_or_large_is_not_remembered() {
        let recent = Recent::default();
        let mut large = finding("large");
        large.description = Some(noise(100_000));
        let large = Arc::new(large);
        assert_eq!(text(recent.packed(&large)), to_json(&large));
        assert_eq!(recent.lock().len(), 0);
        recent.packed(&Arc::new(finding("gone")));
        let here = Arc::new(finding("here"));
        recent.packed(&here);
        assert_eq!(recent.lock().len(), 1);
    }
}
