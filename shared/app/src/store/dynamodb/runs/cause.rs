use super::RUN;
use crate::run::{Run, StartedBy};
use crate::store::StoreError;
use crate::store::dynamodb::item::{Fields, Item};
use crate::store::encoding::from_json;
use quench_automations::Mode;
use quench_findings::{Finding, Transition};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a run was made with, without its finding, which is kept on its own, and what attributes of its item tell.
#[derive(Serialize, Deserialize)]
pub(super) struct Cause<'a> {
    transition: Transition,
    started_by: Cow<'a, StartedBy>,
    versions: Cow<'a, BTreeMap<String, String>>,
    with: Cow<'a, Map<String, Value>>,
    mode: Option<Mode>,
}

impl<'a> Cause<'a> {
    pub(super) fn of(run: &'a Run) -> Cause<'a> {
        Cause {
            transition: run.transition,
            started_by: Cow::Borrowed(&run.started_by),
            versions: Cow::Borrowed(&run.versions),
            with: Cow::Borrowed(&run.with),
            mode: run.mode,
        }
    }

    /// The run of an item.
    pub(super) fn run(self, finding: Finding, item: &Item) -> Result<Run, StoreError> {
        let fields = Fields::of(RUN, item);
        Ok(Run {
            id: fields.text("sk")?.to_owned(),
            finding: Arc::new(finding),
            transition: self.transition,
            started_by: self.started_by.into_owned(),
            playbook: fields.text("playbook")?.to_owned(),
            versions: self.versions.into_owned(),
            with: self.with.into_owned(),
            mode: self.mode,
            state: from_json("run's state", fields.text("state")?)?,
            created: fields.time("created")?,
            updated: fields.time("updated")?,
        })
    }
}
