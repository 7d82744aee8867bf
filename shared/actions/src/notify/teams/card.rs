use crate::neutral;
use crate::notify::layout::{facts, links, text};
use serde_json::{Value, json};

/// Teams takes messages of 28 KiB at most; the text of a card is cut so that it stays well below.
const TEXT_LIMIT: usize = 12_000;
const PART_LIMIT: usize = 3_000;

/// Builds the card: own text if there is one (its Markdown is the author's), else the built-in layout of a finding.
///
/// Values of the finding stand in text runs, in which nothing is Markdown.
pub(super) fn build(title: &str, own: Option<&str>, context: &Value) -> Value {
    let severity = text(&context["finding"], &["severity"]).unwrap_or("informational");
    let mut body = vec![json!({
        "type": "Container",
        "style": style(severity),
        "bleed": true,
        "items": [rich(&[run(title, true, "Large")])],
    })];
    match own {
        Some(own) => body.push(json!({
            "type": "TextBlock",
            "wrap": true,
            "text": cut(own, TEXT_LIMIT),
        })),
        None => {
            for (label, value) in facts(context) {
                body.push(rich(&[
                    run(&format!("{label}: "), true, "Default"),
                    run(&value, false, "Default"),
                ]));
            }
            for (label, path) in [
                ("", &["description"][..]),
                ("What to do: ", &["remediation", "text"][..]),
            ] {
                let Some(words) = text(&context["finding"], path) else {
                    continue;
                };
                let words = cut(neutral::text(words).trim(), PART_LIMIT);
                let mut runs = vec![run(&words, false, "Default")];
                if !label.is_empty() {
                    runs.insert(0, run(label, true, "Default"));
                }
                body.push(rich(&runs));
            }
        }
    }
    let actions: Vec<Value> = links(context)
        .into_iter()
        .map(|(title, url)| json!({ "type": "Action.OpenUrl", "title": title, "url": url }))
        .collect();
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": title,
        "msteams": { "width": "Full" },
        "body": body,
        "actions": actions,
    })
}

fn style(severity: &str) -> &'static str {
    match severity {
        "critical" | "high" => "attention",
        "medium" => "warning",
        "low" => "accent",
        _ => "emphasis",
    }
}

fn rich(runs: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": runs })
}

fn run(text: &str, bold: bool, size: &str) -> Value {
    json!({
        "type": "TextRun",
        "text": text,
        "size": size,
        "weight": if bold { "Bolder" } else { "Default" },
    })
}

/// Cuts by bytes of JSON rather than by letters, as the limit of Teams counts them; an escape is not cut in two.
fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text[..end].trim_end_matches('\\');
    format!("{kept}…")
}
