//! The names that definitions, parameters and variables may have.

use super::reader::Reader;
use crate::yaml::Node;
use std::ops::Range;

impl Reader<'_> {
    /// A name of something that has to be told from others of its kind.
    pub(super) fn name(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if is_name(text) {
            return Some(text.to_owned());
        }
        let help = match slug(text) {
            Some(slug) => format!("write `{slug}`"),
            None => "such as `notify-on-threats`".to_owned(),
        };
        self.fault_with_help(
            &node.span,
            format!("{what} `{text}` must be of lower-case letters, digits and hyphens, at most {LONGEST_NAME}"),
            help,
        );
        None
    }

    /// A name that templates can use after a dot.
    pub(super) fn identifier(&mut self, text: &str, span: &Range<usize>, what: &str) -> bool {
        let fine = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && text.len() <= LONGEST_NAME;
        if !fine {
            let fixed: String = text
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .take(LONGEST_NAME)
                .collect();
            let help = match fixed.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_') {
                "" => "such as `owner`".to_owned(),
                fixed => format!("write `{fixed}`"),
            };
            self.fault_with_help(
                span,
                format!(
                    "{what} `{text}` must be of letters, digits and `_`, and begin with a letter"
                ),
                help,
            );
        }
        fine
    }
}

/// Longest name of an automation, playbook, connection, step or parameter.
const LONGEST_NAME: usize = 64;

fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= LONGEST_NAME
        && text.starts_with(good)
        && text.ends_with(good)
        && text.chars().all(|c| good(c) || c == '-')
}

fn slug(text: &str) -> Option<String> {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.truncate(LONGEST_NAME);
    let slug = slug.trim_end_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}
