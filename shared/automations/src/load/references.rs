//! What definitions say of each other: checked once all files are read.

use super::automation::TRIGGERS;
use super::fields::plural;
use super::playbook::note_unfit;
use super::reader::Reader;
use super::{Library, Read};
use crate::bind::{Reading, fit, holds_template, listed};
use crate::diagnostics::{Diagnostic, MOST_FAULTS};
use crate::nearest::nearest;
use crate::yaml::{Key, Node, Source};
use crate::{
    Automation, Connection, ConnectionKind, ParameterType, Playbook, PlaybookCall, Step, StepKind,
};
use quench_findings::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// References found while reading.
#[derive(Default)]
pub(super) struct Uses {
    pub(super) calls: Vec<Call>,
    pub(super) connections: Vec<ConnectionUse>,
}

/// A playbook that is called.
pub(super) struct Call {
    pub(super) source: Source,
    pub(super) caller: Caller,
    pub(super) playbook: String,
    /// Of the name.
    pub(super) span: Range<usize>,
    pub(super) with: Vec<(Key, Node)>,
}

/// Who calls.
pub(super) enum Caller {
    /// An automation, with its trigger if that is readable.
    Automation(Option<Kind>),
    /// A step of a playbook.
    Playbook { name: String, triggers: Vec<Kind> },
}

/// A connection that is named.
pub(super) struct ConnectionUse {
    pub(super) source: Source,
    pub(super) span: Range<usize>,
    pub(super) name: String,
    /// What it must lead to; absent if that is not known.
    pub(super) service: Option<Service>,
}

/// What the connection of a step must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Slack,
    Teams,
    Webhook,
    Http,
}

impl Service {
    fn fits(self, kind: &ConnectionKind) -> bool {
        matches!(
            (self, kind),
            (
                Self::Slack,
                ConnectionKind::SlackHook { .. } | ConnectionKind::SlackBot { .. }
            ) | (Self::Teams, ConnectionKind::Teams { .. })
                | (Self::Webhook, ConnectionKind::Webhook { .. })
                | (Self::Http, ConnectionKind::Http { .. })
        )
    }

    fn step(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Webhook => "webhook",
            Self::Http => "http",
        }
    }
}

fn service_of(kind: &ConnectionKind) -> &'static str {
    match kind {
        ConnectionKind::SlackHook { .. } => "slack_hook",
        ConnectionKind::SlackBot { .. } => "slack_bot",
        ConnectionKind::Teams { .. } => "teams",
        ConnectionKind::Webhook { .. } => "webhook",
        ConnectionKind::Http { .. } => "http",
    }
}

/// Everything that was read, with what is known besides.
pub(super) struct References<'a> {
    pub(super) automations: &'a [Read<Automation>],
    pub(super) playbooks: &'a [Read<Playbook>],
    pub(super) connections: &'a [Read<Connection>],
    pub(super) known: &'a Library,
}

