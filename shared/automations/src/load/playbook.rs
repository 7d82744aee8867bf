use super::automation::trigger_word;
use super::reader::Reader;
use super::references::{ConnectionUse, service_of_parameter};
use super::steps::Steps;
use crate::bind::{Reading, fit, holds_template, listed};
use crate::templates::Names;
use crate::yaml::{Content, Node};
use crate::{Parameter, ParameterType, Playbook, Requirements, Step};
use quench_findings::Kind;
use std::collections::{BTreeMap, BTreeSet};

const KEYS: [&str; 6] = [
    "playbook",
    "description",
    "triggers",
    "requires",
    "parameters",
    "steps",
];

/// Reads a playbook; absent if it is too broken to be one.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Playbook> {
    let fields = reader.fields(root, "a playbook", &KEYS)?;
    let name = reader
        .require(&fields, "playbook", "name it")
        .and_then(|node| reader.name(node, "the name"));
    let description = fields
        .get("description")
        .and_then(|node| reader.filled_text(node, "`description`"));
    let triggers = reader
        .require(
            &fields,
            "triggers",
            "say what it can work on: `triggers: [alert, recommendation, compliance]`",
        )
        .map(|node| triggers(reader, node))
        .unwrap_or_default();
    let requires = fields
        .get("requires")
        .and_then(|node| requirements(reader, node))
        .unwrap_or_default();
    let parameters = fields
        .get("parameters")
        .map(|node| parameters(reader, node))
        .unwrap_or_default();
    // A faulty one is declared all the same.
    let params = match fields.get("parameters").map(|node| &node.content) {
        Some(Content::Mapping(entries)) => {
            entries.iter().map(|(key, _)| key.text.clone()).collect()
        }
        _ => BTreeSet::new(),
    };
    let steps = reader
        .require(&fields, "steps", "add what it does")
        .map(|node| {
            let caller = (name.clone().unwrap_or_default(), triggers.clone());
            Steps::new(
                caller,
                Names {
                    params,
                    ..Names::default()
                },
            )
            .read(reader, node)
        });
    if let (Some(node), Some(steps)) = (fields.get("parameters"), &steps) {
        default_connections(reader, node, &parameters, steps);
    }
    Some(Playbook {
        name: name?,
        description,
        triggers,
        requires,
        parameters,
        steps: steps?,
    })
}

/// Remembers the connections that are parameters' defaults, to be looked up once all files are read.
fn default_connections(
    reader: &mut Reader<'_>,
    node: &Node,
    parameters: &BTreeMap<String, Parameter>,
    steps: &[Step],
) {
    let Content::Mapping(entries) = &node.content else {
        return;
    };
    for (key, value) in entries {
        let leads = parameters
            .get(&key.text)
            .is_some_and(|parameter| parameter.parameter_type == ParameterType::Connection);
        let Content::Mapping(entries) = &value.content else {
            continue;
        };
        for (_, default) in entries
            .iter()
            .filter(|(key, _)| leads && key.text == "default")
        {
            let Some(name) = default.text().filter(|name| !holds_template(name)) else {
                continue;
            };
            reader.uses.connections.push(ConnectionUse {
                source: reader.source.clone(),
                span: default.span.clone(),
                name: name.to_owned(),
                service: service_of_parameter(steps, &key.text),
            });
        }
    }
}

fn triggers(reader: &mut Reader<'_>, node: &Node) -> Vec<Kind> {
    let mut triggers = Vec::new();
    let items = reader.one_or_more(node);
    if items.is_empty() && !matches!(node.content, Content::Broken) {
        reader.fault_with_help(
            &node.span,
            "`triggers` is empty",
            "name at least one of `alert`, `recommendation`, `compliance`",
        );
    }
    for item in items {
        let Some(kind) = trigger_word(reader, item) else {
            continue;
        };
        if triggers.contains(&kind) {
            let message = format!("`{}` is named twice", item.text().unwrap_or_default());
            reader.fault_with_help(&item.span, message, "remove one of the two");
        } else {
            triggers.push(kind);
        }
    }
    triggers
}

