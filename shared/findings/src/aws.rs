//! The events of AWS, each by the service that sends it.

pub(crate) mod asff;

use serde_json::Value;

use crate::event::Decoder;

/// The decoder for an EventBridge envelope, by its `source` and `detail-type`; none for an event that is no finding.
///
/// Security Hub's `Findings Imported V2` is OCSF and is taken before this is asked.
pub(crate) fn for_envelope(source: &str, detail_type: &str) -> Option<Decoder> {
    match (source, detail_type) {
        ("aws.securityhub", _) => Some(asff::decode),
        _ => None,
    }
}

/// The decoder for a finding without an envelope, by its shape; none where the shape is not one of AWS.
pub(crate) fn for_shape(detail: &Value) -> Option<Decoder> {
    detail.get("SchemaVersion").map(|_| asff::decode as Decoder)
}