impl References<'_> {
    /// Checks all references and notes the faults.
    pub(super) fn check(&self, mut uses: Uses, faults: &mut Vec<Diagnostic>) {
        let calls = std::mem::take(&mut uses.calls);
        for call in &calls {
            let mut reader = Reader {
                source: &call.source,
                faults,
                uses: &mut uses,
            };
            self.call(&mut reader, call);
        }
        for connection in std::mem::take(&mut uses.connections) {
            let mut reader = Reader {
                source: &connection.source,
                faults,
                uses: &mut uses,
            };
            self.connection(&mut reader, &connection);
        }
        self.cycles(&calls, faults, &mut uses);
        self.known_callers(faults);
    }

    /// The playbook of a name: from the files, else from what is known. `Some(None)` is one too broken to be checked.
    fn playbook(&self, name: &str) -> Option<Option<&Playbook>> {
        match self.playbooks.iter().find(|read| read.name == name) {
            Some(read) => Some(read.definition.as_ref()),
            None => self.known.playbooks.get(name).map(Some),
        }
    }

    fn playbook_names(&self) -> BTreeSet<&str> {
        let read = self.playbooks.iter().map(|read| read.name.as_str());
        read.chain(self.known.playbooks.keys().map(String::as_str))
            .filter(|name| !name.is_empty())
            .collect()
    }

    fn call(&self, reader: &mut Reader<'_>, call: &Call) {
        let Some(playbook) = self.playbook(&call.playbook) else {
            let names = self.playbook_names();
            let help = match nearest(&call.playbook, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => "there are no playbooks yet: add its file".to_owned(),
                None if names.len() > 12 => {
                    "add its file, or list the playbooks there are".to_owned()
                }
                None => format!(
                    "known are {}",
                    listed(&names.into_iter().collect::<Vec<_>>())
                ),
            };
            reader.fault_with_help(
                &call.span,
                format!("there is no playbook `{}`", call.playbook),
                help,
            );
            return;
        };
        let Some(playbook) = playbook else { return };
        self.trigger_fits(reader, call, playbook);
        self.with_fits(reader, call, playbook);
    }

    fn trigger_fits(&self, reader: &mut Reader<'_>, call: &Call, playbook: &Playbook) {
        let needed: Vec<Kind> = match &call.caller {
            Caller::Automation(trigger) => trigger.iter().copied().collect(),
            Caller::Playbook { triggers, .. } => triggers.clone(),
        };
        let unfit: Vec<Kind> = needed
            .into_iter()
            .filter(|kind| !playbook.triggers.contains(kind))
            .collect();
        if unfit.is_empty() || playbook.triggers.is_empty() {
            return;
        }
        let unfit: Vec<&str> = unfit.into_iter().map(plural).collect();
        let supported: Vec<&str> = playbook.triggers.iter().map(|kind| word(*kind)).collect();
        let help = match &call.caller {
            Caller::Automation(_) => {
                let fitting: Vec<&str> = self
                    .playbook_names()
                    .into_iter()
                    .filter(|name| match self.playbook(name) {
                        Some(Some(other)) => matches!(&call.caller, Caller::Automation(Some(kind)) if other.triggers.contains(kind)),
                        _ => false,
                    })
                    .take(6)
                    .collect();
                if fitting.is_empty() {
                    format!("it supports {}", listed(&supported))
                } else {
                    format!(
                        "it supports {}; playbooks that fit are {}",
                        listed(&supported),
                        listed(&fitting)
                    )
                }
            }
            Caller::Playbook { .. } => format!(
                "it supports {}; take the others off `triggers`",
                listed(&supported)
            ),
        };
        reader.fault_with_help(
            &call.span,
            format!(
                "playbook `{}` does not work on {}",
                playbook.name,
                unfit.join(" and ")
            ),
            help,
        );
    }

    fn with_fits(&self, reader: &mut Reader<'_>, call: &Call, playbook: &Playbook) {
        for (key, node) in &call.with {
            let Some(parameter) = playbook.parameters.get(&key.text) else {
                let fault = playbook.unknown_parameter(&key.text);
                reader.fault_with_help(
                    &key.span,
                    format!(
                        "playbook `{}` has no parameter `{}`",
                        playbook.name, key.text
                    ),
                    fault.help.unwrap_or_default(),
                );
                continue;
            };
            if node.is_null() {
                reader.fault_with_help(
                    &key.span,
                    format!("`{}` has no value", key.text),
                    "give it one, or remove the key",
                );
                continue;
            }
            if matches!(node.content, crate::yaml::Content::Broken) {
                continue;
            }
            if let Err(unfit) = fit(parameter, &node.to_json(), Reading::Strict) {
                note_unfit(reader, node, &format!("parameter `{}`", key.text), unfit);
            } else if parameter.parameter_type == ParameterType::Connection
                && let Some(name) = node.text()
                && !holds_template(name)
            {
                let connection = ConnectionUse {
                    source: reader.source.clone(),
                    span: node.span.clone(),
                    name: name.to_owned(),
                    service: self.service_of_parameter(playbook, &key.text),
                };
                self.connection(reader, &connection);
            }
        }
        let missing: Vec<&str> = playbook
            .parameters
            .iter()
            .filter(|(name, parameter)| {
                parameter.required && !call.with.iter().any(|(key, _)| key.text == **name)
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            let example = missing
                .iter()
                .map(|name| format!("{name}: …"))
                .collect::<Vec<_>>()
                .join(", ");
            reader.fault_with_help(
                &call.span,
                format!("playbook `{}` requires {}", playbook.name, listed(&missing)),
                format!("add `with: {{ {example} }}`"),
            );
        }
    }

    /// What a connection given as a parameter must lead to, by the first step that uses it as such.
    fn service_of_parameter(&self, playbook: &Playbook, parameter: &str) -> Option<Service> {
        fn search(steps: &[Step], parameter: &str) -> Option<Service> {
            let names = |connection: &str| {
                let inner = connection
                    .trim()
                    .strip_prefix("{{")
                    .and_then(|rest| rest.strip_suffix("}}"));
                inner.is_some_and(|inner| inner.trim().strip_prefix("params.") == Some(parameter))
            };
            steps.iter().find_map(|step| match &step.kind {
                StepKind::Slack(step) if names(&step.connection) => Some(Service::Slack),
                StepKind::Teams(step) if names(&step.connection) => Some(Service::Teams),
                StepKind::Webhook(step) if names(&step.connection) => Some(Service::Webhook),
                StepKind::Http(step) if step.connection.as_deref().is_some_and(names) => {
                    Some(Service::Http)
                }
                StepKind::If(step) => {
                    search(&step.then, parameter).or_else(|| search(&step.otherwise, parameter))
                }
                StepKind::ForEach(step) => search(&step.steps, parameter),
                _ => None,
            })
        }
        search(&playbook.steps, parameter)
    }

    fn connection(&self, reader: &mut Reader<'_>, used: &ConnectionUse) {
        let read = self.connections.iter().find(|read| read.name == used.name);
        let found = match read {
            Some(read) => Some(read.definition.as_ref()),
            None => self.known.connections.get(&used.name).map(Some),
        };
        let Some(connection) = found else {
            let names: BTreeSet<&str> = self
                .connections
                .iter()
                .map(|read| read.name.as_str())
                .chain(self.known.connections.keys().map(String::as_str))
                .filter(|name| !name.is_empty())
                .collect();
            let help = match nearest(&used.name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => format!(
                    "there are no connections yet: add a file with `connection: {}`",
                    used.name
                ),
                None if names.len() > 12 => format!("add a file with `connection: {}`", used.name),
                None => format!(
                    "known are {}",
                    listed(&names.into_iter().collect::<Vec<_>>())
                ),
            };
            reader.fault_with_help(
                &used.span,
                format!("there is no connection `{}`", used.name),
                help,
            );
            return;
        };
        if let (Some(connection), Some(service)) = (connection, used.service)
            && !service.fits(&connection.kind)
        {
            let fitting: BTreeSet<&str> = self
                .connections
                .iter()
                .filter_map(|read| read.definition.as_ref())
                .chain(self.known.connections.values())
                .filter(|connection| service.fits(&connection.kind))
                .map(|connection| connection.name.as_str())
                .collect();
            let help = if fitting.is_empty() {
                "name one that does".to_owned()
            } else {
                format!(
                    "those that do are {}",
                    listed(&fitting.into_iter().take(6).collect::<Vec<_>>())
                )
            };
            reader.fault_with_help(
                &used.span,
                format!(
                    "connection `{}` is for `{}` and does not fit a `{}` step",
                    used.name,
                    service_of(&connection.kind),
                    service.step()
                ),
                help,
            );
        }
    }

    /// Finds playbooks that call themselves, directly or through others.
    fn cycles(&self, calls: &[Call], faults: &mut Vec<Diagnostic>, uses: &mut Uses) {
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

    /// Checks that playbooks which are replaced still suit the automations and playbooks that are in force already.
    fn known_callers(&self, faults: &mut Vec<Diagnostic>) {
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

fn word(kind: Kind) -> &'static str {
    TRIGGERS
        .iter()
        .find(|(_, known)| *known == kind)
        .map_or("alert", |(word, _)| word)
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

/// A shortest way from one playbook to another along calls, both ends included.
fn path<'a>(
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    from: &'a str,
    to: &str,
) -> Option<Vec<&'a str>> {
    let mut ways = std::collections::VecDeque::from([vec![from]]);
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
