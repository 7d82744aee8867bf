use super::{Content, Document, Key, MAX_DEPTH, MAX_NODES, MAX_TEXT, Node, Source, fault, scalar};
use crate::diagnostics::{Diagnostic, MOST_FAULTS};
use granit_parser::{Event, Options, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::ops::Range;

/// Builds trees from the parser's events.
pub(super) struct Builder<'a> {
    source: &'a Source,
    faults: &'a mut Vec<Diagnostic>,
    documents: Vec<Document>,
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    bytes: usize,
}

/// A finished node that aliases may repeat, with what each repetition costs.
struct Anchored {
    node: Node,
    size: Size,
}

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    height: usize,
}

impl Size {
    fn add(&mut self, child: Size) {
        self.nodes += child.nodes;
        self.bytes += child.bytes;
        self.height = self.height.max(child.height + 1);
    }
}

struct Frame {
    start: usize,
    anchor: usize,
    size: Size,
    holds: Holds,
}

enum Holds {
    List(Vec<Node>),
    Mapping {
        entries: Vec<(Key, Node)>,
        seen: HashMap<String, Range<usize>>,
        key: Awaits,
        broken: bool,
    },
}

enum Awaits {
    Key,
    Value(Key),
    /// The value of a key that was refused.
    Nothing,
}

/// Reading cannot go on.
struct Halt;

impl<'a> Builder<'a> {
    pub(super) fn new(source: &'a Source, faults: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            source,
            faults,
            documents: Vec::new(),
            stack: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            bytes: 0,
        }
    }

    /// Reads all documents.
    pub(super) fn read(mut self) -> Vec<Document> {
        let source = self.source;
        let mut parser = Parser::new_from_str_with_options(&source.text, options());
        let mut start = 0;
        let mut first = true;
        loop {
            let (event, span) = match parser.next() {
                None => break,
                Some(Ok(next)) => next,
                Some(Err(error)) => {
                    let fault = fault::explain(source, &error);
                    // What breaks the line was told already, and this is what came of it.
                    if !self
                        .faults
                        .last()
                        .is_some_and(|last| last.line == fault.line && last.path == fault.path)
                    {
                        self.faults.push(fault);
                    }
                    self.forget();
                    match parser.proceed_next_document() {
                        Ok(true) => continue,
                        Ok(false) | Err(_) => break,
                    }
                }
            };
            let at = range(&span);
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(explicit, _) => {
                    self.forget();
                    if explicit && !first {
                        start = at.end;
                    }
                    first = false;
                }
                Event::DocumentEnd => {
                    let end = at.start.max(start);
                    if let Some(root) = self.root.take()
                        && !root.is_null()
                    {
                        let text = own_text(&source.text[start..end]);
                        self.documents.push(Document { root, text });
                    }
                    start = at.end.max(end);
                    self.forget();
                }
                event => {
                    if self.event(event, &span).is_err() {
                        break;
                    }
                }
            }
        }
        self.documents
    }

    fn forget(&mut self) {
        self.stack.clear();
        self.root = None;
        self.anchors.clear();
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Halt> {
        if self.faults.len() > MOST_FAULTS {
            return Err(Halt);
        }
        let at = range(span);
        if let Some(tag) = event.tag()
            && !tag.is_yaml_core_schema_tag("str")
        {
            let place = span.tag_span().map_or(at.clone(), |span| range(&span));
            let written = self.source.slice(&place).to_owned();
            self.faults.push(
                self.source
                    .error(
                        place,
                        format!("`{written}` is read as a YAML tag, and tags are not used here"),
                    )
                    .with_help("put text that begins with `!` in quotes"),
            );
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let strange = tag
                    .as_ref()
                    .is_some_and(|tag| !tag.is_yaml_core_schema_tag("str"));
                let content = if strange {
                    Content::Broken
                } else {
                    self.scalar(&text, style, tag.is_some(), &at)
                };
                let size = Size {
                    nodes: 1,
                    bytes: text.len(),
                    height: 0,
                };
                self.spend(&at, size)?;
                self.finish(Node { span: at, content }, size, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(at.start, anchor, Holds::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => {
                let holds = Holds::Mapping {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: Awaits::Key,
                    broken: false,
                };
                self.open(at.start, anchor, holds)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.stack.pop() else {
                    return Err(Halt);
                };
                let content = match frame.holds {
                    Holds::List(items) => Content::List(items),
                    Holds::Mapping { broken: true, .. } => Content::Broken,
                    Holds::Mapping { entries, .. } => Content::Mapping(entries),
                };
                let node = Node {
                    span: frame.start..at.end.max(frame.start),
                    content,
                };
                self.finish(node, frame.size, frame.anchor)
            }
            Event::Alias(id) => match self.anchors.get(&id).map(|anchored| anchored.size) {
                Some(size) => {
                    self.spend(&at, size)?;
                    let node = self.anchors[&id].node.clone();
                    self.finish(node, size, 0)
                }
                None => {
                    self.faults.push(
                        self.source
                            .error(at.clone(), "an alias cannot stand inside what it repeats")
                            .with_help("write the value out"),
                    );
                    self.finish(
                        Node {
                            span: at,
                            content: Content::Broken,
                        },
                        Size::default(),
                        0,
                    )
                }
            },
            Event::UnresolvedAlias(name) => {
                self.faults.push(
                    self.source
                        .error(at.clone(), format!("`*{name}` is read as a YAML alias, and there is no anchor `&{name}`"))
                        .with_help("put text that begins with `*` in quotes"),
                );
                self.finish(
                    Node {
                        span: at,
                        content: Content::Broken,
                    },
                    Size::default(),
                    0,
                )
            }
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tagged: bool,
        at: &Range<usize>,
    ) -> Content {
        match scalar::resolve(text, style, tagged) {
            Ok(content) => content,
            Err((message, help)) => {
                // A number as a key is text anyway.
                if !self.awaits_key() {
                    self.faults
                        .push(self.source.error(at.clone(), message).with_help(help));
                }
                Content::Text(text.to_owned(), style.into())
            }
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                holds: Holds::Mapping {
                    key: Awaits::Key,
                    ..
                },
                ..
            })
        )
    }

    fn open(&mut self, start: usize, anchor: usize, holds: Holds) -> Result<(), Halt> {
        if self.stack.len() >= MAX_DEPTH {
            self.faults.push(fault::too_deep(self.source, start..start));
            return Err(Halt);
        }
        let size = Size {
            nodes: 1,
            bytes: 0,
            height: 0,
        };
        self.spend(&(start..start), size)?;
        self.stack.push(Frame {
            start,
            anchor,
            size,
            holds,
        });
        Ok(())
    }

    /// Counts what a node adds to the tree, before it is made.
    fn spend(&mut self, at: &Range<usize>, size: Size) -> Result<(), Halt> {
        self.nodes = self.nodes.saturating_add(size.nodes);
        self.bytes = self.bytes.saturating_add(size.bytes);
        if self.nodes <= MAX_NODES && self.bytes <= MAX_TEXT {
            return Ok(());
        }
        self.faults.push(
            self.source
                .error(
                    at.clone(),
                    format!(
                        "the file has more than {MAX_NODES} values, counting what aliases repeat"
                    ),
                )
                .with_help("split it into several files, or repeat less with aliases"),
        );
        Err(Halt)
    }

    fn finish(&mut self, node: Node, size: Size, anchor: usize) -> Result<(), Halt> {
        if self.stack.len() + size.height > MAX_DEPTH {
            self.faults.push(fault::too_deep(self.source, node.span));
            return Err(Halt);
        }
        if anchor != 0 {
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    size,
                },
            );
        }
        let source = self.source;
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.size.add(size);
        match &mut frame.holds {
            Holds::List(items) => items.push(node),
            Holds::Mapping {
                entries,
                seen,
                key,
                broken,
            } => match std::mem::replace(key, Awaits::Key) {
                Awaits::Key => {
                    *key = match key_of(source, node, seen) {
                        Ok(key) => Awaits::Value(key),
                        Err(KeyFault::Told) => Awaits::Nothing,
                        Err(KeyFault::Template(fault)) => {
                            *broken = true;
                            self.faults.push(*fault);
                            Awaits::Nothing
                        }
                        Err(KeyFault::Other(fault)) => {
                            self.faults.push(*fault);
                            Awaits::Nothing
                        }
                    };
                }
                Awaits::Value(key) => entries.push((key, node)),
                Awaits::Nothing => {}
            },
        }
        Ok(())
    }
}

