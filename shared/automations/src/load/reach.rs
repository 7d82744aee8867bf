//! How far an automation may go, held against what its playbooks do.

use super::reader::Reader;
use super::references::References;
use crate::yaml::Source;
use crate::{Mode, Step, StepKind};
use std::collections::BTreeSet;
use std::ops::Range;

/// What an automation says of changes, and the playbooks that it starts.
pub(super) struct Reach {
    pub(super) source: Source,
    pub(super) mode: Option<Mode>,
    pub(super) mode_span: Option<Range<usize>>,
    pub(super) guards_span: Option<Range<usize>>,
    /// Names, with the place of each.
    pub(super) calls: Vec<(String, Range<usize>)>,
}

impl References<'_> {
    /// Doubts an automation that says how far to go and starts nothing that would go anywhere, or the other way round.
    pub(super) fn reach(&self, reader: &mut Reader<'_>, reach: &Reach) {
        let mut changing = None;
        for (name, span) in &reach.calls {
            match self.changes(name, &mut BTreeSet::new()) {
                // Nothing can be said of what cannot be read.
                None => return,
                Some(true) => changing = changing.or(Some((name, span))),
                Some(false) => {}
            }
        }
        let Some((name, span)) = changing else {
            let mode = reach
                .mode_span
                .as_ref()
                .filter(|_| matches!(reach.mode, Some(Mode::Approve | Mode::Enforce)));
            for (key, span) in [("mode", mode), ("guards", reach.guards_span.as_ref())] {
                if let (Some(span), false) = (span, reach.calls.is_empty()) {
                    reader.doubt(
                        span,
                        format!("the playbooks change nothing, so `{key}` decides nothing"),
                        format!("remove `{key}`, or start a playbook with a `remediate` step"),
                    );
                }
            }
            return;
        };
        if reach.mode_span.is_none() {
            reader.doubt(
                span,
                format!(
                    "playbook `{name}` makes changes, and without `mode` they are only planned"
                ),
                "add `mode: observe` if that is meant, else `mode: approve` or `mode: enforce`",
            );
        }
    }

    /// Whether a playbook has steps that the mode decides of, itself or in playbooks that it calls; absent if that
    /// cannot be told.
    fn changes<'a>(&'a self, name: &'a str, seen: &mut BTreeSet<&'a str>) -> Option<bool> {
        if !seen.insert(name) {
            return Some(false);
        }
        let playbook = self.playbook(name)??;
        let mut called = Vec::new();
        if follows_mode(&playbook.steps, &mut called) {
            return Some(true);
        }
        for name in called {
            if self.changes(name, seen)? {
                return Some(true);
            }
        }
        Some(false)
    }
}

fn follows_mode<'a>(steps: &'a [Step], called: &mut Vec<&'a str>) -> bool {
    steps.iter().any(|step| match &step.kind {
        StepKind::Playbook(step) => {
            called.push(&step.playbook);
            false
        }
        StepKind::If(step) => {
            follows_mode(&step.then, called) || follows_mode(&step.otherwise, called)
        }
        StepKind::ForEach(step) => follows_mode(&step.steps, called),
        kind => kind.follows_mode(),
    })
}
