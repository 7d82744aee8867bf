use crate::engine::deed::Draft;
use crate::run::{Entry, Event};
use quench_actions::remediate::Effect;
use std::collections::{BTreeMap, BTreeSet};

/// What a run has to do with, by the path of the step: the ARN of a resource, or the path itself where none is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    changed: BTreeMap<String, String>,
    planned: BTreeMap<String, String>,
}

impl Touched {
    pub(super) fn record(&mut self, entry: &Entry, draft: Option<&Draft>) {
        let path = &entry.path;
        let resource = || match draft {
            Some(Draft::Plan(plan)) => Some(plan.target.arn.clone()),
            Some(Draft::Content { .. }) => Some(path.clone()),
            None => None,
        };
        match &entry.event {
            Event::Planned { plan, .. } if !plan.changes.is_empty() => {
                self.planned.insert(path.clone(), plan.target.arn.clone());
            }
            Event::Applying { .. } | Event::Started { .. } => {
                if let Some(resource) = resource() {
                    self.changed.insert(path.clone(), resource);
                }
            }
            Event::Applied {
                effect: Effect::Already,
                resumed: false,
            }
            | Event::Outdated { begun: false, .. } => {
                self.changed.remove(path);
            }
            _ => {}
        }
    }

    /// What was changed, or may have been.
    pub(crate) fn changed(&self) -> BTreeSet<&str> {
        self.changed.values().map(String::as_str).collect()
    }

    /// What was changed or planned to be.
    pub(crate) fn planned(&self) -> BTreeSet<&str> {
        self.planned.values().map(String::as_str).collect()
    }
}
