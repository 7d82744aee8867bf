use base16ct::lower::encode_string as hex;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Names a definition by its content: the first 16 hexadecimal digits of the SHA-256 of its canonical JSON.
///
/// Canonical means: keys in order, no white space, as `serde_json` writes numbers and text.
pub fn version<T: Serialize>(definition: &T) -> String {
    let value = serde_json::to_value(definition)
        .expect("definitions have text keys and finite numbers only, so they are always JSON");
    let mut canonical = String::new();
    write_canonical(&value, &mut canonical);
    hex(&Sha256::digest(canonical.as_bytes())[..8])
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                let _ = write!(out, "{}:", Value::String(key.clone()));
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_and_values_do() {
        let a = json!({ "x": 1, "y": { "b": [1, "2"], "a": null } });
        let b = json!({ "y": { "a": null, "b": [1, "2"] }, "x": 1 });
        let c = json!({ "y": { "a": null, "b": ["2", 1] }, "x": 1 });
        assert_eq!(version(&a), version(&b));
        assert_ne!(version(&a), version(&c));
        assert_eq!(version(&a).len(), 16);
    }

    #[test]
    fn the_hash_is_that_of_the_canonical_text() {
        // sha256 of `{}`.
        assert_eq!(version(&json!({})), "44136fa355b3678a");
    }
}
