//! Steps that remediate, and those that ask people first.

use super::effects::{addresses, template};
use super::reader::{Fields, Reader};
use super::steps::Steps;
use crate::bind::{holds_template, listed};
use crate::nearest::nearest;
use crate::remediation::{Named, Remediation, Takes, is_account, is_region, unfit, unknown};
use crate::templates::Names;
use crate::yaml::{Content, Node};
use crate::{Approval, ApproveStep, RemediateStep, Step, StepKind};
use serde_json::{Map, Value};
use std::ops::Range;
use std::time::Duration;

/// What a remediation is told beside its name.
pub(super) const KEYS: [&str; 6] = [
    "resource", "account", "region", "with", "approval", "verify",
];

/// How long people may take to answer.
const EXPIRES: (Duration, Duration) = (
    Duration::from_secs(60),
    Duration::from_secs(30 * 24 * 60 * 60),
);

/// How long a resource may be read back.
const VERIFY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// Reads a remediation: its name alone, or with what it is told.
pub(super) fn step(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Option<RemediateStep> {
    if node.text().is_some() {
        return Some(RemediateStep {
            name: name(reader, node)?.name().to_owned(),
            resource: None,
            account: None,
            region: None,
            with: Map::new(),
            approval: None,
            verify: None,
        });
    }
    let keys: Vec<&str> = ["name"].into_iter().chain(KEYS).collect();
    let fields = reader.fields(node, "`remediate`", &keys)?;
    let remediation = reader
        .require(
            &fields,
            "name",
            "name the remediation: `name: s3-block-public-access`",
        )
        .and_then(|node| name(reader, node));
    let resource = resource(reader, &fields, remediation, names);
    let (account, region) = place(reader, &fields, names);
    let with = fields
        .get("with")
        .map(|node| with(reader, node, remediation, names))
        .unwrap_or_default();
    let approval = fields
        .get("approval")
        .and_then(|node| approval(reader, node, names));
    let verify = fields
        .get("verify")
        .and_then(|node| length(reader, node, "verify", VERIFY));
    Some(RemediateStep {
        name: remediation?.name().to_owned(),
        resource,
        account,
        region,
        with,
        approval,
        verify,
    })
}

fn name(reader: &mut Reader<'_>, node: &Node) -> Option<Remediation> {
    let text = reader.filled_text(node, "the name of the remediation")?;
    if holds_template(&text) {
        reader.fault_with_help(
            &node.span,
            "the name of a remediation cannot be a template",
            "use `if` to choose between remediations",
        );
        return None;
    }
    if let Ok(remediation) = text.parse() {
        return Some(remediation);
    }
    let known: Vec<&str> = Remediation::ALL.iter().map(|known| known.name()).collect();
    let help = match nearest(&text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", listed(&known)),
    };
    reader.fault_with_help(
        &node.span,
        format!("there is no remediation `{text}`"),
        help,
    );
    None
}

fn resource(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    remediation: Option<Remediation>,
    names: &Names,
) -> Option<String> {
    let text = template(reader, fields, "resource", names)?;
    let node = fields.get("resource")?;
    let Some(facts) = remediation.map(Remediation::facts) else {
        return Some(text);
    };
    if holds_template(&text) {
        return Some(text);
    }
    let kinds: Vec<&str> = facts.accepts.iter().map(|kind| kind.name()).collect();
    let named = facts
        .accepts
        .iter()
        .find_map(|kind| kind.named(text.trim()));
    let Some(named) = named.filter(Named::is_plain) else {
        reader.fault_with_help(
            &node.span,
            format!("`{text}` names no {}", kinds.join(" or ")),
            format!("`{}` takes the ARN of one", facts.name),
        );
        return None;
    };
    for (key, stated) in [("account", named.account), ("region", named.region)] {
        let other = fields.get(key).and_then(Node::text);
        if let (Some(other), false) = (other, stated.is_empty())
            && !holds_template(other)
            && other != stated
        {
            let span = &fields.get(key).unwrap_or(node).span;
            reader.fault_with_help(
                span,
                format!("the resource is in {key} `{stated}`, not `{other}`"),
                format!("remove `{key}`: the ARN says it"),
            );
        }
    }
    Some(text)
}

/// Reads the account and the region of what is acted on.
pub(super) fn place(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    names: &Names,
) -> (Option<String>, Option<String>) {
    let account = template(reader, fields, "account", names);
    let region = template(reader, fields, "region", names);
    let literal = |text: &Option<String>| text.clone().filter(|text| !holds_template(text));
    if let (Some(text), Some(node)) = (literal(&account), fields.get("account"))
        && !is_account(&text)
    {
        reader.fault_with_help(
            &node.span,
            format!("`{text}` is no account of AWS"),
            "write its twelve digits in quotes, such as `\"111122223333\"`",
        );
    }
    if let (Some(text), Some(node)) = (literal(&region), fields.get("region"))
        && !is_region(&text)
    {
        reader.fault_with_help(
            &node.span,
            format!("`{text}` is no region of AWS"),
            "such as `eu-central-1`",
        );
    }
    (account, region)
}

fn with(
    reader: &mut Reader<'_>,
    node: &Node,
    remediation: Option<Remediation>,
    names: &Names,
) -> Map<String, Value> {
    let entries = reader.entries(node, "`with`").unwrap_or_default();
    for (key, value) in entries {
        reader.templates(value, names);
        let Some(facts) = remediation.map(Remediation::facts) else {
            continue;
        };
        let known = facts.parameters.iter().find(|known| known.name == key.text);
        let Some(known) = known else {
            reader.fault_with_help(
                &key.span,
                format!("`{}` has no parameter `{}`", facts.name, key.text),
                unknown(&key.text, facts.parameters),
            );
            continue;
        };
        if value.is_null() {
            reader.fault_with_help(
                &key.span,
                format!("`{}` has no value", key.text),
                "give it one, or remove the key",
            );
            continue;
        }
        value_fits(reader, value, known.name, known.takes);
    }
    entries
        .iter()
        .map(|(key, value)| (key.text.clone(), value.to_json()))
        .collect()
}

/// Checks what is known of a value before it is rendered: items of a list one by one, each in its place.
fn value_fits(reader: &mut Reader<'_>, node: &Node, name: &str, takes: Takes) {
    match &node.content {
        Content::Broken => return,
        Content::Text(text, _) if holds_template(text) => return,
        Content::List(items) if takes.is_list() => {
            for item in items {
                if item.text().is_some_and(holds_template)
                    || matches!(item.content, Content::Broken)
                {
                    continue;
                }
                let alone = Value::Array(vec![item.to_json()]);
                if let Some((reason, help)) = unfit(&alone, takes) {
                    let message = format!("parameter `{name}`: {reason}");
                    reader.fault_with_help(
                        &item.span,
                        message,
                        help.unwrap_or_else(|| takes.example()),
                    );
                }
            }
            return;
        }
        _ => {}
    }
    if let Some((reason, help)) = unfit(&node.to_json(), takes) {
        let message = format!("parameter `{name}`: {reason}");
        reader.fault_with_help(&node.span, message, help.unwrap_or_else(|| takes.example()));
    }
}

/// Reads who is asked, and for how long.
pub(super) fn approval(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Option<Approval> {
    if let Some(text) = node.text() {
        let help = format!("write `approval: {{ to: [{text}] }}`");
        reader.misfit(node, "`approval`", "a mapping", help);
        return None;
    }
    let fields = reader.fields(node, "`approval`", &["to", "message", "expires"])?;
    if matches!(&node.content, Content::Mapping(entries) if entries.is_empty()) {
        reader.fault_with_help(
            &node.span,
            "`approval` is empty",
            "remove it, or say who is asked: `approval: { to: [lead@example.com] }`",
        );
    }
    Some(asked(reader, &fields, names))
}

fn asked(reader: &mut Reader<'_>, fields: &Fields<'_>, names: &Names) -> Approval {
    Approval {
        to: fields
            .get("to")
            .and_then(|node| addresses(reader, node, "`to`", names)),
        message: template(reader, fields, "message", names),
        expires: fields
            .get("expires")
            .and_then(|node| length(reader, node, "expires", EXPIRES)),
    }
}

fn length(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    (least, most): (Duration, Duration),
) -> Option<Duration> {
    let length = reader.duration(node, &format!("`{what}`"))?;
    if (least..=most).contains(&length) {
        return Some(length);
    }
    let short = |length: Duration| match length.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..86_400 => format!("{}m", seconds / 60),
        seconds => format!("{}d", seconds / 86_400),
    };
    let nearest = if length < least { least } else { most };
    reader.fault_with_help(
        &node.span,
        format!(
            "`{what}` must be from `{}` to `{}`",
            short(least),
            short(most)
        ),
        format!("the nearest is `{}`", short(nearest)),
    );
    None
}

impl Steps {
    pub(super) fn approve(&mut self, reader: &mut Reader<'_>, value: &Node) -> Option<StepKind> {
        if let Some(text) = value.text() {
            let help = format!("write `approve: {{ to: [{text}] }}`");
            reader.misfit(value, "`approve`", "a mapping", help);
            return None;
        }
        let keys = ["to", "message", "expires", "remediate"];
        let fields = reader.fields(value, "`approve`", &keys)?;
        if matches!(&value.content, Content::Mapping(entries) if entries.is_empty()) {
            reader.fault_with_help(
                &value.span,
                "`approve` is empty",
                "say who is asked: `approve: { to: [lead@example.com] }`",
            );
        }
        let approval = asked(reader, &fields, &self.names);
        let mut remediate = None;
        if let Some(node) = fields.get("remediate") {
            for (key, _) in within(node, &["approval", "verify"]) {
                let (message, help) = match key.text.as_str() {
                    "verify" => (
                        "`approve` changes nothing, so there is nothing to verify",
                        "write `verify` into the later `remediate` step",
                    ),
                    _ => (
                        "`approve` itself says who is asked",
                        "write `to`, `message` and `expires` into `approve`",
                    ),
                };
                reader.fault_with_help(&key.span, message, help);
            }
            remediate = step(reader, node, &self.names);
            if let Some(remediate) = &remediate {
                self.shown.push((remediate.name.clone(), node.span.clone()));
            }
        }
        Some(StepKind::Approve(ApproveStep {
            approval,
            remediate,
        }))
    }
}

fn within<'n>(
    node: &'n Node,
    names: &'n [&str],
) -> impl Iterator<Item = &'n (crate::yaml::Key, Node)> {
    let entries = match &node.content {
        Content::Mapping(entries) => entries.as_slice(),
        _ => &[],
    };
    entries
        .iter()
        .filter(|(key, _)| names.contains(&key.text.as_str()))
}

/// Doubts an `approve` that shows a remediation which no step of the playbook applies.
pub(super) fn shown_for_nothing(
    reader: &mut Reader<'_>,
    shown: &[(String, Range<usize>)],
    steps: &[Step],
) {
    for (name, span) in shown {
        if !applies(steps, name) {
            reader.doubt(
                span,
                format!("people are shown what `{name}` would change, and no step applies it"),
                format!("add a step `remediate: {name}`, or remove it here"),
            );
        }
    }
}

/// Says whether steps may apply a remediation, themselves or by calling a playbook.
fn applies(steps: &[Step], name: &str) -> bool {
    steps.iter().any(|step| match &step.kind {
        StepKind::Remediate(step) => step.name == name,
        StepKind::Playbook(_) => true,
        StepKind::If(step) => applies(&step.then, name) || applies(&step.otherwise, name),
        StepKind::ForEach(step) => applies(&step.steps, name),
        _ => false,
    })
}
