//! Playbooks that call themselves, or one another too deep.

use super::reader::Reader;
use super::references::{Call, Caller, References, Uses};
use crate::diagnostics::Diagnostic;
use crate::{DEEPEST_CALL, Step, StepKind};
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
        if told.is_empty() {
            too_deep(&edges, calls, faults, uses);
        }
    }
}

type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Finds calls on a way of more playbooks than may be under way inside one another, and tells each way once.
fn too_deep(edges: &Edges<'_>, calls: &[Call], faults: &mut Vec<Diagnostic>, uses: &mut Uses) {
    let mut back: Edges<'_> = BTreeMap::new();
    for (from, to) in edges {
        for to in to {
            back.entry(to).or_default().insert(from);
        }
    }
    let below = depths(edges);
    let above = depths(&back);
    let mut told = BTreeSet::new();
    for call in calls {
        let Caller::Playbook { name, .. } = &call.caller else {
            continue;
        };
        let mut way = longest(&back, &above, name);
        way.reverse();
        way.extend(longest(edges, &below, &call.playbook));
        if way.len() <= DEEPEST_CALL || !told.insert(way.clone()) {
            continue;
        }
        let mut reader = Reader {
            source: &call.source,
            faults,
            uses,
        };
        let more = if way.len() > MOST_SHOWN {
            " → …"
        } else {
            ""
        };
        let way: Vec<String> = way
            .iter()
            .take(MOST_SHOWN)
            .map(|name| format!("`{name}`"))
            .collect();
        reader.fault_with_help(
            &call.span,
            format!("playbooks call one another more than {DEEPEST_CALL} deep"),
            format!(
                "the way is {}{more}; take one of the calls out",
                way.join(" → ")
            ),
        );
    }
}

/// Most playbooks of a way that are named.
const MOST_SHOWN: usize = 12;

/// How many playbooks the longest way from each holds, counted no further than what is too deep.
fn depths<'a>(edges: &Edges<'a>) -> BTreeMap<&'a str, usize> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..DEEPEST_CALL {
        depths = edges
            .iter()
            .map(|(from, to)| {
                let deepest = to.iter().map(|to| depths.get(to).copied().unwrap_or(1));
                (*from, 1 + deepest.max().unwrap_or(0))
            })
            .collect();
    }
    depths
}

/// A longest way from a playbook, itself included, as far as depths are counted.
fn longest<'a>(
    edges: &Edges<'a>,
    depths: &BTreeMap<&'a str, usize>,
    from: &'a str,
) -> Vec<&'a str> {
    let depth = |name: &str| depths.get(name).copied().unwrap_or(1);
    let mut way = vec![from];
    let mut last = from;
    while way.len() <= DEEPEST_CALL
        && let Some(next) = edges
            .get(last)
            .into_iter()
            .flatten()
            .max_by_key(|name| depth(name))
    {
        way.push(next);
        last = next;
    }
    way
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
