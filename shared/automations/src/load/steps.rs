//! The steps of a playbook.

use super::effects;
use super::reader::{Fields, Reader};
use super::references::{Call, Caller};
use crate::bind::{holds_template, listed, parse_duration};
use crate::nearest::nearest;
use crate::templates::{self, Names};
use crate::yaml::{Content, Key, Node};
use crate::{
    ForEachStep, IfStep, OnError, OnUnknown, PlaybookStep, Retry, Step, StepKind, StopStep,
    WaitStep,
};
use jiff::Timestamp;
use quench_findings::Kind;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

/// The actions of this version; the first five have effects outside.
const ACTIONS: [&str; 11] = [
    "email", "slack", "teams", "webhook", "http", "if", "for_each", "set", "wait", "stop",
    "playbook",
];
const EFFECTS: usize = 5;

/// Actions that files for later versions may hold.
const LATER: [&str; 9] = [
    "pagerduty",
    "jira",
    "servicenow",
    "sns",
    "remediate",
    "ssm",
    "step_functions",
    "lambda",
    "approve",
];

/// Keys that any step may have.
const ALWAYS: [&str; 2] = ["id", "on_error"];
/// Keys of steps with an effect outside.
const OF_EFFECTS: [&str; 3] = ["timeout", "retry", "on_unknown"];

/// Deepest nesting of `if` and `for_each`.
const MAX_NESTING: usize = 8;
/// Most steps of one playbook, those within others included.
const MAX_STEPS: usize = 500;
/// Most items of a loop, and how many there may be where the step does not say.
const MAX_ITEMS: i64 = 1000;
const DEFAULT_ITEMS: usize = 100;

/// Names that a loop's item cannot have.
const RESERVED: [&str; 13] = [
    "finding",
    "raw",
    "defender",
    "params",
    "steps",
    "vars",
    "run",
    "loop",
    "loop_index",
    "true",
    "false",
    "none",
    "not",
];

