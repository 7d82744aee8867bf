use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Everything that is wrong or doubtful in a set of files, in the order of the files.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// One fault, with its place.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnostic {
    /// Whether it stops the files from being stored.
    pub severity: Gravity,
    /// The file, as it was named to the loader.
    pub path: String,
    /// From one.
    pub line: usize,
    /// In characters, from one.
    pub column: usize,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Other places that have to do with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
    #[serde(skip)]
    label: Option<String>,
    #[serde(skip)]
    span: Range<usize>,
    #[serde(skip)]
    text: Arc<str>,
}

/// A second place that a fault has to do with.
#[derive(Debug, Clone, Serialize)]
pub struct Related {
    /// The file.
    pub path: String,
    /// From one.
    pub line: usize,
    /// In characters, from one.
    pub column: usize,
    /// What is there.
    pub message: String,
    #[serde(skip)]
    span: Range<usize>,
    #[serde(skip)]
    text: Arc<str>,
}

/// Whether a fault stops the files from being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

impl Diagnostic {
    pub(crate) fn new(
        severity: Gravity,
        path: &str,
        text: &Arc<str>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let span = clamp(text, span);
        let (line, column) = position(text, span.start);
        Self {
            severity,
            path: path.to_owned(),
            line,
            column,
            message: plain(&message.into()),
            help: None,
            related: Vec::new(),
            label: None,
            span,
            text: Arc::clone(text),
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(plain(&help.into()));
        self
    }

    pub(crate) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(plain(&label.into()));
        self
    }

    pub(crate) fn with_related(
        mut self,
        path: &str,
        text: &Arc<str>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let span = clamp(text, span);
        let (line, column) = position(text, span.start);
        self.related.push(Related {
            path: path.to_owned(),
            line,
            column,
            message: plain(&message.into()),
            span,
            text: Arc::clone(text),
        });
        self
    }

    /// Draws the fault on another text of the same length.
    pub(crate) fn show(&mut self, written: &Arc<str>, shown: &Arc<str>) {
        let texts = self.related.iter_mut().map(|related| &mut related.text);
        for text in texts.chain([&mut self.text]) {
            if Arc::ptr_eq(text, written) {
                *text = Arc::clone(shown);
            }
        }
    }

    /// A further error at the same place.
    pub(crate) fn followed_by(&self, message: &str, help: &str) -> Self {
        Self {
            severity: Gravity::Error,
            message: message.to_owned(),
            help: Some(help.to_owned()),
            related: Vec::new(),
            label: None,
            ..self.clone()
        }
    }

    /// Draws the fault with its line of the file, a caret below the place, and the help.
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Gravity::Error => Level::ERROR,
            Gravity::Warning => Level::WARNING,
        };
        // Only the lines that are shown are handed over; the rest of a long file costs nothing.
        let mut near: Vec<&Related> = Vec::new();
        let mut far: Vec<&Related> = Vec::new();
        for related in &self.related {
            let here = related.path == self.path && Arc::ptr_eq(&related.text, &self.text);
            if here && related.line.abs_diff(self.line) <= NEAR {
                near.push(related);
            } else {
                far.push(related);
            }
        }
        let start = near
            .iter()
            .map(|related| related.span.start)
            .chain([self.span.start])
            .min();
        let end = near
            .iter()
            .map(|related| related.span.end)
            .chain([self.span.end])
            .max();
        let window = lines_around(
            &self.text,
            start.unwrap_or(self.span.start)..end.unwrap_or(self.span.end),
        );
        let mut snippet = Snippet::source(&self.text[window.clone()])
            .line_start(position(&self.text, window.start).0)
            .path(self.path.as_str())
            .annotation(
                AnnotationKind::Primary
                    .span(shift(&self.span, window.start))
                    .label(self.label.as_deref()),
            );
        for related in near {
            snippet = snippet.annotation(
                AnnotationKind::Context
                    .span(shift(&related.span, window.start))
                    .label(related.message.as_str()),
            );
        }
        let mut group =
            Group::with_title(level.primary_title(self.message.as_str())).element(snippet);
        for related in far {
            let window = lines_around(&related.text, related.span.clone());
            group = group.element(
                Snippet::source(&related.text[window.clone()])
                    .line_start(position(&related.text, window.start).0)
                    .path(related.path.as_str())
                    .annotation(
                        AnnotationKind::Context
                            .span(shift(&related.span, window.start))
                            .label(related.message.as_str()),
                    ),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[group])
    }
}

/// Most faults that are told of one load.
pub(crate) const MOST_FAULTS: usize = 200;

/// How many lines apart two places may be and still be drawn as one excerpt.
const NEAR: usize = 40;

/// Longest excerpt of one line, so that a file of one endless line cannot flood a terminal.
const LONGEST: usize = 4096;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.path, self.line, self.column, self.message
        )?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl Diagnostics {
    /// Draws all faults, with a line between them.
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        for diagnostic in &self.0 {
            out.push_str(&diagnostic.render(color));
            out.push_str("\n\n");
        }
        out
    }

    /// Tells whether any of them stops the files from being stored.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Goes over those that stop the files from being stored.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0
            .iter()
            .filter(|diagnostic| diagnostic.severity == Gravity::Error)
    }

    /// Goes over those that do not stop the files from being stored.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0
            .iter()
            .filter(|diagnostic| diagnostic.severity == Gravity::Warning)
    }

    /// Tells whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts errors and warnings together.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl From<Box<Diagnostic>> for Diagnostics {
    fn from(diagnostic: Box<Diagnostic>) -> Self {
        Self(vec![*diagnostic])
    }
}

impl std::error::Error for Diagnostic {}

impl std::error::Error for Diagnostics {}

/// Replaces what could steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    if text.chars().any(char::is_control) || !text.is_ascii() {
        normalize_untrusted_str(text)
    } else {
        text.to_owned()
    }
}

/// Line and column of a byte, both from one, the column in characters.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..floor(text, offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before[line_start..]
        .chars()
        .filter(|c| *c != '\u{feff}')
        .count()
        + 1;
    (line, column)
}

fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Keeps a span inside the text and on one line, at least one character wide where there is one.
fn clamp(text: &str, span: Range<usize>) -> Range<usize> {
    let start = floor(text, span.start);
    let line_end = text[start..]
        .find(['\n', '\r'])
        .map_or(text.len(), |at| start + at);
    let mut end = floor(text, span.end).clamp(start, line_end.max(start));
    if end == start && start < line_end {
        end = start + text[start..].chars().next().map_or(0, char::len_utf8);
    }
    start..end
}

fn lines_around(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |at| span.end + at);
    let end = if text[..end].ends_with('\r') && end > span.end {
        end - 1
    } else {
        end
    };
    if end - start > LONGEST && !text[start..end].contains('\n') {
        let end = floor(text, end.min(span.end + LONGEST / 8)).max(span.end);
        return start..end;
    }
    start..end
}

fn shift(span: &Range<usize>, by: usize) -> Range<usize> {
    span.start - by..span.end - by
}
