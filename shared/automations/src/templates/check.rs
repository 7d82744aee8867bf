mod walk;

use super::names::Names;
use super::{RenderError, SOURCE_LIMIT};
use crate::nearest::nearest;
use minijinja::Error;
use minijinja::machinery::ast::Stmt;
use minijinja::machinery::{Span, parse};
use minijinja::syntax::SyntaxConfig;

const STATEMENTS: [&str; 11] = [
    "if", "elif", "else", "endif", "for", "endfor", "set", "with", "endwith", "do", "raw",
];

const CLOSING: [&str; 5] = ["elif", "else", "endif", "endfor", "endwith"];

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateFault {
    /// First byte of the faulty part within the template.
    pub offset: usize,
    /// Length of the faulty part in bytes.
    pub len: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it, where that can be told.
    pub help: Option<String>,
}

/// Checks syntax, names, filters, tests and functions of a template.
///
/// # Errors
/// The first fault; [`faults`] tells all.
pub fn check(source: &str, names: &Names) -> Result<(), TemplateFault> {
    faults(source, names).into_iter().next().map_or(Ok(()), Err)
}

/// Finds everything that is wrong with a template, in the order it stands there; a fault of syntax hides the others.
#[must_use]
pub fn faults(source: &str, names: &Names) -> Vec<TemplateFault> {
    if source.len() > SOURCE_LIMIT {
        return vec![TemplateFault {
            offset: 0,
            len: source.len(),
            message: format!("template is longer than {} KiB", SOURCE_LIMIT / 1024),
            help: None,
        }];
    }
    if !has_tags(source) {
        return Vec::new();
    }
    let template = match parse(source, "template", SyntaxConfig::default()) {
        Ok(template) => template,
        Err(error) => return vec![syntax_fault(source, &error)],
    };
    walk::faults(source, &template, names)
}

/// Whether a template is one `{{ expression }}`, which [`super::evaluate`] gives the value of.
#[must_use]
pub fn is_expression(source: &str) -> bool {
    expression(source).is_some()
}

pub(super) fn has_tags(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|tag| source.contains(tag))
}

/// The expression of a template that is one `{{ expression }}` and nothing else but white space.
pub(super) fn expression(source: &str) -> Option<&str> {
    let source = source.trim();
    let inner = source.strip_prefix("{{")?.strip_suffix("}}")?;
    if source.len() > SOURCE_LIMIT {
        return None;
    }
    let Ok(Stmt::Template(template)) = parse(source, "template", SyntaxConfig::default()) else {
        return None;
    };
    let [Stmt::EmitExpr(_)] = template.children.as_slice() else {
        return None;
    };
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    Some(inner.trim())
}

/// Refuses at rendering what [`check`] refuses for the sake of limits and escaping, in case a template was never checked.
pub(super) fn acceptable(source: &str) -> Result<(), RenderError> {
    if source.len() > SOURCE_LIMIT {
        return Err(RenderError::Limit(format!(
            "more than {} KiB of template",
            SOURCE_LIMIT / 1024
        )));
    }
    let template = parse(source, "template", SyntaxConfig::default())
        .map_err(|error| RenderError::Invalid(syntax_fault(source, &error).message))?;
    match refused(&template) {
        Some((word, _)) => Err(RenderError::Invalid(format!(
            "`{word}` block is not allowed"
        ))),
        None => Ok(()),
    }
}

