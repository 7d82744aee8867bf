use super::{StoreError, Stored};
use quench_automations::{Automation, Playbook, Step, StepKind};
use std::collections::BTreeSet;

/// Names of the playbooks that these steps start, those in branches and loops included.
pub(crate) fn called(steps: &[Step]) -> Vec<&str> {
    let mut names = Vec::new();
    for step in steps {
        match &step.kind {
            StepKind::Playbook(call) => names.push(call.playbook.as_str()),
            StepKind::If(branch) => {
                names.extend(called(&branch.then));
                names.extend(called(&branch.otherwise));
            }
            StepKind::ForEach(each) => names.extend(called(&each.steps)),
            _ => {}
        }
    }
    names
}

/// Makes sure that every playbook that is started is there: another process may have deleted it meanwhile.
pub(super) fn complete(
    automations: &[Stored<Automation>],
    playbooks: &[Stored<Playbook>],
) -> Result<(), StoreError> {
    let there: BTreeSet<&str> = playbooks
        .iter()
        .map(|stored| stored.definition.name.as_str())
        .collect();
    let nested = playbooks
        .iter()
        .flat_map(|stored| called(&stored.definition.steps));
    let mut started = automations
        .iter()
        .flat_map(|stored| &stored.definition.run)
        .map(|call| call.playbook.as_str())
        .chain(nested);
    match started.find(|name| !there.contains(name)) {
        Some(name) => Err(StoreError::Missing {
            what: "playbook",
            name: name.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Makes sure that no automation and no other playbook starts this playbook.
pub(super) fn unused(
    playbook: &str,
    automations: &[Stored<Automation>],
    playbooks: &[Stored<Playbook>],
) -> Result<(), StoreError> {
    let automations = automations
        .iter()
        .filter(|stored| {
            let mut calls = stored.definition.run.iter();
            calls.any(|call| call.playbook == playbook)
        })
        .map(|stored| format!("automation `{}`", stored.definition.name));
    let playbooks = playbooks
        .iter()
        .filter(|stored| stored.definition.name != playbook)
        .filter(|stored| called(&stored.definition.steps).contains(&playbook))
        .map(|stored| format!("playbook `{}`", stored.definition.name));
    let by: Vec<String> = automations.chain(playbooks).collect();
    if by.is_empty() {
        return Ok(());
    }
    Err(StoreError::InUse {
        what: "playbook",
        name: playbook.to_owned(),
        by,
    })
}
