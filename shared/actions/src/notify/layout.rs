//! What the built-in layouts of chat messages have in common.

use crate::neutral;
use quench_findings::Source;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// Reads a text of the context by its path; what is absent, null or empty is none.
pub(super) fn text<'a>(context: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter()
        .try_fold(context, |value, name| value.get(name))?
        .as_str()
        .filter(|text| !text.trim().is_empty())
}

/// `in_progress` as `In progress`.
pub(super) fn word(name: &str) -> String {
    let name = name.replace('_', " ");
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The product that made a finding, as its maker names it.
pub(super) fn source(context: &Value) -> Option<&'static str> {
    let source = Source::deserialize(&context["finding"]["source"]).ok()?;
    Some(source.product())
}

/// The label and value of each thing to tell of a finding at a glance, neutralised.
pub(super) fn facts(context: &Value) -> Vec<(&'static str, String)> {
    let finding = |path: &[&str]| text(&context["finding"], path).map(str::to_owned);
    let resource = finding(&["resource", "name"]).or_else(|| finding(&["resource", "id"]));
    let others = context["finding"]["resources"]
        .as_array()
        .map_or(0, |resources| resources.len().saturating_sub(1));
    let resource = resource.map(|resource| match others {
        0 => resource,
        others => format!("{resource} and {others} more"),
    });
    [
        ("Severity", finding(&["severity"]).map(|name| word(&name))),
        ("Status", finding(&["status"]).map(|name| word(&name))),
        ("Account", finding(&["account"])),
        ("Region", finding(&["region"])),
        ("Resource", resource),
        ("Type", finding(&["type"])),
        ("Source", source(context).map(str::to_owned)),
        ("Run", text(context, &["run", "id"]).map(str::to_owned)),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some((label, neutral::line(&value?, 300))))
    .collect()
}

/// The pages to read on, titles neutralised, addresses normal and `https`.
pub(super) fn links(context: &Value) -> Vec<(String, String)> {
    let finding = &context["finding"];
    let own = finding["links"].as_array().into_iter().flatten();
    let mut all: Vec<(String, String)> = Vec::new();
    let named = own
        .filter_map(|link| {
            Some((
                text(link, &["title"]).unwrap_or("Finding"),
                text(link, &["url"])?,
            ))
        })
        .chain(text(finding, &["remediation", "url"]).map(|url| ("How to mend it", url)))
        .chain(text(context, &["run", "url"]).map(|url| ("Run history", url)));
    for (title, url) in named {
        let Some(url) = https(url) else { continue };
        if !all.iter().any(|(_, known)| *known == url) {
            all.push((neutral::line(title, 60), url));
        }
    }
    all.truncate(5);
    all
}

fn https(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let plain = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
    let text = String::from(url);
    (plain && text.len() <= 2000).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_https_addresses_without_a_user_are_links() {
        for url in [
            "http://example.com/",
            "javascript:alert(1)",
            "https://example.com@evil.example/",
            "//example.com",
            "data:text/html,x",
            "",
        ] {
            assert_eq!(https(url), None, "{url}");
        }
        assert_eq!(
            https("https://Example.com/a b\"<>").unwrap(),
            "https://example.com/a%20b%22%3C%3E"
        );
    }

    #[test]
    fn a_page_is_named_once() {
        let context = json!({
            "finding": {
                "links": [{ "title": "Console", "url": "https://example.com/1" }],
                "remediation": { "text": null, "url": "https://example.com/1" },
            },
            "run": { "id": "r", "url": null },
        });
        assert_eq!(
            links(&context),
            [("Console".to_owned(), "https://example.com/1".to_owned())]
        );
    }

    #[test]
    fn what_a_finding_does_not_say_is_no_fact() {
        let context = json!({
            "finding": {
                "severity": "high", "status": null, "account": "",
                "resource": { "id": "i-1", "name": null }, "resources": [{}, {}, {}],
            },
        });
        assert_eq!(
            facts(&context),
            [
                ("Severity", "High".to_owned()),
                ("Resource", "i-1 and 2 more".to_owned())
            ]
        );
    }
}
