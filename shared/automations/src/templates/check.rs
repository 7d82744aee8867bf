mod growth;
mod walk;

use super::names::Names;
use super::{RenderError, SOURCE_LIMIT};
use crate::nearest::nearest;
use minijinja::Error;
use minijinja::machinery::ast::Stmt;
use minijinja::machinery::{Span, Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;
use std::ops::Range;

/// Words and signs in one `{{ … }}` or `{% … %}`.
const EXPRESSION_LIMIT: usize = 500;
/// `elif`s in one template.
const BRANCH_LIMIT: usize = 100;

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
    if !has_tags(source) && source.len() <= SOURCE_LIMIT {
        return Vec::new();
    }
    match parsed(source) {
        Ok(template) => walk::faults(source, &template, names),
        Err(fault) => vec![fault],
    }
}

/// Whether a template is one `{{ expression }}`, which [`super::evaluate`] gives the value of.
#[must_use]
pub fn is_expression(source: &str) -> bool {
    expression(source).is_some()
}

pub(super) fn has_tags(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|tag| source.contains(tag))
}

/// The expression of a template that is one `{{ expression }}` and nothing else but white space. It is acceptable.
pub(super) fn expression(source: &str) -> Option<&str> {
    let source = source.trim();
    let inner = source.strip_prefix("{{")?.strip_suffix("}}")?;
    let Ok(Stmt::Template(template)) = parsed(source) else {
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
    let template = parsed(source).map_err(|fault| RenderError::Invalid(fault.message))?;
    match refused(&template) {
        Some((word, _)) => Err(RenderError::Invalid(format!(
            "`{word}` block is not allowed"
        ))),
        None => Ok(()),
    }
}

/// Parses a template that is small enough for it.
///
/// The parser nests long chains of operators and of `elif` without a limit of its own, and whatever goes through them
/// afterwards needs stack for each link.
fn parsed(source: &str) -> Result<Stmt<'_>, TemplateFault> {
    let too_long = |span: Range<usize>, what: &str, help: &str| TemplateFault {
        offset: span.start,
        len: span.len(),
        message: format!("{what} is too long"),
        help: Some(help.to_owned()),
    };
    if source.len() > SOURCE_LIMIT {
        let help = format!("a template has {} KiB at most", SOURCE_LIMIT / 1024);
        return Err(too_long(0..source.len(), "the template", &help));
    }
    let mut within = 0;
    let mut branches = 0;
    for token in tokenize(source, false, SyntaxConfig::default()) {
        let (token, span) = token.map_err(|error| syntax_fault(source, &error))?;
        let place = span.start_offset as usize..span.end_offset as usize;
        within = match token {
            Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => 0,
            _ => within + 1,
        };
        branches += usize::from(matches!(token, Token::Ident("elif")));
        if within > EXPRESSION_LIMIT {
            let help = "divide it with `{% set name = … %}`";
            return Err(too_long(place, "the expression", help));
        }
        if branches > BRANCH_LIMIT {
            let help = "a mapping such as `{'low': 1, 'high': 2}[finding.severity]` may do";
            return Err(too_long(place, "the chain of `elif`", help));
        }
    }
    let template = parse(source, "template", SyntaxConfig::default())
        .map_err(|error| syntax_fault(source, &error))?;
    if let Some(span) = growth::too_large(&template) {
        let place = span.start_offset as usize..span.end_offset as usize;
        return Err(TemplateFault {
            offset: place.start,
            len: place.len(),
            message: "the value is put together from too many others".to_owned(),
            help: Some("print the parts one after another instead".to_owned()),
        });
    }
    Ok(template)
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
            steps: set(&["mail", "ticket", "close"]),
            vars: set(&["owner"]),
            items: vec!["resource".to_owned()],
            deeds: set(&["close"]),
            placed: false,
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
    fn a_value_that_doubles_again_and_again_is_refused_before_it_is_made() {
        for (first, again) in [
            ("'xy'", "a ~ a"),
            ("'xy'", "[a, a]"),
            ("'xy'", "{'b': a, 'c': a}"),
            ("range(9)|list", "a + a"),
            ("'xy'", "a|replace('x', a)"),
            ("'xy'", "dict(b=a, c=a)"),
        ] {
            let doubling = format!("{{% set a = {again} %}}");
            let source = |times| {
                format!(
                    "{{% set a = {first} %}}{}{{{{ 1 }}}}",
                    doubling.repeat(times)
                )
            };
            assert_eq!(faults(&source(3), &Names::default()), [], "{again}");
            let faults = faults(&source(40), &Names::default());
            assert_eq!(
                faults[0].message, "the value is put together from too many others",
                "{again}"
            );
            let rendered = super::super::render(
                &source(40),
                &serde_json::json!({}),
                super::super::Escape::None,
            );
            assert!(
                matches!(rendered, Err(RenderError::Invalid(_))),
                "{again}: {rendered:?}"
            );
        }
    }

    #[test]
    fn what_a_loop_sets_does_not_grow_from_turn_to_turn() {
        let source =
            "{% set a = 'x' %}{% for i in range(50) %}{% set a = a ~ a %}{{ a }}{% endfor %}";
        let rendered =
            super::super::render(source, &serde_json::json!({}), super::super::Escape::None);
        assert_eq!(rendered, Ok("xx".repeat(50)));
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
            "{{ steps.close.outcom }} {{ steps.close.changes[0].was }} {{ steps.mail.anything }}",
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
            "{{ steps.close.outcome }} {% for change in steps.close.changes %}{{ change.path }}{% endfor %}",
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
    fn long_chains_are_refused_before_they_need_stack() {
        let chains = |times: usize| {
            [
                format!("{{{{ 1{} }}}}", "+finding.title".repeat(times / 4)),
                format!("{{{{ finding.title{} }}}}", " | upper".repeat(times / 2)),
                format!("{{{{ raw{} }}}}", ".a".repeat(times / 2)),
                format!("{{{{ {}1 }}}}", "not ".repeat(times)),
                format!(
                    "{{{{ {}1{} }}}}",
                    "[".repeat(times / 2),
                    "]".repeat(times / 2)
                ),
                format!(
                    "{{% if raw %}}{}{{% endif %}}",
                    "{% elif raw %}".repeat(times / 4)
                ),
            ]
        };
        for source in chains(EXPRESSION_LIMIT - 20) {
            let _ = faults(&source, &names());
            let _ = crate::templates::evaluate(&source, &serde_json::json!({ "raw": {} }));
        }
        for source in chains(8_000) {
            let fault = check(&source, &names()).unwrap_err();
            assert!(fault.message.ends_with("is too long"), "{fault}");
            assert!(crate::templates::evaluate(&source, &serde_json::json!({})).is_err());
        }
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