/// Reads steps in order, and keeps the names that later templates may use.
pub(super) struct Steps {
    playbook: (String, Vec<Kind>),
    names: Names,
    ids: HashMap<String, Range<usize>>,
    counts: HashMap<&'static str, usize>,
    /// Ids that are written anywhere in the playbook, which made-up ids must not take.
    written: HashSet<String>,
    depth: usize,
    total: usize,
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
        }
    }

    pub(super) fn read(mut self, reader: &mut Reader<'_>, node: &Node) -> Vec<Step> {
        collect_ids(node, &mut self.written);
        self.list(reader, node, "`steps`")
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

    fn nested(&mut self, reader: &mut Reader<'_>, node: &Node, what: &str) -> Vec<Step> {
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
                    &reader.source.text,
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
            effect => effects::read(reader, effect, value, &self.names),
        }
    }

    fn branch(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Node,
        fields: &Fields<'_>,
    ) -> Option<StepKind> {
        let condition = self.expression(reader, value, "the condition of `if`");
        let then = reader
            .require(fields, "then", "add the steps to do if the condition holds")
            .map(|node| self.nested(reader, node, "`then`"));
        let otherwise = fields
            .get("else")
            .map(|node| self.nested(reader, node, "`else`"))
            .unwrap_or_default();
        Some(StepKind::If(IfStep {
            condition: condition?,
            then: then?,
            otherwise,
        }))
    }

    fn for_each(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Node,
        fields: &Fields<'_>,
    ) -> Option<StepKind> {
        let items = self.expression(reader, value, "`for_each`");
        let name = match fields.get("as") {
            Some(node) => reader
                .text(node, "`as`")
                .map(|text| (text.to_owned(), node.span.clone())),
            None => Some(("item".to_owned(), value.span.clone())),
        };
        let name = name.and_then(|(name, span)| {
            if !reader.identifier(&name, &span, "the item's name") {
                return None;
            }
            if RESERVED.contains(&name.as_str()) || self.names.items.contains(&name) {
                reader.fault_with_help(
                    &span,
                    format!("the name `{name}` is taken"),
                    "give the item another with `as`",
                );
                return None;
            }
            Some(name)
        });
        let max = fields
            .get("max")
            .and_then(|node| reader.whole_number(node, "`max`", 1..=MAX_ITEMS))
            .and_then(|max| usize::try_from(max).ok())
            .unwrap_or(DEFAULT_ITEMS);
        self.names
            .items
            .push(name.clone().unwrap_or_else(|| "item".to_owned()));
        let steps = reader
            .require(fields, "steps", "add the steps to do for each item")
            .map(|node| self.nested(reader, node, "`steps`"));
        self.names.items.pop();
        Some(StepKind::ForEach(ForEachStep {
            items: items?,
            name: name?,
            max,
            steps: steps?,
        }))
    }

    /// Reads one expression, with or without the braces of a template.
    fn expression(&mut self, reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<String> {
        let text = match &node.content {
            Content::Bool(truth) => return Some(format!("{{{{ {truth} }}}}")),
            Content::Text(text, _) => text,
            _ => {
                reader.misfit(
                    node,
                    what,
                    "an expression",
                    "such as `\"{{ finding.resources }}\"`",
                );
                return None;
            }
        };
        if text.trim().is_empty() {
            reader.fault_with_help(
                &node.span,
                format!("{what} is empty"),
                "such as `\"{{ finding.sample }}\"`",
            );
            return None;
        }
        let before = reader.errors();
        let (template, ahead) = if holds_template(text) {
            (text.clone(), 0)
        } else {
            (format!("{{{{ {} }}}}", text.trim()), 3)
        };
        reader.template(node, &template, ahead, &self.names);
        if reader.errors() == before && !templates::is_expression(&template) {
            reader.fault_with_help(
                &node.span,
                format!("{what} must be one expression"),
                "write one `{{ … }}` and nothing around it",
            );
        }
        (reader.errors() == before).then_some(template)
    }

    fn set(&mut self, reader: &mut Reader<'_>, value: &Node) -> Option<StepKind> {
        let entries = reader.entries(value, "`set`")?;
        if entries.is_empty() {
            reader.fault_with_help(
                &value.span,
                "`set` is empty",
                "such as `set: { owner: \"{{ … }}\" }`",
            );
        }
        for (key, node) in entries {
            reader.identifier(&key.text, &key.span, "variable");
            reader.templates(node, &self.names);
        }
        // Values of one step do not see each other.
        self.names
            .vars
            .extend(entries.iter().map(|(key, _)| key.text.clone()));
        Some(StepKind::Set(
            entries
                .iter()
                .map(|(key, node)| (key.text.clone(), node.to_json()))
                .collect(),
        ))
    }

    fn wait(&mut self, reader: &mut Reader<'_>, value: &Node) -> Option<StepKind> {
        if !matches!(value.content, Content::Mapping(_)) {
            return Some(StepKind::Wait(WaitStep::For(self.pause(reader, value)?)));
        }
        let fields = reader.fields(value, "`wait`", &["for", "until"])?;
        match (fields.get("for"), fields.entry("until")) {
            (Some(node), None) => Some(StepKind::Wait(WaitStep::For(self.pause(reader, node)?))),
            (None, Some((_, node))) => {
                Some(StepKind::Wait(WaitStep::Until(self.moment(reader, node)?)))
            }
            (Some(_), Some((key, _))) => {
                reader.fault_with_help(
                    &key.span,
                    "`wait` has both `for` and `until`",
                    "keep one of them",
                );
                None
            }
            (None, None) => {
                if fields.key("for").is_none() && fields.key("until").is_none() {
                    reader.fault_with_help(
                        &value.span,
                        "`wait` does not say how long",
                        "such as `wait: { for: 15m }`",
                    );
                }
                None
            }
        }
    }

    fn pause(&mut self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
        match node.text() {
            Some(text) if holds_template(text) => {
                reader.templates(node, &self.names);
                Some(text.to_owned())
            }
            _ => {
                reader.duration(node, "`wait`")?;
                node.text().map(str::to_owned)
            }
        }
    }

    fn moment(&mut self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
        let text = reader.text(node, "`until`")?;
        if holds_template(text) {
            reader.templates(node, &self.names);
        } else if text.parse::<Timestamp>().is_err() {
            let help = match text.parse::<jiff::civil::DateTime>() {
                Ok(_) if text.len() > 10 => format!("for UTC write `{text}Z`"),
                _ if parse_duration(text).is_ok() => format!("write `for: {text}`"),
                _ => "such as `2027-06-30T18:00:00Z`".to_owned(),
            };
            reader.fault_with_help(
                &node.span,
                format!("`{text}` is not a time with its offset"),
                help,
            );
            return None;
        }
        Some(text.to_owned())
    }

    fn stop(&mut self, reader: &mut Reader<'_>, value: &Node) -> Option<StepKind> {
        if value.text().is_some() {
            let reason = reader.filled_text(value, "the reason of `stop`")?;
            reader.templates(value, &self.names);
            return Some(StepKind::Stop(StopStep {
                reason,
                failed: false,
            }));
        }
        let fields = reader.fields(value, "`stop`", &["reason", "failed"])?;
        let failed = fields
            .get("failed")
            .and_then(|node| reader.boolean(node, "`failed`"))
            .unwrap_or_default();
        let node = reader.require(&fields, "reason", "say why the run ends")?;
        let reason = reader.filled_text(node, "`reason`")?;
        reader.templates(node, &self.names);
        Some(StepKind::Stop(StopStep { reason, failed }))
    }

    fn playbook(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Node,
        fields: &Fields<'_>,
    ) -> Option<StepKind> {
        let with = fields
            .get("with")
            .and_then(|node| reader.entries(node, "`with`"))
            .unwrap_or_default();
        with.iter()
            .for_each(|(_, node)| reader.templates(node, &self.names));
        let playbook = reader.filled_text(value, "`playbook`")?;
        if holds_template(&playbook) {
            reader.fault_with_help(
                &value.span,
                "the name of a playbook cannot be a template",
                "use `if` to choose between playbooks",
            );
            return None;
        }
        reader.uses.calls.push(Call {
            source: reader.source.clone(),
            caller: Caller::Playbook {
                name: self.playbook.0.clone(),
                triggers: self.playbook.1.clone(),
            },
            playbook: playbook.clone(),
            span: value.span.clone(),
            with: with.to_vec(),
        });
        let with = with
            .iter()
            .map(|(key, node)| (key.text.clone(), node.to_json()))
            .collect();
        Some(StepKind::Playbook(PlaybookStep { playbook, with }))
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
            .chain(["then", "else", "steps", "as", "max", "with"])
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
                format!("it applies to {}", listed(&ACTIONS[..EFFECTS])),
            );
        }
        allowed.extend(OF_EFFECTS);
    }
    Some((action, allowed))
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

