//! How long a step may take and how it is tried again.

use super::reader::Reader;
use crate::Retry;
use crate::duration::parse_duration;
use crate::yaml::{Content, Node};
use std::time::Duration;

pub(super) fn timeout(reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
    let timeout = reader.duration(node, "`timeout`")?;
    if timeout < Duration::from_secs(1) || timeout > Duration::from_secs(600) {
        reader.fault_with_help(
            &node.span,
            "`timeout` must be from `1s` to `10m`",
            "for a longer pause use a `wait` step",
        );
        return None;
    }
    Some(timeout)
}

/// How steps are retried where `retry` leaves something out.
const RETRY: Retry = Retry {
    window: Duration::from_secs(24 * 60 * 60),
    attempts: None,
    base: Duration::from_secs(5),
    cap: Duration::from_secs(15 * 60),
};

pub(super) fn retry(reader: &mut Reader<'_>, node: &Node) -> Option<Retry> {
    if let Content::Bool(false) = node.content {
        return Some(Retry {
            window: Duration::ZERO,
            attempts: Some(1),
            ..RETRY
        });
    }
    if !matches!(node.content, Content::Mapping(_)) {
        let help = match node.text() {
            Some(text) if parse_duration(text).is_ok() => {
                format!("write `retry: {{ for: {text} }}`")
            }
            _ => "such as `retry: { for: 24h }`, or `retry: false`".to_owned(),
        };
        reader.misfit(node, "`retry`", "a mapping or `false`", help);
        return None;
    }
    let fields = reader.fields(node, "`retry`", &["for", "attempts", "base", "cap"])?;
    let length = |reader: &mut Reader<'_>, name: &str, default: Duration| match fields.get(name) {
        Some(node) => reader
            .duration(node, &format!("`{name}`"))
            .unwrap_or(default),
        None => default,
    };
    let window = length(reader, "for", RETRY.window);
    let base = length(reader, "base", RETRY.base);
    let cap = length(reader, "cap", RETRY.cap.max(base));
    let attempts = fields
        .get("attempts")
        .and_then(|node| reader.whole_number(node, "`attempts`", 1..=1000))
        .and_then(|attempts| u32::try_from(attempts).ok());
    if base < Duration::from_secs(1) {
        reader.fault_with_help(
            &fields.get("base").unwrap_or(node).span,
            "`base` must be at least `1s`",
            "such as `5s`",
        );
    } else if base > cap {
        reader.fault_with_help(
            &fields.get("cap").unwrap_or(node).span,
            "`cap` must not be shorter than `base`",
            "`base` bounds the first pause and `cap` every pause",
        );
    }
    Some(Retry {
        window,
        attempts,
        base,
        cap,
    })
}
