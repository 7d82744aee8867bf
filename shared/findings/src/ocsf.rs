use serde_json::Value;

use crate::{
    event::{Decoder, Decodings, Event},
    refusal::Refusal,
};

pub(crate) fn for_shape(_value: &Value) -> Option<Decoder> {
    None
}

pub(crate) fn decode(event: &Event<'_>) -> Decodings {
    vec![Err(Refusal::new(event.base.clone(), "not read yet"))]
}
