//! Steps that decide which steps are done, and when.

use super::reader::{Fields, Reader};
use super::references::{Call, Caller};
use super::steps::Steps;
use crate::bind::holds_template;
use crate::duration::parse_duration;
use crate::templates;
use crate::yaml::{Content, Node};
use crate::{ForEachStep, IfStep, PlaybookStep, StepKind, StopStep, WaitStep};
use jiff::Timestamp;

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

impl Steps {
    pub(super) fn branch(
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

    pub(super) fn for_each(
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
    pub(super) fn expression(
        &mut self,
        reader: &mut Reader<'_>,
        node: &Node,
        what: &str,
    ) -> Option<String> {
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

    pub(super) fn set(&mut self, reader: &mut Reader<'_>, value: &Node) -> Option<StepKind> {
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

    pub(super) fn wait(&mut self, reader: &mut Reader<'_>, value: &Node) -> Option<StepKind> {
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

    pub(super) fn pause(&mut self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
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

    pub(super) fn moment(&mut self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
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

    pub(super) fn stop(&mut self, reader: &mut Reader<'_>, value: &Node) -> Option<StepKind> {
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

    pub(super) fn playbook(
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
