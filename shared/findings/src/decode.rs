use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

use crate::{
    Finding, aws, defender,
    event::{Decoder, Event, is_sample_title},
    fields::{Fields, describe, join, member},
    ocsf,
    refusal::Refusal,
    scc,
};

mod nest;
mod text;

use nest::Content;

/// How many carriers may be packed into one another: several more than any real route has.
const CARRIERS: usize = 12;

/// With more findings than this in one event, each keeps an event of its own as `raw`, so that the whole is not kept many times over.
const SHARED_FINDINGS: usize = 100;

/// The same where the whole, kept with each finding, would come to more bytes of JSON than this.
const SHARED_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes of JSON that what surrounds the findings of an event may come to, kept with each of them.
const SURROUNDING_BYTES: usize = 64 * 1024 * 1024;

/// What a payload holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decoded {
    /// The findings, in the payload's order.
    pub findings: Vec<Finding>,
    /// What was not understood, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// The button a person pressed to send the findings, if one was; of several events, the first that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<CustomAction>,
}

/// A custom action of Security Hub: somebody chose it for some findings or insight results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomAction {
    /// Last part of its ARN, `…:action/custom/<id>`.
    pub id: String,
    /// Name on the button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Id of the event that told of it: the same at every delivery, another each time the button is pressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Whether it was pressed for results of an insight, which are counts without findings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insight: bool,
}

/// Reads a payload of any source, out of whatever queues, topics and lists it is packed into.
///
/// Never panics. What does not fit is refused with the reason and the first path that did not fit; the findings beside it
/// are kept.
pub fn decode(payload: &[u8]) -> Decoded {
    let mut decoded = Decoded::default();
    let place = Place::default();
    match text::text_of(payload) {
        Ok(text) => decode_text(&text, &place, &mut decoded),
        Err(refusal) => decoded.refused.push(refusal),
    }
    if decoded.findings.is_empty() && decoded.refused.is_empty() {
        decoded.refused.push(Refusal::new("", "holds no finding"));
    }
    decoded
}

/// Where in the payload the walk is.
#[derive(Debug, Clone, Default)]
struct Place {
    path: String,
    carriers: usize,
    /// The JSON value that all below it is a part of.
    whole: Arc<Value>,
}

impl Place {
    fn below(&self, name: &str) -> Self {
        Self {
            path: join(&self.path, name),
            carriers: self.carriers + 1,
            whole: Arc::clone(&self.whole),
        }
    }

    /// The same for a value that came as text.
    fn of(&self, whole: Value) -> Self {
        Self {
            whole: Arc::new(whole),
            ..self.clone()
        }
    }

    fn refuse(&self, reason: impl Into<String>) -> Refusal {
        Refusal::new(self.path.clone(), reason)
    }
}

fn decode_text(text: &str, place: &Place, decoded: &mut Decoded) {
    for parsed in text::parse(text) {
        let place = match parsed.place {
            Some(index) => place.below(&format!("[{index}]")),
            None => place.clone(),
        };
        match parsed.value {
            Ok(value) => {
                let place = place.of(value);
                decode_value(&place.whole, &place, decoded);
            }
            Err(refusal) => decoded.refused.push(place.refuse(refusal.reason)),
        }
    }
}

fn decode_value(value: &Value, place: &Place, decoded: &mut Decoded) {
    if place.carriers > CARRIERS {
        let reason = format!("is packed into more than {CARRIERS} others");
        decoded.refused.push(place.refuse(reason));
        return;
    }
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                decode_value(element, &place.below(&format!("[{index}]")), decoded);
            }
        }
        Value::Object(_) => decode_object(value, place, decoded),
        other => {
            let reason = format!("expected an event or a finding, found {}", describe(other));
            decoded.refused.push(place.refuse(reason));
        }
    }
}

