//! The steps of a playbook.

use super::attempts::{retry, timeout};
use super::aws;
use super::effects;
use super::reader::{Fields, Reader};
use super::remediate;
use crate::bind::listed;
use crate::nearest::nearest;
use crate::templates::Names;
use crate::yaml::{Content, Key, Node};
use crate::{OnError, OnUnknown, Step, StepKind};
use quench_findings::Kind;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The actions of this version; the first ten have effects outside.
const ACTIONS: [&str; 17] = [
    "email",
    "slack",
    "teams",
    "webhook",
    "http",
    "remediate",
    "ssm",
    "lambda",
    "step_functions",
    "finding",
    "approve",
    "if",
    "for_each",
    "set",
    "wait",
    "stop",
    "playbook",
];
const EFFECTS: usize = 10;

/// Actions that files for later versions may hold.
const LATER: [&str; 4] = ["pagerduty", "jira", "servicenow", "sns"];

/// Keys that any step may have.
const ALWAYS: [&str; 2] = ["id", "on_error"];
/// Keys of steps with an effect outside.
const OF_EFFECTS: [&str; 3] = ["timeout", "retry", "on_unknown"];

/// Deepest nesting of `if` and `for_each`.
const MAX_NESTING: usize = 8;
/// Most steps of one playbook, those within others included.
const MAX_STEPS: usize = 500;
/// Reads steps in order, and keeps the names that later templates may use.
pub(super) struct Steps {
    pub(super) playbook: (String, Vec<Kind>),
    pub(super) names: Names,
    ids: HashMap<String, Range<usize>>,
    counts: HashMap<&'static str, usize>,
    /// Ids that are written anywhere in the playbook, which made-up ids must not take.
    written: HashSet<String>,
    depth: usize,
    total: usize,
    /// Remediations that people are shown by `approve`, with the place of each.
    pub(super) shown: Vec<(String, Range<usize>)>,
}

impl Steps {
    pub(super) fn new(playbook: (String, Vec<Kind>), names: Names) -> Self {
        Self {
            playbook,
            names,
            ids: HashMap::new(),
            counts: HashMap::new(),
            written: HashSet::new(),
            depth: 0,
            total: 0,
            shown: Vec::new(),
        }
    }

    pub(super) fn read(mut self, reader: &mut Reader<'_>, node: &Node) -> Vec<Step> {
        collect_ids(node, &mut self.written);
        let steps = self.list(reader, node, "`steps`");
        remediate::shown_for_nothing(reader, &self.shown, &steps);
        steps
    }

    fn list(&mut self, reader: &mut Reader<'_>, node: &Node, what: &str) -> Vec<Step> {
        let items = match &node.content {
            Content::List(items) => items,
            Content::Mapping(_) => {
                reader.misfit(node, what, "a list", "put `- ` before each step");
                return Vec::new();
            }
            _ => {
                reader.misfit(
                    node,
                    what,
                    "a list of steps",
                    "begin each step with `- ` on a line of its own",
                );
                return Vec::new();
            }
        };
        if items.is_empty() {
            reader.fault_with_help(
                &node.span,
                format!("{what} is empty"),
                format!("add a step: {}", listed(&ACTIONS)),
            );
        }
        if self.depth > MAX_NESTING {
            reader.fault_with_help(
                &node.span,
                format!("steps are nested more than {MAX_NESTING} deep"),
                "move inner steps to a playbook of their own",
            );
            return Vec::new();
        }
        items
            .iter()
            .filter_map(|item| self.step(reader, item))
            .collect()
    }

    pub(super) fn nested(&mut self, reader: &mut Reader<'_>, node: &Node, what: &str) -> Vec<Step> {
        self.depth += 1;
        let steps = self.list(reader, node, what);
        self.depth -= 1;
        steps
    }