fn timeout(reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
    let timeout = reader.duration(node, "`timeout`")?;
    if timeout < Duration::from_secs(1) || timeout > Duration::from_secs(600) {
        reader.fault_with_help(
            &node.span,
            "`timeout` must be from `1s` to `10m`",
            "for a longer pause use a `wait` step",
        );
        return None;
    }
    Some(timeout)
}

/// How steps are retried where `retry` leaves something out.
const RETRY: Retry = Retry {
    window: Duration::from_secs(24 * 60 * 60),
    attempts: None,
    base: Duration::from_secs(5),
    cap: Duration::from_secs(15 * 60),
};

fn retry(reader: &mut Reader<'_>, node: &Node) -> Option<Retry> {
    if let Content::Bool(false) = node.content {
        return Some(Retry {
            window: Duration::ZERO,
            attempts: Some(1),
            ..RETRY
        });
    }
    if !matches!(node.content, Content::Mapping(_)) {
        let help = match node.text() {
            Some(text) if parse_duration(text).is_ok() => {
                format!("write `retry: {{ for: {text} }}`")
            }
            _ => "such as `retry: { for: 24h }`, or `retry: false`".to_owned(),
        };
        reader.misfit(node, "`retry`", "a mapping or `false`", help);
        return None;
    }
    let fields = reader.fields(node, "`retry`", &["for", "attempts", "base", "cap"])?;
    let length = |reader: &mut Reader<'_>, name: &str, default: Duration| match fields.get(name) {
        Some(node) => reader
            .duration(node, &format!("`{name}`"))
            .unwrap_or(default),
        None => default,
    };
    let window = length(reader, "for", RETRY.window);
    let base = length(reader, "base", RETRY.base);
    let cap = length(reader, "cap", RETRY.cap.max(base));
    let attempts = fields
        .get("attempts")
        .and_then(|node| reader.whole_number(node, "`attempts`", 1..=1000))
        .and_then(|attempts| u32::try_from(attempts).ok());
    if base < Duration::from_secs(1) {
        reader.fault_with_help(
            &fields.get("base").unwrap_or(node).span,
            "`base` must be at least `1s`",
            "such as `5s`",
        );
    } else if base > cap {
        reader.fault_with_help(
            &fields.get("cap").unwrap_or(node).span,
            "`cap` must not be shorter than `base`",
            "`base` bounds the first pause and `cap` every pause",
        );
    }
    Some(Retry {
        window,
        attempts,
        base,
        cap,
    })
}