fn decode_object(value: &Value, place: &Place, decoded: &mut Decoded) {
    if let Some(envelope) = Envelope::of(value) {
        if envelope.is_of_aws()
            || aws::for_envelope(envelope.source, envelope.detail_type).is_some()
        {
            decode_envelope(value, &envelope, place, decoded);
            return;
        }
        // Somebody else's event bus: a carrier like any other.
        match envelope.detail {
            Value::String(text) => decode_text(text, &place.below("detail"), decoded),
            detail => decode_value(detail, &place.below("detail"), decoded),
        }
        return;
    }
    if let Some(decoder) = for_shape(value) {
        let event = Event {
            whole: Some(&place.whole),
            ..Event::bare(value, place.path.clone())
        };
        run_each(decoder, &event, decoded);
        return;
    }
    if let Some(carried) = nest::open(value) {
        for inner in carried {
            let place = place.below(&inner.path);
            match inner.content {
                Content::Value(value) => decode_value(value, &place, decoded),
                Content::Text(text) => decode_text(text, &place, decoded),
                Content::Encoded(text) if text.trim_start().starts_with(['{', '[']) => {
                    decode_text(text, &place, decoded);
                }
                Content::Encoded(text) => {
                    let unpacked = text::unbase64(text)
                        .map_err(|reason| place.refuse(reason))
                        .and_then(|bytes| {
                            text::text_of(&bytes).map_err(|refusal| place.refuse(refusal.reason))
                        });
                    match unpacked {
                        Ok(text) => decode_text(&text, &place, decoded),
                        Err(refusal) => decoded.refused.push(refusal),
                    }
                }
            }
        }
        return;
    }
    decoded
        .refused
        .push(place.refuse("is neither an event nor a finding of a source that is known"));
}

/// The decoder for a finding without an envelope, by the names it is made of.
fn for_shape(value: &Value) -> Option<Decoder> {
    ocsf::for_shape(value)
        .or_else(|| scc::for_shape(value))
        .or_else(|| defender::for_shape(value))
        .or_else(|| aws::for_shape(value))
}

/// The members of an EventBridge envelope, also as `PutEvents` spells them.
struct Envelope<'a> {
    source: &'a str,
    detail_type: &'a str,
    detail: &'a Value,
}

impl<'a> Envelope<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let detail_type = ["detail-type", "DetailType", "detail_type"]
            .iter()
            .find_map(|name| member(value, name))?;
        Some(Self {
            source: member(value, "source")?.as_str()?,
            detail_type: detail_type.as_str()?,
            detail: member(value, "detail")?,
        })
    }

    fn is_of_aws(&self) -> bool {
        self.source.starts_with("aws.") && !self.source.starts_with("aws.partner/")
    }
}

fn decode_envelope(root: &Value, envelope: &Envelope<'_>, place: &Place, decoded: &mut Decoded) {
    let path = join(&place.path, "detail");
    let unpacked = match envelope.detail {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(detail) => Some(detail),
            Err(error) => {
                let refusal = Refusal::new(path, format!("is no JSON: {error}"));
                decoded.refused.push(refusal.with_source(envelope.source));
                return;
            }
        },
        _ => None,
    };
    let detail = unpacked.as_ref().unwrap_or(envelope.detail);
    let decoder = if is_ocsf(envelope, detail) {
        ocsf::decode as Decoder
    } else if let Some(decoder) = aws::for_envelope(envelope.source, envelope.detail_type) {
        decoder
    } else {
        let reason = format!(
            "an event `{}` of `{}` is no finding that is known",
            envelope.detail_type, envelope.source
        );
        decoded.refused.push(
            Refusal::new(join(&place.path, "detail-type"), reason).with_source(envelope.source),
        );
        return;
    };
    let event = match enveloped(root, envelope, detail, path) {
        Ok(event) => Event {
            whole: Some(&place.whole),
            ..event
        },
        Err(refusal) => {
            decoded.refused.push(refusal.with_source(envelope.source));
            return;
        }
    };
    if decoded.action.is_none() {
        decoded.action = custom_action(&event);
    }
    run_each(decoder, &event, decoded);
}

/// `Findings Imported V2`, or findings in OCSF under the older name.
fn is_ocsf(envelope: &Envelope<'_>, detail: &Value) -> bool {
    envelope.source == "aws.securityhub"
        && (envelope.detail_type.ends_with("V2")
            || member(detail, "findings")
                .and_then(|findings| findings.get(0))
                .is_some_and(|finding| ocsf::for_shape(finding).is_some()))
}

fn enveloped<'a>(
    root: &'a Value,
    envelope: &Envelope<'a>,
    detail: &'a Value,
    base: String,
) -> Result<Event<'a>, Refusal> {
    let outer = base.strip_suffix("detail").unwrap_or_default();
    let fields = Fields::new(root, outer.trim_end_matches('.'));
    Ok(Event {
        root,
        whole: None,
        detail,
        source: Some(envelope.source),
        detail_type: Some(envelope.detail_type),
        account: fields.text("account")?,
        region: fields.text("region")?,
        time: aws::time(&fields, "time")?,
        id: fields.text("id")?,
        resources: fields.texts("resources")?,
        base,
    })
}

