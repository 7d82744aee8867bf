use super::Source;
use crate::diagnostics::Diagnostic;
use granit_parser::{ErrorKind, ScanError};
use std::ops::Range;

/// Says in our words what YAML's own rules forbid, and what to do about it.
pub(super) fn explain(source: &Source, error: &ScanError) -> Diagnostic {
    let at = error.marker().byte_offset().unwrap_or_default().min(source.text.len());
    let at = on_text(source, at);
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
        ErrorKind::UnclosedQuotedScalar => {
            source.error(here, "a quote is opened here and never closed").with_help("close it on the same line")
        }
        ErrorKind::UnclosedFlowCollection { open } => source
            .error(here, format!("`{open}` is opened and never closed"))
            .with_help(format!("close it with `{}`", closing(*open))),
        ErrorKind::UnexpectedEofFlowSequence => {
            source.error(here, "`[` is opened and never closed").with_help("close it with `]`")
        }
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            source.error(here, "`{` is opened and never closed").with_help("close it with `}`")
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => source
            .error(here, format!("`{open}` is closed with `{close}`"))
            .with_help(format!("close it with `{}`", closing(*open))),
        ErrorKind::ExpectedFlowSequenceSeparator => source
            .error(here, "`,` or `]` is expected here")
            .with_help("separate entries with `,`, and put text that holds `,` or brackets in quotes"),
        ErrorKind::ExpectedFlowMappingSeparator => source
            .error(here, "`,` or `}` is expected here")
            .with_help("separate entries with `,`, and put text that holds `,` or braces in quotes"),
        ErrorKind::MappingValueNotAllowed => source
            .error(here, "a second `:` on this line, or a key that is not a line's first")
            .with_help("put text that holds `: ` in quotes, or begin the key on a line of its own"),
        ErrorKind::UnexpectedCharacter { character } => source
            .error(here, format!("text cannot begin with `{character}`"))
            .with_help("put it in quotes"),
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => source
            .error(here, "unknown escape in double quotes")
            .with_help("write `\\\\` for a backslash, or use single quotes, which know no escapes"),
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => source
            .error(here, "text goes on after the closing quote")
            .with_help("put the whole value in quotes, and write a quote inside it as `\\\"` or `''`"),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => source
            .error(here, "this line has no `:` after its key")
            .with_help("write `key: value`; `key:value` without the blank is text"),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::MappingKeyNotAllowed
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::InvalidBlockScalarIndent => source
            .error(here, "this line does not fit the indentation of the lines above")
            .with_help("begin it in the same column as its siblings"),
        _ => {
            let said = error.info();
            let said = said.trim_end_matches('.').replace(['\n', '\''], "`");
            source.error(here, format!("not valid YAML: {said}")).with_help(quote)
        }
    }
}

/// Nested beyond the limit.
pub(super) fn too_deep(source: &Source, at: Range<usize>) -> Diagnostic {
    source
        .error(at, format!("lists and mappings are nested more than {} deep", super::MAX_DEPTH))
        .with_help("move inner steps to a playbook of their own")
}

/// A fault at the end of a line or of the file is told on the last line that says something.
fn on_text(source: &Source, at: usize) -> usize {
    if at < source.text.len() {
        return at;
    }
    let kept = source.text.trim_end();
    kept.char_indices().next_back().map_or(0, |(last, _)| last)
}

fn line_of(source: &Source, at: usize) -> Range<usize> {
    let start = source.text[..at].rfind('\n').map_or(0, |at| at + 1);
    let end = source.text[at..].find('\n').map_or(source.text.len(), |end| at + end);
    start..end
}

fn leading_tab(source: &Source, line: &Range<usize>) -> Option<usize> {
    let text = &source.text[line.clone()];
    let indent = text.len() - text.trim_start().len();
    text[..indent].find('\t').map(|tab| line.start + tab)
}

fn tab(source: &Source, at: usize) -> Diagnostic {
    let line = line_of(source, at);
    // The scanner may notice the tab only on the following line.
    let above = line.start.checked_sub(1).map(|end| line_of(source, end));
    let place = leading_tab(source, &line)
        .or_else(|| above.and_then(|above| leading_tab(source, &above)))
        .or_else(|| source.text[line.clone()].find('\t').map(|tab| line.start + tab))
        .unwrap_or(at);
    let tabs = source.text[place..].bytes().take_while(|byte| *byte == b'\t').count();
    source
        .error(place..place + tabs, "a tab cannot indent YAML")
        .with_help("use blanks, two for each level, and let your editor put blanks for tabs")
}

fn closing(open: char) -> char {
    match open {
        '[' => ']',
        _ => '}',
    }
}