/// Why a node cannot be a key.
enum KeyFault {
    /// It was told already.
    Told,
    /// It is a template without quotes, which YAML reads as a mapping in a mapping.
    Template(Box<Diagnostic>),
    Other(Box<Diagnostic>),
}

fn key_of(
    source: &Source,
    node: Node,
    seen: &mut HashMap<String, Range<usize>>,
) -> Result<Key, KeyFault> {
    let other = |fault: Diagnostic| Err(KeyFault::Other(Box::new(fault)));
    let span = node.span;
    let text = match node.content {
        Content::Text(text, _) => text,
        Content::Bool(_) | Content::Number(_) => source.slice(&span).to_owned(),
        Content::Broken => return Err(KeyFault::Told),
        Content::Null => String::new(),
        Content::Mapping(_) if source.text[..span.start].ends_with('{') => {
            let start = span.start - 1;
            let line = source.text[start..]
                .lines()
                .next()
                .unwrap_or_default()
                .trim_end();
            let end = line.find("}}").map_or(2, |end| end + 2);
            // Text may follow the template, unless it is an entry of a list or mapping in brackets.
            let whole =
                !line[end..].trim_start().starts_with([',', ']', '}', '#']) && !line.contains('"');
            let template = if whole { line } else { &line[..end] };
            let fault = source
                .error(
                    start..start + template.len(),
                    "YAML reads a template without quotes as a mapping",
                )
                .with_help(format!("put the whole value in quotes: `\"{template}\"`"));
            return Err(KeyFault::Template(Box::new(fault)));
        }
        Content::List(_) | Content::Mapping(_) => {
            return other(
                source
                    .error(span, "a key must be text")
                    .with_help("put it in quotes"),
            );
        }
    };
    if text.is_empty() {
        return other(
            source
                .error(span, "a key is missing before the `:`")
                .with_help("write `key: value`"),
        );
    }
    if text == "<<" {
        return other(
            source
                .error(span, "merge keys (`<<`) are not part of YAML 1.2")
                .with_help("write the keys out, or repeat the whole value with an alias"),
        );
    }
    if let Some(first) = seen.get(&text) {
        let fault = source
            .error(span, format!("key `{text}` is given twice"))
            .with_label("given again here")
            .with_related(
                &source.path,
                &source.text,
                first.clone(),
                "first given here",
            )
            .with_help("keep one of the two, or put the second into an entry of its own");
        return other(fault);
    }
    seen.insert(text.clone(), span.clone());
    Ok(Key { text, span })
}

fn options() -> Options {
    granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    }
}

fn range(span: &Span) -> Range<usize> {
    let range = span.byte_range().unwrap_or_default();
    range.start..range.end.max(range.start)
}

/// The text of one document, ready to be read again on its own. Its end is left as it is: blank lines there may belong
/// to a block of text.
fn own_text(slice: &str) -> String {
    let start = slice.find(|c: char| c != '\n' && c != '\r').unwrap_or(0);
    slice[start..].replace("\r\n", "\n")
}
