//! Playbooks that call themselves.

use super::reader::Reader;
use super::references::{Call, Caller, References, Uses};
use crate::diagnostics::Diagnostic;
use crate::{Step, StepKind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

impl References<'_> {
    /// Finds playbooks that call themselves, directly or through others.
    pub(super) fn cycles(&self, calls: &[Call], faults: &mut Vec<Diagnostic>, uses: &mut Uses) {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, playbook) in &self.known.playbooks {
            if !self.playbooks.iter().any(|read| read.name == *name) {
                called(&playbook.steps, edges.entry(name).or_default());
            }
        }
        for call in calls {
            if let Caller::Playbook { name, .. } = &call.caller {
                edges.entry(name).or_default().insert(&call.playbook);
            }
        }
        let mut told: BTreeSet<Vec<&str>> = BTreeSet::new();
        for call in calls {
            let Caller::Playbook { name, .. } = &call.caller else {
                continue;
            };
            let Some(mut way) = path(&edges, &call.playbook, name) else {
                continue;
            };
            // Each cycle is told once, at the first call of it.
            let mut members = way.clone();
            members.sort_unstable();
            members.dedup();
            if !told.insert(members) {
                continue;
            }
            way.insert(0, name);
            let mut reader = Reader {
                source: &call.source,
                faults,
                uses,
            };
            reader.fault_with_help(
                &call.span,
                format!("playbook `{name}` calls itself"),
                format!(
                    "the way is {}; take one of the calls out",
                    way.iter()
                        .map(|name| format!("`{name}`"))
                        .collect::<Vec<_>>()
                        .join(" → ")
                ),
            );
        }
    }
}

fn called<'a>(steps: &'a [Step], found: &mut BTreeSet<&'a str>) {
    for step in steps {
        match &step.kind {
            StepKind::Playbook(step) => {
                found.insert(&step.playbook);
            }
            StepKind::If(step) => {
                called(&step.then, found);
                called(&step.otherwise, found);
            }
            StepKind::ForEach(step) => called(&step.steps, found),
            _ => {}
        }
    }
}

/// A shortest way from one playbook to another along calls, both ends included.
fn path<'a>(
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    from: &'a str,
    to: &str,
) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::from([from]);
    while let Some(way) = ways.pop_front() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for next in edges.get(last).into_iter().flatten() {
            if seen.insert(next) {
                let mut longer = way.clone();
                longer.push(next);
                ways.push_back(longer);
            }
        }
    }
    None
}
