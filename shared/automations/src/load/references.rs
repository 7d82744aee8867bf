//! What definitions say of each other: checked once all files are read.

use super::automation::TRIGGERS;
use super::fields::plural;
use super::obscure::Obscure;
use super::playbook::note_unfit;
use super::reach::Reach;
use super::reader::Reader;
use super::{Library, Read};
use crate::bind::{Reading, fit, holds_template, listed};
use crate::diagnostics::Diagnostic;
use crate::nearest::nearest;
use crate::yaml::{Key, Node, Source};
use crate::{Automation, Connection, ConnectionKind, ParameterType, Playbook, Step, StepKind};
use quench_findings::Kind;
use std::collections::BTreeSet;
use std::ops::Range;

/// References found while reading.
#[derive(Default)]
pub(super) struct Uses {
    pub(super) calls: Vec<Call>,
    pub(super) connections: Vec<ConnectionUse>,
    pub(super) reaches: Vec<Reach>,
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

    /// The kinds of connection that fit.
    fn kinds(self) -> &'static str {
        match self {
            Self::Slack => "`slack_hook` or `slack_bot`",
            Self::Teams => "`teams`",
            Self::Webhook => "`webhook`",
            Self::Http => "`http`",
        }
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

impl Playbook {
    /// The step, such as `slack`, that takes its connection from this parameter and can do nothing with this one.
    pub fn unfit_step(&self, parameter: &str, connection: &Connection) -> Option<&'static str> {
        let service = service_of_parameter(&self.steps, parameter)?;
        (!service.fits(&connection.kind)).then(|| service.step())
    }
}

/// Everything that was read, with what is known besides.
pub(super) struct References<'a> {
    pub(super) automations: &'a [Read<Automation>],
    pub(super) playbooks: &'a [Read<Playbook>],
    pub(super) connections: &'a [Read<Connection>],
    pub(super) obscure: &'a Obscure,
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
        for reach in std::mem::take(&mut uses.reaches) {
            let mut reader = Reader {
                source: &reach.source,
                faults,
                uses: &mut uses,
            };
            self.reach(&mut reader, &reach);
        }
        self.cycles(&calls, faults, &mut uses);
        self.known_callers(faults);
    }

    /// The playbook of a name: from the files, else from what is known. `Some(None)` is one too broken to be checked.
    pub(super) fn playbook(&self, name: &str) -> Option<Option<&Playbook>> {
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
            if self.obscure.may_hold_playbook(&call.playbook) {
                return;
            }
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
                    service: service_of_parameter(&playbook.steps, &key.text),
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

    fn connection(&self, reader: &mut Reader<'_>, used: &ConnectionUse) {
        let read = self.connections.iter().find(|read| read.name == used.name);
        let found = match read {
            Some(read) => Some(read.definition.as_ref()),
            None => self.known.connections.get(&used.name).map(Some),
        };
        let Some(connection) = found else {
            if self.obscure.may_hold_connection(&used.name) {
                return;
            }
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
                format!(
                    "none does yet: add a file with a connection of {}",
                    service.kinds()
                )
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
}

/// What a connection given as a parameter must lead to, by the first step that uses it as such.
pub(super) fn service_of_parameter(steps: &[Step], parameter: &str) -> Option<Service> {
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
        StepKind::If(step) => service_of_parameter(&step.then, parameter)
            .or_else(|| service_of_parameter(&step.otherwise, parameter)),
        StepKind::ForEach(step) => service_of_parameter(&step.steps, parameter),
        _ => None,
    })
}

fn word(kind: Kind) -> &'static str {
    TRIGGERS
        .iter()
        .find(|(_, known)| *known == kind)
        .map_or("alert", |(word, _)| word)
}