    fn step(&mut self, reader: &mut Reader<'_>, node: &Node) -> Option<Step> {
        self.total += 1;
        if self.total > MAX_STEPS {
            if self.total == MAX_STEPS + 1 {
                reader.fault_with_help(
                    &node.span,
                    format!("the playbook has more than {MAX_STEPS} steps"),
                    "move some of them to a playbook of their own",
                );
            }
            return None;
        }
        if let Some(text) = node.text() {
            let help = if ACTIONS.contains(&text) {
                format!("write `{text}: …`")
            } else {
                format!("such as `{}: …`", ACTIONS[0])
            };
            reader.misfit(node, "a step", "a mapping", help);
            return None;
        }
        let entries = reader.entries(node, "a step")?;
        let (action, allowed) = action(reader, node, entries)?;
        let fields = reader.fields(node, &format!("step `{action}`"), &allowed)?;
        let id = self.id(reader, &fields, action);
        let kind = match fields.get(action) {
            // `stop:` and the like without a value were told of as such.
            None => None,
            Some(value) => self.kind(reader, action, value, &fields),
        };
        let timeout = fields.get("timeout").and_then(|node| timeout(reader, node));
        let retry = fields.get("retry").and_then(|node| retry(reader, node));
        let on_error = fields
            .get("on_error")
            .and_then(|node| {
                reader.word(
                    node,
                    "on_error",
                    &[("fail", OnError::Fail), ("continue", OnError::Continue)],
                )
            })
            .unwrap_or_default();
        let on_unknown = fields.get("on_unknown").and_then(|node| {
            let words = [
                ("repeat", OnUnknown::Repeat),
                ("fail", OnUnknown::Fail),
                ("continue", OnUnknown::Continue),
            ];
            reader.word(node, "on_unknown", &words)
        });
        self.names.steps.insert(id.clone());
        if matches!(action, "remediate" | "approve") {
            self.names.deeds.insert(id.clone());
        }
        Some(Step {
            id,
            kind: kind?,
            timeout,
            retry,
            on_error,
            on_unknown,
        })
    }

    /// The id as written, or one made of the action and how many of its kind there are.
    fn id(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>, action: &'static str) -> String {
        let count = self.counts.entry(action).or_default();
        let mut made = || loop {
            *count += 1;
            let id = format!("{}-{count}", action.replace('_', "-"));
            if !self.written.contains(&id) {
                break id;
            }
        };
        let Some(node) = fields.get("id") else {
            return made();
        };
        let Some(text) = reader.text(node, "`id`") else {
            return made();
        };
        let fine = !text.is_empty()
            && text.len() <= 64
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !fine {
            reader.fault_with_help(
                &node.span,
                format!("id `{text}` must be of letters, digits, `_` and `-`, at most 64"),
                "such as `mail`",
            );
            return made();
        }
        if let Some(first) = self.ids.get(text) {
            let fault = reader
                .source
                .error(
                    node.span.clone(),
                    format!("step id `{text}` is given twice"),
                )
                .with_label("given again here")
                .with_related(
                    &reader.source.path,
                    &reader.source.shown,
                    first.clone(),
                    "first given here",
                )
                .with_help("ids are unique in a playbook, steps within others included");
            reader.note(fault);
        } else {
            self.ids.insert(text.to_owned(), node.span.clone());
        }
        text.to_owned()
    }

    fn kind(
        &mut self,
        reader: &mut Reader<'_>,
        action: &str,
        value: &Node,
        fields: &Fields<'_>,
    ) -> Option<StepKind> {
        match action {
            "if" => self.branch(reader, value, fields),
            "for_each" => self.for_each(reader, value, fields),
            "set" => self.set(reader, value),
            "wait" => self.wait(reader, value),
            "stop" => self.stop(reader, value),
            "playbook" => self.playbook(reader, value, fields),
            "remediate" => Some(StepKind::Remediate(remediate::step(
                reader,
                value,
                &self.names,
            )?)),
            "approve" => self.approve(reader, value),
            "ssm" | "lambda" | "step_functions" | "finding" => {
                aws::read(reader, action, value, &self.names)
            }
            effect => effects::read(reader, effect, value, &self.names),
        }
    }
}

