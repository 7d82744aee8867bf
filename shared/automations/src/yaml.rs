//! YAML as a tree whose every node knows its place, within limits.

mod builder;
mod bytes;
mod fault;
mod scalar;

pub(crate) use bytes::decode;
pub(crate) use scalar::Style;

use crate::diagnostics::{Diagnostic, Gravity};
use builder::Builder;
use serde_json::{Map, Number, Value};
use std::ops::Range;
use std::sync::Arc;

/// Largest file that is read.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 48;
/// Most nodes in one file, aliases expanded.
const MAX_NODES: usize = 50_000;
/// Most text in one file, aliases expanded.
const MAX_TEXT: usize = 4 * MAX_BYTES;

/// A file under examination.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: Arc<str>,
    /// Without a byte order mark.
    pub(crate) text: Arc<str>,
    /// The text as it may be shown: of the same length, with secrets struck out.
    pub(crate) shown: Arc<str>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let text: Arc<str> = text.strip_prefix('\u{feff}').unwrap_or(text).into();
        Self {
            path: path.into(),
            shown: Arc::clone(&text),
            text,
        }
    }

    pub(crate) fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(
            Gravity::Error,
            &self.path,
            &self.shown,
            self.on_text(span),
            message,
        )
    }

    pub(crate) fn warning(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Gravity::Warning, &self.path, &self.shown, span, message)
    }

    /// Moves a place behind all text, such as that of a value that is missing at the end, to the last character.
    fn on_text(&self, span: Range<usize>) -> Range<usize> {
        let kept = self.text.trim_end();
        match kept.char_indices().next_back() {
            Some((last, _)) if span.start >= kept.len() => last..kept.len(),
            _ => span,
        }
    }

    /// The text of a node as it may be shown.
    pub(crate) fn slice(&self, span: &Range<usize>) -> &str {
        self.shown.get(span.clone()).unwrap_or_default()
    }

    /// The text of a node as it is written.
    pub(crate) fn written(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }
}

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    /// Its own text.
    pub(crate) text: String,
}

/// A value and its place in the file: where it is written, which for an alias is at the anchor.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) content: Content,
}

/// What a node holds, by the core schema of YAML 1.2: `no` and `off` are text.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String, Style),
    List(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
    /// Something a fault was told of already.
    Broken,
}

/// The key of a mapping's entry.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Range<usize>,
}

impl Node {
    /// The node as JSON.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null | Content::Broken => Value::Null,
            Content::Bool(truth) => Value::Bool(*truth),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text, _) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Node::to_json).collect(),
            Content::Mapping(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.text.clone(), value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text, _) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// The place in the file of a part of this node's text, given as bytes of the text.
    pub(crate) fn locate(&self, source: &Source, part: Range<usize>) -> Range<usize> {
        match &self.content {
            Content::Text(text, style) => {
                scalar::locate(&source.text, &self.span, *style, text, part)
            }
            _ => self.span.clone(),
        }
    }
}

/// Reads all documents of a file; faults go to `faults`, and a document that has one of YAML's own is left out.
pub(crate) fn parse(source: &Source, faults: &mut Vec<Diagnostic>) -> Vec<Document> {
    if source.text.len() > MAX_BYTES {
        faults.push(
            source
                .error(
                    0..0,
                    format!("the file is larger than {} KiB", MAX_BYTES / 1024),
                )
                .with_help("split it into several files"),
        );
        return Vec::new();
    }
    if let Some(fault) = bytes::forbidden_character(source) {
        faults.push(fault);
        return Vec::new();
    }
    let before = faults.len();
    let documents = Builder::new(source, faults).read();
    if documents.is_empty() && faults.len() == before {
        faults.push(source.error(0..0, "the file is empty").with_help(
            "begin it with `automation:`, `playbook:`, `connection:` or `organization:` and a name",
        ));
    }
    documents
}

#[cfg(test)]
mod tests;
