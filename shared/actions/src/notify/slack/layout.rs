use crate::ActionError;
use crate::action::unrendered;
use crate::neutral;
use crate::notify::layout::{facts, links, text};
use quench_automations::templates::{self, Escape};
use serde_json::{Value, json};

const HEADER_LIMIT: usize = 150;
const TEXT_LIMIT: usize = 2_900;
const FIELDS_LIMIT: usize = 10;

/// The built-in layout of a finding: text for notifications, and blocks.
///
/// Values stand in `plain_text` objects, which nothing in them can leave; only labels and links are `mrkdwn`.
pub(super) fn finding(context: &Value) -> Result<(String, Option<Value>), ActionError> {
    let finding = &context["finding"];
    let title = neutral::line(text(finding, &["title"]).unwrap_or("Finding"), 300);
    let severity = text(finding, &["severity"]).unwrap_or("informational");
    let heading = format!("{} {title}", mark(severity));
    let mut blocks = vec![json!({
        "type": "header",
        "text": plain(&neutral::line(&heading, HEADER_LIMIT)),
    })];
    let fields: Vec<Value> = facts(context)
        .into_iter()
        .take(FIELDS_LIMIT)
        .map(|(label, value)| plain(&format!("{label}: {value}")))
        .collect();
    if !fields.is_empty() {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    for (label, path) in [
        ("", &["description"][..]),
        ("What to do: ", &["remediation", "text"][..]),
    ] {
        if let Some(words) = text(finding, path) {
            let words = format!("{label}{}", neutral::text(words).trim());
            blocks.push(json!({ "type": "section", "text": plain(&limited(&words)) }));
        }
    }
    let links: Vec<String> = links(context)
        .into_iter()
        .map(|(title, url)| Ok(format!("<{}|{}>", address(&url), escaped(&title)?)))
        .collect::<Result<_, ActionError>>()?;
    if !links.is_empty() {
        blocks.push(json!({
            "type": "context",
            "elements": [{ "type": "mrkdwn", "text": links.join("  ·  "), "verbatim": true }],
        }));
    }
    let summary = format!("[{severity}] {title}");
    Ok((escaped(&summary)?, Some(Value::Array(blocks))))
}

fn mark(severity: &str) -> &'static str {
    match severity {
        "critical" => "🟣",
        "high" => "🔴",
        "medium" => "🟠",
        "low" => "🟡",
        _ => "🔵",
    }
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

fn limited(text: &str) -> String {
    if text.chars().count() <= TEXT_LIMIT {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(TEXT_LIMIT).collect();
    short.push('…');
    short
}

fn escaped(text: &str) -> Result<String, ActionError> {
    let value = json!({ "text": text });
    templates::render("{{ text }}", &value, Escape::Slack).map_err(unrendered("text"))
}

/// An address within `<…|…>`.
fn address(url: &str) -> String {
    url.replace('&', "&amp;").replace('|', "%7C")
}