/// Finds the one action of a step, and the keys that go with it.
fn action(
    reader: &mut Reader<'_>,
    node: &Node,
    entries: &[(Key, Node)],
) -> Option<(&'static str, Vec<&'static str>)> {
    if let Some((key, _)) = entries
        .iter()
        .find(|(key, _)| LATER.contains(&key.text.as_str()))
    {
        reader.fault_with_help(
            &key.span,
            format!("step `{}` is not available in this version", key.text),
            format!("available are {}", listed(&ACTIONS)),
        );
        return None;
    }
    let found: Vec<(&'static str, &Key)> = entries
        .iter()
        .filter_map(|(key, _)| {
            ACTIONS
                .iter()
                .find(|action| **action == key.text)
                .map(|action| (*action, key))
        })
        .collect();
    if let [(first, _), (second, key), ..] = found[..] {
        reader.fault_with_help(
            &key.span,
            format!("a step does one thing, and this one has both `{first}` and `{second}`"),
            format!("put `- ` before `{second}` to make it a step of its own"),
        );
        return None;
    }
    let Some((action, _)) = found.first() else {
        let known: Vec<&str> = ACTIONS.into_iter().chain(LATER).collect();
        let rest: Vec<&str> = ALWAYS
            .into_iter()
            .chain(OF_EFFECTS)
            .chain(["then", "else", "steps", "as", "max", "with", "approval"])
            .collect();
        let strange = entries
            .iter()
            .find(|(key, _)| !rest.contains(&key.text.as_str()));
        match strange {
            Some((key, _)) => {
                let help = match nearest(&key.text, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("a step is one of {}", listed(&ACTIONS)),
                };
                reader.fault_with_help(&key.span, format!("unknown step `{}`", key.text), help);
            }
            None => reader.fault_with_help(
                &node.span,
                "the step does not say what it does",
                format!("add one of {}", listed(&ACTIONS)),
            ),
        }
        return None;
    };
    let mut allowed = vec![*action];
    allowed.extend(ALWAYS);
    let within = within(action);
    for (key, _) in entries {
        let Some(known) = within.iter().find(|known| **known == key.text) else {
            continue;
        };
        allowed.push(known);
        reader.fault_with_help(
            &key.span,
            format!("`{known}` belongs into `{action}`"),
            match *action {
                "remediate" => format!("write `remediate: {{ name: …, {known}: … }}`"),
                action => format!("write `{action}: {{ {known}: … }}`"),
            },
        );
    }
    match *action {
        "if" => allowed.extend(["then", "else"]),
        "for_each" => allowed.extend(["as", "max", "steps"]),
        "playbook" => allowed.push("with"),
        action if ACTIONS[..EFFECTS].contains(&action) => allowed.extend(OF_EFFECTS),
        _ => {}
    }
    if !ACTIONS[..EFFECTS].contains(action) {
        for (key, _) in entries
            .iter()
            .filter(|(key, _)| OF_EFFECTS.contains(&key.text.as_str()))
        {
            reader.fault_with_help(
                &key.span,
                format!("`{}` does not apply to `{action}`", key.text),
                if (*action, key.text.as_str()) == ("approve", "timeout") {
                    "write how long an answer is waited for as `approve: { expires: 24h }`"
                        .to_owned()
                } else {
                    format!("it applies to {}", listed(&ACTIONS[..EFFECTS]))
                },
            );
        }
        allowed.extend(OF_EFFECTS);
    }
    Some((action, allowed))
}

/// Keys of what an action is told that are easily written beside it instead.
fn within(action: &str) -> &'static [&'static str] {
    match action {
        "remediate" => &remediate::KEYS,
        "approve" => &["to", "message", "expires"],
        "ssm" => &aws::SSM,
        "lambda" => &aws::LAMBDA,
        "step_functions" => &aws::STEP_FUNCTIONS,
        "finding" => &aws::FINDING,
        _ => &[],
    }
}

fn collect_ids(node: &Node, ids: &mut HashSet<String>) {
    match &node.content {
        Content::List(items) => items.iter().for_each(|item| collect_ids(item, ids)),
        Content::Mapping(entries) => {
            for (key, value) in entries {
                match (key.text.as_str(), value.text()) {
                    ("id", Some(text)) => {
                        ids.insert(text.to_owned());
                    }
                    ("then" | "else" | "steps", _) => collect_ids(value, ids),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}
