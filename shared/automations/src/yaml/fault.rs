use super::Source;
use crate::diagnostics::Diagnostic;
use granit_parser::{ErrorKind, ScanError};
use std::ops::Range;

/// Says in our words what YAML's own rules forbid, and what to do about it.
pub(super) fn explain(source: &Source, error: &ScanError) -> Diagnostic {
    let at = error
        .marker()
        .byte_offset()
        .unwrap_or_default()
        .min(source.text.len());
    let line = line_of(source, at);
    let here = at..at;
    let quote = "put text that holds `: `, ` #`, or begins with `@ % ` & * ! | > [ {` in quotes";
    match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar
        | ErrorKind::InvalidBlockEntryWhitespace
        | ErrorKind::InvalidMappingValueWhitespace => tab(source, at),
        _ if leading_tab(source, &line).is_some() => tab(source, at),
        ErrorKind::RecursionLimitExceeded => too_deep(source, here),
        ErrorKind::DirectiveDisallowed => source
            .error(here, "YAML directives are not used here")
            .with_help("remove the line that begins with `%`, or put the text in quotes"),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => {
            let opening = opening_quote(source, at);
            source
                .error(opening..opening, "a quote is opened here and not closed")
                .with_help("close it on the same line, or write long text as a block after `|`")
        }
        ErrorKind::UnclosedFlowCollection { open } => source
            .error(here, format!("`{open}` is opened and never closed"))
            .with_help(format!("close it with `{}`", closing(*open))),
        ErrorKind::UnexpectedEofFlowSequence => source
            .error(here, "`[` is opened and never closed")
            .with_help("close it with `]`"),
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => source
            .error(here, "`{` is opened and never closed")
            .with_help("close it with `}`"),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => source
            .error(here, format!("`{open}` is closed with `{close}`"))
            .with_help(format!("close it with `{}`", closing(*open))),
        ErrorKind::ExpectedFlowSequenceSeparator => {
            source.error(here, "`,` or `]` is expected here").with_help(
                "separate entries with `,`, and put text that holds `,` or brackets in quotes",
            )
        }
        ErrorKind::ExpectedFlowMappingSeparator => {
            source.error(here, "`,` or `}` is expected here").with_help(
                "separate entries with `,`, and put text that holds `,` or braces in quotes",
            )
        }
        ErrorKind::MappingValueNotAllowed => misplaced_colon(source, at, &line),
        ErrorKind::UnexpectedCharacter { character } => source
            .error(here, format!("text cannot begin with `{character}`"))
            .with_help("put it in quotes"),
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => {
            let escape = unknown_escape(source, at);
            source
                .error(escape..escape + 2, "unknown escape in double quotes")
                .with_help(
                    "write `\\\\` for a backslash, or use single quotes, which know no escapes",
                )
        }
        ErrorKind::InvalidTrailingDoubleQuotedScalar
        | ErrorKind::InvalidTrailingSingleQuotedScalar => source
            .error(here, "text goes on after the closing quote")
            .with_help(
                "put the whole value in quotes, and write a quote inside it as `\\\"` or `''`",
            ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => source
            .error(here, "this line has no `:` after its key")
            .with_help("write `key: value`; `key:value` without the blank is text"),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::MappingKeyNotAllowed
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::InvalidBlockScalarIndent => source
            .error(
                here,
                "this line does not fit the indentation of the lines above",
            )
            .with_help("begin it in the same column as its siblings"),
        _ => {
            let said = error.info();
            let said = said.trim_end_matches('.').replace(['\n', '\''], "`");
            source
                .error(here, format!("not valid YAML: {said}"))
                .with_help(quote)
        }
    }
}

