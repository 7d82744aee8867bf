//! How what is changed looks: a difference with its place, and values that may be long.

use std::io;

use quench_actions::remediate::{Change, Plan};
use serde_json::Value;

use super::indented;
use crate::output::{Look, Output, clean, one_line};

/// The longest value that stands in one line.
const ONE_LINE: usize = 100;
/// How many lines of a long value are shown where it is folded.
const FOLDED: usize = 8;

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// The differences alone, long values folded.
    States,
    /// The states before and after as well, long values folded.
    Long,
    /// Everything whole.
    Nothing,
}

/// Prints a plan: what it would do to what, each change, and what people ought to know.
pub(crate) fn plan(output: Output, plan: &Plan, fold: Fold, indent: &str) -> io::Result<()> {
    output.text(format!(
        "{indent}{} {} {}",
        output.look(Look::Strong, plan.remediation.name()),
        one_line(&plan.target.to_string()),
        output.look(
            Look::Dim,
            format!(
                "({} risk, region {}, plan {})",
                plan.risk,
                one_line(&plan.target.region),
                short(&plan.hash)
            )
        )
    ))?;
    let inner = format!("{indent}  ");
    if let Some(why) = &plan.nothing_to_do {
        output.text(format!(
            "{inner}{} {}",
            output.look(Look::Good, "nothing to do:"),
            one_line(why)
        ))?;
    }
    for change in &plan.changes {
        difference(output, change, fold, &inner)?;
    }
    for warning in &plan.warnings {
        output.text(format!(
            "{inner}{} {}",
            output.look(Look::Doubt, "warning:"),
            one_line(warning)
        ))?;
    }
    Ok(())
}

/// The beginning of a hash, enough to tell it from others at a glance.
pub(crate) fn short(hash: &str) -> String {
    one_line(&hash.chars().take(12).collect::<String>())
}

/// Prints one change: `+` what comes, `-` what goes, `~` what becomes something else.
fn difference(output: Output, change: &Change, fold: Fold, indent: &str) -> io::Result<()> {
    let path = one_line(&change.path);
    let (sign, look) = match (&change.before, &change.after) {
        (Value::Null, _) => ("+", Look::Good),
        (_, Value::Null) => ("-", Look::Bad),
        _ => ("~", Look::Doubt),
    };
    let head = |rest: &str| {
        let place = output.look(look, format!("{sign} {path}"));
        output.text(format!("{indent}{place}{rest}"))
    };
    let (before, after) = (lines(&change.before, fold), lines(&change.after, fold));
    match (sign, before.as_slice(), after.as_slice()) {
        ("+", _, [only]) | ("-", [only], _) => head(&format!(": {only}")),
        ("~", [before], [after]) if before.len() + after.len() <= ONE_LINE => {
            head(&format!(": {before} → {after}"))
        }
        _ => {
            head("")?;
            for (sign, look, lines) in [("-", Look::Bad, before), ("+", Look::Good, after)] {
                for line in lines {
                    let line = output.look(look, format!("{sign} {line}"));
                    output.text(format!("{indent}    {line}"))?;
                }
            }
            Ok(())
        }
    }
}

/// Prints a state with its name.
pub(crate) fn state(
    output: Output,
    name: &str,
    state: &Value,
    fold: Fold,
    indent: &str,
) -> io::Result<()> {
    let lines = lines(state, fold);
    let name = output.look(Look::Dim, format!("{name}:"));
    match lines.as_slice() {
        [] => output.text(format!("{indent}{name} nothing")),
        [only] => output.text(format!("{indent}{name} {only}")),
        lines => {
            output.text(format!("{indent}{name}"))?;
            indented(output, lines, &format!("{indent}  "))
        }
    }
}

/// A value in one line where it is short, else in as many as it takes or as are shown of it; nothing for null.
fn lines(value: &Value, fold: Fold) -> Vec<String> {
    if value.is_null() {
        return Vec::new();
    }
    let compact = one_line(&value.to_string());
    if compact.chars().count() <= ONE_LINE {
        return vec![compact];
    }
    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut lines: Vec<String> = pretty.lines().map(clean).collect();
    if fold != Fold::Nothing {
        // One more line would take no more place than the line that says so.
        if lines.len() > FOLDED + 1 {
            let hidden = lines.len() - FOLDED;
            lines.truncate(FOLDED);
            lines.push(format!("… {hidden} more lines; `--full` shows them"));
        }
        for line in &mut lines {
            *line = super::shorten(line, 2 * ONE_LINE);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_values_stand_in_one_line_and_long_ones_are_folded() {
        assert_eq!(lines(&json!({"a": 1}), Fold::Long), [r#"{"a":1}"#]);
        assert_eq!(lines(&Value::Null, Fold::Long), Vec::<String>::new());
        let long: Value = (0..60).collect();
        let folded = lines(&long, Fold::Long);
        assert_eq!(folded.len(), FOLDED + 1);
        assert_eq!(folded[FOLDED], "… 54 more lines; `--full` shows them");
        assert_eq!(lines(&long, Fold::Nothing).len(), 62);
    }

    #[test]
    fn what_a_resource_says_cannot_steer_the_terminal() {
        let value = json!({"description": "\u{202e}x\u{9b}2J", "long": "y".repeat(200)});
        for fold in [Fold::Long, Fold::Nothing] {
            let shown = lines(&value, fold).join("\n");
            assert!(!shown.contains(['\u{202e}', '\u{9b}']), "{shown}");
        }
    }
}
