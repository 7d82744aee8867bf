use serde_json::Value;

use crate::event::Decoder;

pub(crate) fn for_shape(_value: &Value) -> Option<Decoder> {
    None
}
