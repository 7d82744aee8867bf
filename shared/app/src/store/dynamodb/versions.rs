use quench_automations::Playbook;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many versions of playbooks a process remembers.
const MOST: usize = 64;

/// The versions of playbooks that were read last; a version never changes, so none is ever out of date.
#[derive(Clone, Default)]
pub(super) struct Versions(Arc<Mutex<VecDeque<Version>>>);

struct Version {
    name: String,
    version: String,
    playbook: Playbook,
}

impl Versions {
    pub(super) fn get(&self, name: &str, version: &str) -> Option<Playbook> {
        let known = self.lock();
        let mut known = known.iter();
        let found = known.find(|known| known.name == name && known.version == version);
        found.map(|known| known.playbook.clone())
    }

    pub(super) fn add(&self, name: &str, version: &str, playbook: &Playbook) {
        let mut known = self.lock();
        if known.len() == MOST {
            known.pop_front();
        }
        known.push_back(Version {
            name: name.to_owned(),
            version: version.to_owned(),
            playbook: playbook.clone(),
        });
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Version>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Versions({})", self.lock().len())
    }
}