/// The first block that holds text back from the output, where no limit reaches it.
fn refused(statement: &Stmt<'_>) -> Option<(&'static str, Span)> {
    let within = |body: &[Stmt<'_>]| body.iter().find_map(refused);
    match statement {
        Stmt::Template(template) => within(&template.children),
        Stmt::ForLoop(each) => within(&each.body).or_else(|| within(&each.else_body)),
        Stmt::IfCond(branch) => within(&branch.true_body).or_else(|| within(&branch.false_body)),
        Stmt::WithBlock(block) => within(&block.body),
        Stmt::SetBlock(block) => Some(("set", block.span())),
        Stmt::AutoEscape(block) => Some(("autoescape", block.span())),
        Stmt::FilterBlock(block) => Some(("filter", block.span())),
        Stmt::EmitExpr(_) | Stmt::EmitRaw(_) | Stmt::Set(_) | Stmt::Do(_) => None,
    }
}

fn syntax_fault(source: &str, error: &Error) -> TemplateFault {
    let range = error.range().unwrap_or(0..source.len());
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    let (message, help) = if let Some(word) = detail
        .strip_prefix("unknown statement ")
        .filter(|word| CLOSING.contains(word))
    {
        (
            format!("`{word}` belongs to no block"),
            "remove it, or look for the block that it should end".to_owned(),
        )
    } else if let Some(word) = detail.strip_prefix("unknown statement ") {
        (
            format!("statement `{word}` is not known"),
            nearest(word, STATEMENTS).map_or_else(
                || "the statements are `if`, `for`, `set`, `with` and `do`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            ),
        )
    } else if detail.starts_with("unexpected end of input") {
        (
            "the template ends too early".to_owned(),
            "a `{{` needs its `}}`, and a block its end, such as `{% endif %}`".to_owned(),
        )
    } else {
        (
            detail
                .replace("end of variable block", "`}}`")
                .replace("end of block", "`%}`"),
            "names and operators go between `{{` and `}}`, text goes in quotes".to_owned(),
        )
    };
    let offset = floor(source, range.start);
    TemplateFault {
        offset,
        len: floor(source, range.end).saturating_sub(offset),
        message,
        help: Some(help),
    }
}

/// The nearest place at or before a byte where a letter begins.
fn floor(source: &str, at: usize) -> usize {
    let at = at.min(source.len());
    (0..=at)
        .rev()
        .find(|at| source.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fmt::Write;

    fn names() -> Names {
        let set = |names: &[&str]| -> BTreeSet<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        Names {
            params: set(&["to", "subject"]),
            steps: set(&["mail", "ticket"]),
            vars: set(&["owner"]),
            items: vec!["resource".to_owned()],
        }
    }

    fn shown(sources: &[&str]) -> String {
        let mut out = String::new();
        for source in sources {
            writeln!(out, "{source}").unwrap();
            for fault in faults(source, &names()) {
                let margin = " ".repeat(source[..fault.offset].chars().count());
                let carets = "^".repeat(source[fault.offset..][..fault.len].chars().count().max(1));
                writeln!(out, "{margin}{carets} {}", fault.message).unwrap();
                if let Some(help) = fault.help {
                    writeln!(out, "{margin}{} help: {help}", " ".repeat(carets.len())).unwrap();
                }
            }
        }
        out
    }

    #[test]
    fn faults_of_syntax_have_their_place() {
        insta::assert_snapshot!(shown(&[
            "{{ finding.title",
            "Hello {{ finding. }}",
            "{{ 1 + }}",
            "{% if finding.sample %}yes",
            "{% fi finding.sample %}yes{% endif %}",
            "{% include 'other' %}",
            "{{ 'open }}",
            "{% endif %}",
            "{{ }}",
        ]));
    }

    #[test]
    fn unknown_names_are_told_with_what_was_meant() {
        insta::assert_snapshot!(shown(&[
            "{{ finding.titel }}",
            "ä {{ findnig.title }}",
            "{{ title }} {{ to }} {{ owner }} {{ nowhere }}",
            "{{ finding.compliance.kontrol }} {{ finding.remediation.link }}",
            "{{ finding.resources.id }} {{ finding.resources[0].nmae }}",
            "{% for r in finding.resources %}{{ r.idd }} {{ loop.indx }}{% endfor %}{{ r.id }}",
            "{{ finding.title.text }}",
            "{{ finding['titel'] }}",
            "{{ params.tos }} {{ steps.mial.ok }} {{ vars.ownr }} {{ run.playbok }}",
            "{{ finding.raw.detail }}",
            "{% if finding.sample %}{% set x = 1 %}{% endif %}{{ x }}",
            "{{ (finding.resources | first).nam }}",
        ]));
    }

    #[test]
    fn unknown_filters_tests_functions_and_words_are_told() {
        insta::assert_snapshot!(shown(&[
            "{{ finding.title | uper }} {{ finding.title | safe }}",
            "{{ finding.severity is at_leats('high') }}",
            "{{ finding.severity is at_least('hgih') }}",
            "{{ finding.severity == 'High' }} {{ finding.severity in ['high', 'criticl'] }}",
            "{{ finding.status == 'open' }} {{ finding.kind != 'alarm' }} {{ 'guard_duty' == finding.source }}",
            "{{ finding.title.upper() }} {{ upper(finding.title) }} {{ now() }}",
            "{{ finding.resources | map('uper') | join }} {{ finding.resources | selectattr('id', 'defind') | list }}",
            "{{ finding.region ~ 'x' }} {{ finding.title ~ 'x' }}",
            "{{ 'SQL' in finding.description }} {{ 'SQL' not in finding.title }}",
            "{% set x %}text{% endset %}",
            "{% filter upper %}x{% endfilter %}",
            "{{ range }}",
        ]));
    }

    #[test]
    fn what_is_right_is_accepted() {
        for source in [
            "no tags at all, 100 % { sure }",
            "{{ finding.title }} {{ finding['title'] }} {{ finding.resource.tags.owner | default(params.to) }}",
            "{{ raw.detail.anything[0].goes }} {{ defender.properties.x }} {{ raw | get('a.b') }}",
            "{% for r in finding.resources if r.account %}{{ loop.index }}: {{ r.id }}{% else %}none{% endfor %}",
            "{% for l in finding.links %}{{ l.url }}{% endfor %}{% for k, v in finding.resource.tags | items %}{{ k }}{{ v }}{% endfor %}",
            "{% set who = finding.account | default('nobody') %}{{ who }}",
            "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}",
            "{{ steps.mail.ok and not steps.ticket.error }} {{ steps.ticket.response.body.id }} {{ vars.owner }}",
            "{{ resource.id }} {{ loop_index }} {{ run.id }} {{ run.url | default('') }}",
            "{{ (finding.resources | first).id }} {{ finding.resources[0].id }} {{ finding.resources | map(attribute='id') | join(', ') }}",
            "{{ 'high' if finding.severity in ['high', 'critical'] else 'low' }}",
            "{# a comment #}{{ '{{' }}",
            "{{ range(3) | list }} {{ dict(a=1) }}",
            "{{ finding.sample is false }} {{ finding.region is none }}",
        ] {
            assert_eq!(faults(source, &names()), [], "{source}");
        }
    }

    #[test]
    fn the_index_of_a_loop_is_unknown_outside() {
        let fault = check("{{ loop_index }}", &Names::default()).unwrap_err();
        assert_eq!(
            fault.help.as_deref(),
            Some("it is known only within `for_each`")
        );
    }

    #[test]
    fn only_a_lone_expression_is_one() {
        assert!(is_expression("{{ finding.severity == 'high' }}"));
        assert!(is_expression("  {{- x -}}\n"));
        assert!(!is_expression("finding.severity == 'high'"));
        assert!(!is_expression("{{ a }}{{ b }}"));
        assert!(!is_expression("{{ a }} and {{ b }}"));
        assert!(!is_expression("{{ a "));
    }
}