fn requirements(reader: &mut Reader<'_>, node: &Node) -> Option<Requirements> {
    let fields = reader.fields(node, "`requires`", &["connections", "permissions"])?;
    let mut connections = BTreeMap::new();
    if let Some(node) = fields.get("connections") {
        for (key, value) in reader.entries(node, "`connections`").unwrap_or_default() {
            if let Some(text) = reader.filled_text(value, &format!("`{}`", key.text)) {
                connections.insert(key.text.clone(), text);
            }
        }
    }
    let mut permissions = Vec::new();
    if let Some(node) = fields.get("permissions") {
        for item in reader.one_or_more(node) {
            permissions.extend(reader.filled_text(item, "a permission"));
        }
    }
    Some(Requirements {
        connections,
        permissions,
    })
}

fn parameters(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Parameter> {
    let mut parameters = BTreeMap::new();
    for (key, value) in reader.entries(node, "`parameters`").unwrap_or_default() {
        let named = reader.identifier(&key.text, &key.span, "parameter");
        if let Some(parameter) = parameter(reader, value, &key.text)
            && named
        {
            parameters.insert(key.text.clone(), parameter);
        }
    }
    parameters
}

fn parameter(reader: &mut Reader<'_>, node: &Node, name: &str) -> Option<Parameter> {
    if let Some(text) = node.text() {
        let help = format!("write `{name}: {{ type: {text} }}`");
        reader.misfit(node, &format!("parameter `{name}`"), "a mapping", help);
        return None;
    }
    let what = format!("parameter `{name}`");
    let fields = reader.fields(
        node,
        &what,
        &["type", "description", "required", "default", "allowed"],
    )?;
    let names = ParameterType::NAMES.map(|(name, _)| name);
    let parameter_type = reader
        .require(&fields, "type", &format!("one of {}", listed(&names)))
        .and_then(|node| reader.word(node, "type", &ParameterType::NAMES));
    let description = fields
        .get("description")
        .and_then(|node| reader.filled_text(node, "`description`"));
    let required = fields
        .get("required")
        .and_then(|node| reader.boolean(node, "`required`"))
        .unwrap_or_default();
    let mut parameter = Parameter {
        parameter_type: parameter_type?,
        description,
        required,
        default: None,
        allowed: Vec::new(),
    };
    if let Some(node) = fields.get("allowed") {
        let mut allowed = Vec::new();
        for item in reader
            .list(node, "`allowed`", "write the values in brackets: `[a, b]`")
            .unwrap_or_default()
        {
            let each = Parameter {
                parameter_type: one_of(parameter.parameter_type),
                ..parameter.clone()
            };
            match fit(&each, &item.to_json(), Reading::Strict) {
                Ok(value) => allowed.push(value),
                Err(unfit) => note_unfit(reader, item, "an allowed value", unfit),
            }
        }
        parameter.allowed = allowed;
    }
    if let Some((key, node)) = fields.entry("default") {
        if required {
            reader.doubt(
                &key.span,
                format!("parameter `{name}` is required, so its default is never used"),
                "remove `required` or `default`",
            );
        }
        let value = node.to_json();
        if let Err(unfit) = fit(&parameter, &value, Reading::Strict) {
            note_unfit(reader, node, "the default", unfit);
        }
        // A default is rendered before any step, and defaults do not see each other.
        reader.templates(node, &Names::default());
        parameter.default = Some(value);
    }
    Some(parameter)
}

/// The type of one of several values.
fn one_of(parameter_type: ParameterType) -> ParameterType {
    match parameter_type {
        ParameterType::Emails => ParameterType::Email,
        ParameterType::Strings => ParameterType::String,
        other => other,
    }
}

/// Notes why a value does not fit, on the entry of a list that is to blame where that can be told.
pub(super) fn note_unfit(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    unfit: (String, Option<String>),
) {
    let (reason, help) = unfit;
    let culprit = match &node.content {
        Content::List(items) => items.iter().find(|item| {
            let shown = reader.source.slice(&item.span).trim_matches(['"', '\'']);
            !shown.is_empty() && reason.contains(&format!("`{shown}`"))
        }),
        _ => None,
    };
    let span = &culprit.unwrap_or(node).span;
    let message = if reason.starts_with("must") || reason.starts_with("is ") {
        format!("{what} {reason}")
    } else {
        reason
    };
    reader.fault_with_help(
        span,
        message,
        help.unwrap_or_else(|| "give another value".to_owned()),
    );
}
