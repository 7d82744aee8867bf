use super::references::Uses;
use crate::bind::{listed, truth};
use crate::diagnostics::{Diagnostic, Gravity, MOST_FAULTS};
use crate::duration::parse_duration;
use crate::nearest::nearest;
use crate::templates::{self, Names};
use crate::yaml::{Content, Key, Node, Source};
use std::ops::Range;
use std::time::Duration;

/// Reads nodes as what they must be, and notes each fault where it is.
pub(super) struct Reader<'s> {
    pub(super) source: &'s Source,
    pub(super) faults: &'s mut Vec<Diagnostic>,
    pub(super) uses: &'s mut Uses,
}

/// The entries of a mapping whose keys were checked.
pub(super) struct Fields<'n> {
    entries: &'n [(Key, Node)],
    /// Keys that were mistyped: what was meant, and which entry it is.
    meant: Vec<(String, usize)>,
    /// What the mapping is, for messages.
    what: String,
    span: Range<usize>,
}

impl<'n> Fields<'n> {
    /// The value of a key, unless it has none or a fault was told of it.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|(_, node)| node)
    }

    pub(super) fn entry(&self, name: &str) -> Option<(&'n Key, &'n Node)> {
        self.find(name)
            .filter(|(_, node)| !matches!(node.content, Content::Null | Content::Broken))
            .map(|(key, node)| (key, node))
    }

    pub(super) fn key(&self, name: &str) -> Option<&'n Key> {
        self.find(name).map(|(key, _)| key)
    }

    fn find(&self, name: &str) -> Option<&'n (Key, Node)> {
        let mistyped = || {
            self.meant
                .iter()
                .find(|(meant, _)| meant == name)
                .map(|(_, index)| &self.entries[*index])
        };
        self.entries
            .iter()
            .find(|(key, _)| key.text == name)
            .or_else(mistyped)
    }
}

impl<'s> Reader<'s> {
    pub(super) fn note(&mut self, fault: Diagnostic) {
        if !self.is_full() {
            self.faults.push(fault);
        }
    }

    /// Whether there are so many faults already that further ones are not told.
    pub(super) fn is_full(&self) -> bool {
        self.faults.len() > MOST_FAULTS
    }

    pub(super) fn fault_with_help(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if !self.is_full() {
            self.note(self.source.error(span.clone(), message).with_help(help));
        }
    }

    pub(super) fn doubt(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if !self.is_full() {
            self.note(self.source.warning(span.clone(), message).with_help(help));
        }
    }

    pub(super) fn errors(&self) -> usize {
        self.faults
            .iter()
            .filter(|fault| fault.severity == Gravity::Error)
            .count()
    }

    /// What a node is, for a message.
    pub(super) fn described(&self, node: &Node) -> String {
        let short = |text: &str| text.chars().count() <= 60 && !text.contains('\n');
        match &node.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(_) => format!("`{}`", self.source.slice(&node.span)),
            Content::Number(_) => format!("the number `{}`", self.source.slice(&node.span)),
            // Blotted out, for it may be a secret.
            Content::Text(..)
                if self
                    .source
                    .slice(&node.span)
                    .bytes()
                    .all(|byte| byte == b'*') =>
            {
                "text".to_owned()
            }
            Content::Text(text, _) if short(text) => format!("the text `{text}`"),
            Content::Text(..) => "text".to_owned(),
            Content::List(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
            Content::Broken => "that".to_owned(),
        }
    }

    /// Notes that a node is not what it must be.
    pub(super) fn misfit(&mut self, node: &Node, what: &str, must: &str, help: impl Into<String>) {
        if matches!(node.content, Content::Broken) {
            return;
        }
        let message = format!("{what} must be {must}, not {}", self.described(node));
        self.fault_with_help(&node.span, message, help);
    }

