//! A file with everything struck out that could be a secret written by mistake, to draw faults on.

use super::connection;
use crate::secrets::{in_address, is_literal, names_credential};
use crate::yaml::{Content, Document, Node};
use std::ops::Range;

/// Strikes secrets out of a file; `broken` says that some of it is not YAML and so not among the documents.
pub(crate) fn struck_out(text: &str, documents: &[Document], broken: bool) -> String {
    let mut spans = Vec::new();
    for document in documents {
        let root = &document.root;
        let connects = matches!(&root.content, Content::Mapping(entries)
            if entries.iter().any(|(key, _)| key.text == "connection"
                || connection::KINDS[..4].contains(&key.text.as_str())));
        if connects {
            connection::secrets(root, false, &mut spans);
        }
        find(root, false, &mut spans);
    }
    if broken {
        in_lines(text, &mut spans);
    }
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        if text.get(span.clone()).is_some() {
            bytes[span]
                .iter_mut()
                .filter(|byte| !byte.is_ascii_whitespace())
                .for_each(|byte| *byte = b'*');
        }
    }
    String::from_utf8(bytes).expect("whole characters are replaced")
}

fn find(node: &Node, secret: bool, spans: &mut Vec<Range<usize>>) {
    match &node.content {
        Content::Mapping(entries) => {
            for (key, value) in entries {
                match key.text.as_str() {
                    // What a finding is compared with is no secret.
                    "when" => {}
                    "parameters" => defaults(value, spans),
                    name if connection::PLAIN.contains(&name) => find(value, false, spans),
                    name => {
                        let secret = secret || name == "slack_hook" || names_credential(name);
                        find(value, secret, spans);
                    }
                }
            }
        }
        Content::List(items) => items.iter().for_each(|item| find(item, secret, spans)),
        Content::Text(text, _) => {
            let signs_in = text.split_once(' ').is_some_and(|(scheme, rest)| {
                is_scheme(scheme) && is_literal(rest) && !rest.contains(' ')
            });
            if (secret
                && is_literal(text)
                && text != "none"
                && !connection::AUTHS.contains(&text.as_str()))
                || signs_in
                || in_address(text).is_some()
            {
                spans.push(node.span.clone());
            }
        }
        Content::Number(_) if secret => spans.push(node.span.clone()),
        Content::Number(_) | Content::Null | Content::Bool(_) | Content::Broken => {}
    }
}

/// The definition of a parameter says nothing secret but in its default; the parameters of a runbook are values.
fn defaults(node: &Node, spans: &mut Vec<Range<usize>>) {
    let Content::Mapping(parameters) = &node.content else {
        return;
    };
    for (name, parameter) in parameters {
        let secret = names_credential(&name.text);
        match &parameter.content {
            Content::Mapping(entries) => {
                for (_, value) in entries.iter().filter(|(key, _)| key.text == "default") {
                    find(value, secret, spans);
                }
            }
            _ => find(parameter, secret, spans),
        }
    }
}

fn is_scheme(word: &str) -> bool {
    word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")
}

/// Longer lines are struck out whole.
const LONGEST: usize = 4096;

/// Finds secrets in text that could not be read, by the look of its lines.
fn in_lines(text: &str, spans: &mut Vec<Range<usize>>) {
    let hooks = ["slack_hook", "teams"]
        .iter()
        .any(|word| text.contains(word));
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let shift = |span: Range<usize>| start + span.start..start + span.end;
        if line.len() > LONGEST {
            spans.push(shift(0..line.len()));
            start += line.len();
            continue;
        }
        for (at, _) in line.match_indices(':') {
            let name = line[..at]
                .trim_end_matches(['"', '\'', ' '])
                .rsplit([' ', '{', ',', '"', '\'', '\t', '?', '&'])
                .next()
                .unwrap_or_default();
            if names_credential(name) || (hooks && name == "url") || name == "key" {
                spans.extend(value(line, at + 1).map(shift));
            }
        }
        for (at, _) in line.match_indices("://") {
            let rest = &line[at + 3..];
            let place = rest
                .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | ','))
                .unwrap_or(rest.len());
            if let Some(end) = rest[..place].rfind('@') {
                spans.push(shift(at + 3..at + 3 + end));
            }
        }
        for (at, _) in line.match_indices('=') {
            let name = line[..at]
                .rsplit(['?', '&', ' '])
                .next()
                .unwrap_or_default();
            let end = line[at + 1..]
                .find(|c: char| {
                    c.is_whitespace() || matches!(c, '&' | '"' | '\'' | ',' | '}' | '#')
                })
                .map_or(line.len(), |end| at + 1 + end);
            if names_credential(name) && is_literal(&line[at + 1..end]) {
                spans.push(shift(at + 1..end));
            }
        }
        let mut at = 0;
        for word in line.split_inclusive(' ') {
            at += word.len();
            if is_scheme(word.trim_start_matches(['"', '\'', '{', '[']).trim_end()) {
                let end = line[at..]
                    .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}'))
                    .map_or(line.len(), |end| at + end);
                if is_literal(&line[at..end]) {
                    spans.push(shift(at..end));
                }
            }
        }
        start += line.len();
    }
}

/// The value that begins at a place of a line, if it is a literal.
fn value(line: &str, from: usize) -> Option<Range<usize>> {
    let rest = &line[from..];
    let start = from + rest.len() - rest.trim_start().len();
    let rest = line[start..].trim_end();
    let end = match rest.chars().next()? {
        '{' | '|' | '>' | '&' | '*' => return None,
        '[' => rest.find(']').unwrap_or(rest.len()),
        quote @ ('"' | '\'') => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
        _ if line[..start].contains('{') => rest.find([',', '}']).unwrap_or(rest.len()),
        _ => rest.len(),
    };
    let bare = rest[..end].trim_start_matches(['"', '\'', '[', ' ']);
    is_literal(bare).then(|| start..start + end)
}