/// A `:` where no key can be: text that holds one, or a key that no blank follows on the line above.
fn misplaced_colon(source: &Source, at: usize, line: &Range<usize>) -> Diagnostic {
    let before = &source.text[line.start..at];
    if let Some((key, text)) = before.split_once(": ") {
        let rest = source.text[at..line.end].trim_end();
        let text = format!("{}{rest}", text.trim_start());
        let fault = source.error(at..at, "a second `: ` on one line");
        return if text.contains('"') {
            fault.with_help("put text that holds `: ` in quotes")
        } else {
            fault.with_help(format!(
                "put text that holds `: ` in quotes: `{}: \"{text}\"`",
                key.trim_start()
            ))
        };
    }
    if let Some(above) = line.start.checked_sub(1).map(|end| line_of(source, end)) {
        let text = &source.text[above.clone()];
        if let Some(colon) = text
            .find(':')
            .filter(|colon| !text[colon + 1..].starts_with([' ', '/', '\r']))
        {
            let place = above.start + colon;
            return source
                .error(place..place, "the blank after `:` is missing")
                .with_help("write `key: value`");
        }
    }
    source
        .error(at..at, "a key cannot stand here")
        .with_help("begin it on a line of its own, in the same column as its siblings")
}

/// The quote that is still open at a place, as far as can be told.
fn opening_quote(source: &Source, at: usize) -> usize {
    if source.text[at..].starts_with(['"', '\'']) {
        return at;
    }
    let mut end = at;
    loop {
        let line = line_of(source, end);
        let text = &source.text[line.start..end.min(line.end)];
        let open = ['"', '\''].into_iter().find_map(|quote| {
            let odd = text.matches(quote).count() % 2 == 1;
            text.rfind(quote)
                .filter(|_| odd)
                .map(|found| line.start + found)
        });
        match (open, line.start.checked_sub(1)) {
            (Some(open), _) => return open,
            (None, Some(above)) => end = above,
            (None, None) => return at,
        }
    }
}

/// The first escape in a text in double quotes that YAML does not know.
fn unknown_escape(source: &Source, quote: usize) -> usize {
    let mut rest = source.text[quote..].char_indices().skip(1);
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some((_, c)) if "0abt\tnvfre \"/\\N_LP\n\r".contains(c) => {}
                _ => return quote + at,
            },
            '"' => break,
            _ => {}
        }
    }
    quote
}

/// Nested beyond the limit.
pub(super) fn too_deep(source: &Source, at: Range<usize>) -> Diagnostic {
    source
        .error(
            at,
            format!(
                "lists and mappings are nested more than {} deep",
                super::MAX_DEPTH
            ),
        )
        .with_help("move inner steps to a playbook of their own")
}

fn line_of(source: &Source, at: usize) -> Range<usize> {
    let start = source.text[..at].rfind('\n').map_or(0, |at| at + 1);
    let end = source.text[at..]
        .find('\n')
        .map_or(source.text.len(), |end| at + end);
    start..end
}

fn leading_tab(source: &Source, line: &Range<usize>) -> Option<usize> {
    let text = &source.text[line.clone()];
    let indent = text.len() - text.trim_start().len();
    text[..indent].find('\t').map(|tab| line.start + tab)
}

fn tab(source: &Source, at: usize) -> Diagnostic {
    let line = line_of(source, at);
    // The scanner may stand on the line before, or notice the tab only on the line after.
    let below = Some(line.end + 1)
        .filter(|start| *start < source.text.len())
        .map(|start| line_of(source, start));
    let above = line.start.checked_sub(1).map(|end| line_of(source, end));
    let place = leading_tab(source, &line)
        .or_else(|| below.and_then(|below| leading_tab(source, &below)))
        .or_else(|| above.and_then(|above| leading_tab(source, &above)))
        .or_else(|| {
            source.text[line.clone()]
                .find('\t')
                .map(|tab| line.start + tab)
        })
        .unwrap_or(at);
    let tabs = source.text[place..]
        .bytes()
        .take_while(|byte| *byte == b'\t')
        .count();
    source
        .error(place..place + tabs, "a tab cannot indent YAML")
        .with_help(
            "indent with spaces, two for each level, and let your editor write spaces for tabs",
        )
}

fn closing(open: char) -> char {
    match open {
        '[' => ']',
        _ => '}',
    }
}