/// Decodes an event, with a crowd of findings one by one.
fn run_each(decoder: Decoder, event: &Event<'_>, decoded: &mut Decoded) {
    let Some(findings) = crowd(event) else {
        return run(decoder, event, decoded);
    };
    let surroundings = size(&with_only(event, usize::MAX));
    if surroundings.saturating_mul(findings) > SURROUNDING_BYTES {
        let reason =
            format!("holds {findings} findings, with too much beside them to be kept with each");
        let refusal = Refusal::new(event.base.clone(), reason);
        decoded.refused.push(match event.source {
            Some(source) => refusal.with_source(source),
            None => refusal,
        });
        return;
    }
    for index in 0..findings {
        let own = with_only(event, index);
        let detail = match is_bare(event) {
            true => &own,
            false => member(&own, "detail").unwrap_or(&Value::Null),
        };
        let one = Event {
            root: &own,
            detail,
            ..event.clone()
        };
        let before = decoded.refused.len();
        run(decoder, &one, decoded);
        for refusal in &mut decoded.refused[before..] {
            // It stood first in the event of its own; the path is to lead into the payload.
            if let Some(below) = refusal.path.strip_prefix(&event.base) {
                let below = below.replacen("[0]", &format!("[{index}]"), 1);
                refusal.path = format!("{}{below}", event.base);
            }
        }
    }
}

fn run(decoder: Decoder, event: &Event<'_>, decoded: &mut Decoded) {
    let decodings = decoder(event);
    let several = decodings.len() > 1;
    if decodings.is_empty() {
        let refusal = Refusal::new(event.base.clone(), "holds no finding");
        decoded.refused.push(match event.source {
            Some(source) => refusal.with_source(source),
            None => refusal,
        });
    }
    for (index, decoding) in decodings.into_iter().enumerate() {
        let item = several.then_some(index);
        match decoding {
            Ok(mut finding) => {
                finding.item = finding.item.or(item);
                finding.sample |= is_sample(&finding, event);
                decoded.findings.push(finding);
            }
            Err(refusal) => {
                let refusal = refusal.of_item(item);
                decoded.refused.push(match event.source {
                    Some(source) => refusal.with_source(source),
                    None => refusal,
                });
            }
        }
    }
}

/// A sample says so at the start of its title or description; of a source that writes neither, in the id of its event.
fn is_sample(finding: &Finding, event: &Event<'_>) -> bool {
    [
        Some(finding.title.as_str()),
        finding.description.as_deref(),
        event.id,
    ]
    .into_iter()
    .flatten()
    .any(is_sample_title)
}

fn custom_action(event: &Event<'_>) -> Option<CustomAction> {
    if event.source != Some("aws.securityhub") {
        return None;
    }
    let (_, id) = event
        .resources
        .iter()
        .find_map(|arn| arn.split_once(":action/custom/"))?;
    let text = |name| member(event.detail, name)?.as_str().map(str::to_owned);
    Some(CustomAction {
        id: id.to_owned(),
        name: text("actionName"),
        description: text("actionDescription"),
        event: event.id.map(str::to_owned),
        insight: event.detail_type == Some("Security Hub Insight Results"),
    })
}

/// How many findings an event holds, if they are too many to keep it whole with each.
fn crowd(event: &Event<'_>) -> Option<usize> {
    let findings = member(event.detail, "findings")?.as_array()?.len();
    let is_crowd = findings > SHARED_FINDINGS
        || findings > 1 && size(event.root).saturating_mul(findings) > SHARED_BYTES;
    is_crowd.then_some(findings)
}

/// Bytes of the JSON of a value.
fn size(value: &Value) -> usize {
    value.to_string().len()
}

fn is_bare(event: &Event<'_>) -> bool {
    std::ptr::eq(event.root, event.detail)
}

/// The same event with one of its findings only, and with its detail unpacked if that came as text.
fn with_only(event: &Event<'_>, index: usize) -> Value {
    let narrowed = |detail: &Value| {
        let members = detail.as_object().into_iter().flatten();
        let members = members.map(|(name, value)| {
            let kept = match value {
                Value::Array(findings) if name.eq_ignore_ascii_case("findings") => {
                    Value::Array(findings.get(index).cloned().into_iter().collect())
                }
                other => other.clone(),
            };
            (name.clone(), kept)
        });
        Value::Object(members.collect())
    };
    if is_bare(event) {
        return narrowed(event.root);
    }
    let members = event.root.as_object().into_iter().flatten();
    let members = members.map(|(name, value)| match name.eq_ignore_ascii_case("detail") {
        true => (name.clone(), narrowed(event.detail)),
        false => (name.clone(), value.clone()),
    });
    Value::Object(members.collect())
}