    /// Reads a mapping with a closed set of keys.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        allowed: &[&str],
    ) -> Option<Fields<'n>> {
        let entries = self.entries(node, what)?;
        let mut meant = Vec::new();
        for (index, (key, value)) in entries.iter().enumerate() {
            if !allowed.contains(&key.text.as_str()) {
                let near = self.unknown_key(key, what, allowed);
                // What was meant is read as such, so that its own faults are told, too.
                meant.extend(near.map(|near| (near, index)));
            } else if value.is_null() {
                self.fault_with_help(
                    &key.span,
                    format!("`{}` has no value", key.text),
                    "give it one, or remove the key",
                );
            }
        }
        Some(Fields {
            entries,
            meant,
            what: what.to_owned(),
            span: node.span.clone(),
        })
    }

    /// Reads a mapping with any keys.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        match &node.content {
            Content::Mapping(entries) => Some(entries),
            Content::Text(text, _)
                if text.contains(':') && !text.contains(": ") && !text.contains("://") =>
            {
                self.misfit(node, what, "a mapping", "put a blank after the `:`");
                None
            }
            Content::List(_) => {
                self.misfit(
                    node,
                    what,
                    "a mapping",
                    "write `key: value` lines, without `- ` before them",
                );
                None
            }
            _ => {
                self.misfit(
                    node,
                    what,
                    "a mapping",
                    "write `key: value` lines, or `{ key: value }`",
                );
                None
            }
        }
    }

    fn unknown_key(&mut self, key: &Key, what: &str, allowed: &[&str]) -> Option<String> {
        let near = nearest(&key.text, allowed.iter().copied());
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let longer = format!("{}_", key.text);
                let longer: Vec<&str> = allowed
                    .iter()
                    .copied()
                    .filter(|name| name.starts_with(&longer))
                    .collect();
                if longer.is_empty() {
                    format!("{what} takes {}", listed(allowed))
                } else {
                    format!("did you mean one of {}?", listed(&longer))
                }
            }
        };
        self.fault_with_help(&key.span, format!("unknown key `{}`", key.text), help);
        near.map(str::to_owned)
    }

    /// The value of a key that must be there.
    pub(super) fn require<'n>(
        &mut self,
        fields: &Fields<'n>,
        name: &str,
        help: &str,
    ) -> Option<&'n Node> {
        if fields.key(name).is_none() {
            self.fault_with_help(
                &fields.span,
                format!("{} has no `{name}`", fields.what),
                help,
            );
        }
        fields.get(name)
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.content {
            Content::Text(text, _) => Some(text),
            Content::Bool(_) | Content::Number(_) => {
                let help = format!("put it in quotes: `\"{}\"`", self.source.slice(&node.span));
                self.misfit(node, what, "text", help);
                None
            }
            Content::List(_) => {
                self.misfit(
                    node,
                    what,
                    "text",
                    "give one value, without brackets or `- `",
                );
                None
            }
            _ => {
                self.misfit(
                    node,
                    what,
                    "text",
                    "put text that begins with `{` in quotes",
                );
                None
            }
        }
    }

    /// Text that says something.
    pub(super) fn filled_text(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() {
            self.fault_with_help(
                &node.span,
                format!("{what} is empty"),
                "give it a value, or remove the key",
            );
            return None;
        }
        Some(text.to_owned())
    }

    pub(super) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.content {
            Content::Bool(truth) => Some(*truth),
            Content::Text(text, _) => {
                let help = match truth(text) {
                    Some(truth) => format!("write `{truth}`, without quotes"),
                    None => "write `true` or `false`, without quotes".to_owned(),
                };
                self.misfit(node, what, "`true` or `false`", help);
                None
            }
            _ => {
                self.misfit(node, what, "`true` or `false`", "write `true` or `false`");
                None
            }
        }
    }

    pub(super) fn whole_number(
        &mut self,
        node: &Node,
        what: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let number = match &node.content {
            Content::Number(number) => number.as_i64(),
            Content::Text(text, _) if text.trim().parse::<i64>().is_ok() => {
                let help = format!("drop the quotes: `{}`", text.trim());
                self.misfit(node, what, "a whole number", help);
                return None;
            }
            _ => None,
        };
        let Some(number) = number else {
            let help = format!(
                "write a whole number from {} to {}",
                range.start(),
                range.end()
            );
            self.misfit(node, what, "a whole number", help);
            return None;
        };
        if !range.contains(&number) {
            let nearest = if number < *range.start() {
                range.start()
            } else {
                range.end()
            };
            self.fault_with_help(
                &node.span,
                format!(
                    "{what} must be from {} to {}, not {number}",
                    range.start(),
                    range.end()
                ),
                format!("the nearest is `{nearest}`"),
            );
            return None;
        }
        Some(number)
    }

    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        const HOW: &str = "a length of time such as `15m`";
        match &node.content {
            Content::Text(text, _) => match parse_duration(text) {
                Ok(duration) => Some(duration),
                Err(help) => {
                    self.fault_with_help(
                        &node.span,
                        format!("`{text}` is not a length of time"),
                        help,
                    );
                    None
                }
            },
            Content::Number(_) => {
                let given = self.source.slice(&node.span).to_owned();
                let help =
                    format!("give it a unit: `{given}s`, `{given}m`, `{given}h` or `{given}d`");
                self.misfit(node, what, HOW, help);
                None
            }
            _ => {
                self.misfit(
                    node,
                    what,
                    HOW,
                    "write a number with its unit, such as `90s`, `15m`, `24h` or `7d`",
                );
                None
            }
        }
    }

    /// One of a closed list of words.
    pub(super) fn word<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let Some(text) = node.text() else {
            self.misfit(node, what, "text", format!("known are {}", listed(&names)));
            return None;
        };
        if let Some((_, value)) = words.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let help = match nearest(text, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", listed(&names)),
        };
        self.fault_with_help(&node.span, format!("{what} `{text}` is not known"), help);
        None
    }

    /// A list, or one entry that stands for a list of one.
    pub(super) fn one_or_more<'n>(&mut self, node: &'n Node) -> Vec<&'n Node> {
        match &node.content {
            Content::List(items) => items.iter().collect(),
            Content::Broken => Vec::new(),
            _ => vec![node],
        }
    }

    pub(super) fn list<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        help: &str,
    ) -> Option<&'n [Node]> {
        match &node.content {
            Content::List(items) => Some(items),
            _ => {
                self.misfit(node, what, "a list", help);
                None
            }
        }
    }

    /// Checks every template in a node and what is in it.
    pub(super) fn templates(&mut self, node: &Node, names: &Names) {
        match &node.content {
            Content::Text(text, _) => self.template(node, text, 0, names),
            Content::List(items) => items.iter().for_each(|item| self.templates(item, names)),
            Content::Mapping(entries) => entries
                .iter()
                .for_each(|(_, value)| self.templates(value, names)),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Broken => {}
        }
    }

    /// Checks that a template which says what is called or acted on takes of the finding its account and region alone:
    /// whoever causes a finding can often write the rest.
    pub(super) fn chosen(&mut self, node: &Node, what: &str, names: &Names) {
        let Some(text) = node.text() else { return };
        if self.is_full() || !templates::faults(text, names).is_empty() {
            return;
        }
        let placed = Names {
            placed: true,
            ..names.clone()
        };
        let Some(fault) = templates::faults(text, &placed).into_iter().next() else {
            return;
        };
        let span = node.locate(self.source, fault.offset..fault.offset + fault.len);
        self.fault_with_help(
            &span,
            format!("the finding must not choose {what}"),
            "name it here or in a parameter; of the finding `finding.account` and `finding.region` may be used",
        );
    }

    /// Checks a template that is a node's text with `ahead` bytes put before it.
    pub(super) fn template(&mut self, node: &Node, template: &str, ahead: usize, names: &Names) {
        if self.is_full() {
            return;
        }
        for fault in templates::faults(template, names) {
            let start = fault.offset.saturating_sub(ahead);
            let part = start..start + fault.len;
            let word = template
                .get(fault.offset..fault.offset + fault.len)
                .unwrap_or_default();
            let help = fault
                .help
                .unwrap_or_else(|| advice(&fault.message, word, names));
            let span = node.locate(self.source, part);
            self.fault_with_help(&span, fault.message, help);
        }
    }
}

/// What to write in place of a name that is not known, where the name itself resembles none.
fn advice(message: &str, word: &str, names: &Names) -> String {
    for (what, known) in [
        ("filter", templates::FILTERS),
        ("test", templates::TESTS),
        ("function", templates::FUNCTIONS),
    ] {
        if message.starts_with(what) {
            return format!("the {what}s are {}", listed(known));
        }
    }
    let fields = super::fields::roots();
    if let Some(near) = nearest(word, fields) {
        return format!("did you mean `finding.{near}`?");
    }
    let mut known = vec!["finding", "raw", "defender", "run"];
    known.extend(
        [
            ("params", &names.params),
            ("steps", &names.steps),
            ("vars", &names.vars),
        ]
        .iter()
        .filter_map(|(name, those)| (!those.is_empty()).then_some(*name)),
    );
    known.extend(names.items.iter().map(String::as_str));
    format!("names known here are {}", listed(&known))
}
