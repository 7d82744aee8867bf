use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

use crate::{Finding, Kind, Severity, Source, fields::Fields, refusal::Refusal};

/// What a decoder gives back: one entry a finding of the event, in the event's order.
///
/// Where there are several, `item` is numbered by their place here; decoders leave it alone.
pub(crate) type Decodings = Vec<Result<Finding, Refusal>>;

/// Turns the finding-bearing part of an event into findings.
pub(crate) type Decoder = fn(&Event<'_>) -> Decodings;

/// One event of a source, out of all queues and topics, with the facts of its EventBridge envelope if it has one.
#[derive(Debug, Clone)]
pub(crate) struct Event<'a> {
    /// The event as it came: what a finding keeps as `raw`.
    pub(crate) root: &'a Value,
    /// What `root` was found in, if that can be shared.
    pub(crate) whole: Option<&'a Arc<Value>>,
    /// The part that holds the finding or findings; `root` itself for a bare finding.
    pub(crate) detail: &'a Value,
    /// JSON path of `detail` in the payload, such as `detail` or `Records[0].body.detail`; empty for the payload itself.
    pub(crate) base: String,
    /// The envelope's `source`, such as `aws.guardduty`.
    pub(crate) source: Option<&'a str>,
    /// The envelope's `detail-type`.
    pub(crate) detail_type: Option<&'a str>,
    /// The envelope's `account`: who sent it, which may be a delegated administrator.
    pub(crate) account: Option<&'a str>,
    /// The envelope's `region`: where it was delivered.
    pub(crate) region: Option<&'a str>,
    /// The envelope's `time`.
    pub(crate) time: Option<Timestamp>,
    /// The envelope's `id`: new with each delivery, so no id of a finding.
    pub(crate) id: Option<&'a str>,
    /// The envelope's `resources`.
    pub(crate) resources: Vec<&'a str>,
}

impl<'a> Event<'a> {
    /// An event without an envelope.
    pub(crate) fn bare(root: &'a Value, base: impl Into<String>) -> Self {
        Self {
            root,
            whole: None,
            detail: root,
            base: base.into(),
            source: None,
            detail_type: None,
            account: None,
            region: None,
            time: None,
            id: None,
            resources: Vec::new(),
        }
    }

    /// Reads `detail`, which must be an object.
    pub(crate) fn fields(&self) -> Result<Fields<'a>, Refusal> {
        Fields::object(self.detail, self.base.clone())
    }

    /// The event as findings keep it: shared where it is all that came.
    fn raw(&self) -> Arc<Value> {
        match self.whole {
            Some(whole) if std::ptr::eq(&raw const **whole, self.root) => Arc::clone(whole),
            _ => Arc::new(self.root.clone()),
        }
    }

    /// A finding with the fields that every finding has; what else the event says is filled in by the decoder.
    pub(crate) fn finding(
        &self,
        source: Source,
        kind: Kind,
        id: impl Into<String>,
        title: impl Into<String>,
        severity: Severity,
    ) -> Finding {
        Finding {
            id: id.into(),
            kind,
            source,
            finding_type: None,
            title: title.into(),
            description: None,
            severity,
            status: None,
            account: None,
            region: None,
            scope: None,
            resources: Vec::new(),
            compliance: None,
            first_seen: None,
            last_seen: None,
            updated: None,
            remediation: None,
            links: Vec::new(),
            parent: None,
            sample: false,
            item: None,
            raw: self.raw(),
        }
    }
}

/// Says whether a title marks its finding as made up, as Defender and GuardDuty mark theirs.
pub(crate) fn is_sample_title(title: &str) -> bool {
    title
        .trim_start()
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("[sample"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_known_by_their_title_in_any_case() {
        assert!(is_sample_title("[SAMPLE] Bitcoin mining"));
        assert!(is_sample_title(" [Sample alert] x"));
        assert!(!is_sample_title("A [SAMPLE] within"));
        assert!(!is_sample_title("[Samp"));
        assert!(!is_sample_title("[ŝample] of many bytes"));
    }
}
