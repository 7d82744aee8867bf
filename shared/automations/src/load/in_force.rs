//! What is in force already and must go on working.

use super::fields::plural;
use super::references::References;
use crate::diagnostics::{Diagnostic, MOST_FAULTS};
use crate::{PlaybookCall, Step, StepKind};

impl References<'_> {
    /// Checks that playbooks which are replaced still suit the automations and playbooks that are in force already.
    pub(super) fn known_callers(&self, faults: &mut Vec<Diagnostic>) {
        let automations = self
            .known
            .automations
            .values()
            .filter(|known| !self.automations.iter().any(|read| read.name == known.name))
            .flat_map(|known| {
                known.run.iter().map(|call| {
                    (
                        format!("automation `{}`", known.name),
                        vec![known.trigger],
                        call.clone(),
                    )
                })
            });
        let playbooks = self
            .known
            .playbooks
            .values()
            .filter(|known| !self.playbooks.iter().any(|read| read.name == known.name))
            .flat_map(|known| {
                let mut found = Vec::new();
                nested_calls(&known.steps, &mut found);
                found.into_iter().map(|call| {
                    (
                        format!("playbook `{}`", known.name),
                        known.triggers.clone(),
                        call,
                    )
                })
            });
        for (caller, triggers, call) in automations.chain(playbooks) {
            let Some(read) = self
                .playbooks
                .iter()
                .find(|read| read.name == call.playbook)
            else {
                continue;
            };
            let Some(playbook) = &read.definition else {
                continue;
            };
            let mut reasons = Vec::new();
            if let Some(kind) = triggers
                .iter()
                .find(|kind| !playbook.triggers.contains(kind))
            {
                reasons.push(format!("it is about {}", plural(*kind)));
            }
            if let Err(unfit) = playbook.bind(&call.with) {
                reasons.extend(unfit.iter().map(ToString::to_string));
            }
            if !reasons.is_empty() && faults.len() <= MOST_FAULTS {
                faults.push(
                    read.source
                        .error(
                            read.span.clone(),
                            format!(
                                "{caller}, which is in force, no longer fits this playbook: {}",
                                reasons.join("; ")
                            ),
                        )
                        .with_help("change both together, or give the playbook another name"),
                );
            }
        }
    }
}

fn nested_calls(steps: &[Step], found: &mut Vec<PlaybookCall>) {
    for step in steps {
        match &step.kind {
            StepKind::Playbook(step) => {
                found.push(PlaybookCall {
                    playbook: step.playbook.clone(),
                    with: step.with.clone(),
                });
            }
            StepKind::If(step) => {
                nested_calls(&step.then, found);
                nested_calls(&step.otherwise, found);
            }
            StepKind::ForEach(step) => nested_calls(&step.steps, found),
            _ => {}
        }
    }
}
