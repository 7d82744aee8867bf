use http::HeaderName;
use quench_actions::secrets::Reference;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Somebody outside AWS who may send findings, and how that is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// How a message proves that it comes from them.
    pub scheme: Scheme,
    /// References of the secrets, one or, while they are changed, two; any of them proves the sender.
    pub secrets: Vec<String>,
}

/// How a message proves where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// Signed as <https://www.standardwebhooks.com> says, with a shared secret (`whsec_…`) or the sender's public key
    /// (`whpk_…`).
    StandardWebhooks,
    /// Signed as GitHub does: HMAC-SHA256 of the body in `X-Hub-Signature-256`.
    Github,
    /// Carries a key in a header, as Logic Apps and most others can.
    SharedKey {
        /// The header, in lower case.
        header: String,
    },
    /// Carries a key in a header, as subscriptions of Azure Event Grid do that have it among their delivery properties,
    /// and asks once whether this is the right address.
    EventGrid {
        /// The header, in lower case.
        header: String,
        /// Resource ids of topics whose subscriptions are confirmed without the key; with the key any is.
        topics: Vec<String>,
    },
}

impl Scheme {
    const ALL: [&'static str; 4] = ["standard-webhooks", "github", "shared-key", "event-grid"];
}

/// The header that carries a key where no other is named.
const KEY_HEADER: &str = "x-quench-key";
/// Secrets that may hold at once: the present one and the one before or after it.
const MOST_SECRETS: usize = 2;

/// Reads senders: a JSON object of `{"scheme": …, "secrets": [reference, …]}` by name.
///
/// # Errors
/// All that is wrong, one line each; what might be a secret is not repeated.
pub(crate) fn senders(text: &str) -> Result<BTreeMap<String, Sender>, Vec<String>> {
    let mut reader = Reader { faults: Vec::new() };
    let written: Map<String, Value> = match serde_json::from_str(text) {
        Ok(Value::Object(written)) => written,
        Ok(_) => return Err(vec!["is no JSON object of senders by name".to_owned()]),
        // The place only: the text may hold a secret, though it should not.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return Err(vec![format!(
                "is no JSON (line {line}, column {column}); write for example `{{\"scanner\": {{\"scheme\": \"standard-webhooks\", \"secrets\": [\"secret://env/NAME\"]}}}}`"
            )]);
        }
    };
    let mut senders = BTreeMap::new();
    for (name, value) in written {
        if !is_name(&name) {
            reader.fault(
                &name,
                "is no name of a sender: take up to 64 lower-case letters, digits and `-`",
            );
        }
        if let Some(sender) = reader.sender(&name, &value) {
            senders.insert(name, sender);
        }
    }
    match reader.faults.is_empty() {
        true => Ok(senders),
        false => Err(reader.faults),
    }
}

/// Whether a sender can have this name.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

struct Reader {
    faults: Vec<String>,
}

impl Reader {
    fn fault(&mut self, sender: &str, what: impl std::fmt::Display) {
        self.faults.push(format!("`{sender}` {what}"));
    }

    fn sender(&mut self, name: &str, value: &Value) -> Option<Sender> {
        let Some(written) = value.as_object() else {
            self.fault(name, "is no object with `scheme` and `secrets`");
            return None;
        };
        let known: &[&str] = match written.get("scheme").and_then(Value::as_str) {
            Some("standard-webhooks" | "github") => &["scheme", "secrets"],
            Some("shared-key") => &["scheme", "secrets", "header"],
            Some("event-grid") => &["scheme", "secrets", "header", "topics"],
            _ => {
                let schemes = Scheme::ALL.join("`, `");
                self.fault(name, format_args!("has no `scheme` of `{schemes}`"));
                return None;
            }
        };
        for key in written.keys() {
            if !known.contains(&key.as_str()) {
                let known = known.join("`, `");
                self.fault(
                    name,
                    format_args!("has `{key}`, which is none of `{known}`"),
                );
            }
        }
        let secrets = self.secrets(name, written.get("secrets"));
        let header = self.header(name, written.get("header"));
        let topics = self.topics(name, written.get("topics"));
        let scheme = match written.get("scheme").and_then(Value::as_str)? {
            "standard-webhooks" => Scheme::StandardWebhooks,
            "github" => Scheme::Github,
            "shared-key" => Scheme::SharedKey { header: header? },
            _ => Scheme::EventGrid {
                header: header?,
                topics: topics?,
            },
        };
        Some(Sender {
            scheme,
            secrets: secrets?,
        })
    }

    fn secrets(&mut self, name: &str, value: Option<&Value>) -> Option<Vec<String>> {
        let texts = texts(value.unwrap_or(&Value::Null));
        let Some(texts) = texts.filter(|texts| (1..=MOST_SECRETS).contains(&texts.len())) else {
            self.fault(
                name,
                "needs one or two references in `secrets`, such as `[\"secret://env/NAME\"]`",
            );
            return None;
        };
        if texts.iter().any(|text| Reference::parse(text).is_err()) {
            self.fault(name, "has what is no secret reference in `secrets`; write for example `secret://env/NAME`");
            return None;
        }
        Some(texts)
    }

    fn header(&mut self, name: &str, value: Option<&Value>) -> Option<String> {
        let Some(value) = value else {
            return Some(KEY_HEADER.to_owned());
        };
        match value.as_str().map(str::parse::<HeaderName>) {
            Some(Ok(header)) => Some(header.as_str().to_owned()),
            _ => {
                self.fault(
                    name,
                    "has a `header` that is no name of one, such as `x-api-key`",
                );
                None
            }
        }
    }

    fn topics(&mut self, name: &str, value: Option<&Value>) -> Option<Vec<String>> {
        let Some(value) = value else {
            return Some(Vec::new());
        };
        let topics =
            texts(value).filter(|topics| topics.iter().all(|topic| topic.starts_with('/')));
        if topics.is_none() {
            self.fault(
                name,
                "has `topics` that are no list of resource ids, such as `[\"/subscriptions/…\"]`",
            );
        }
        topics
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter();
    texts.map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_read() {
        let read = senders(
            r#"{
              "scanner": {"scheme": "standard-webhooks", "secrets": ["secret://env/A", "secret://env/B"]},
              "forge": {"scheme": "github", "secrets": ["secret://env/A"]},
              "logic-app": {"scheme": "shared-key", "secrets": ["secret://env/A"]},
              "grid": {"scheme": "event-grid", "secrets": ["secret://file/run/key"], "header": "X-API-Key",
                       "topics": ["/subscriptions/1/topics/t"]}
            }"#,
        )
        .unwrap();
        let schemes: Vec<&Scheme> = read.values().map(|sender| &sender.scheme).collect();
        assert_eq!(
            schemes,
            [
                &Scheme::Github,
                &Scheme::EventGrid {
                    header: "x-api-key".to_owned(),
                    topics: vec!["/subscriptions/1/topics/t".to_owned()],
                },
                &Scheme::SharedKey {
                    header: "x-quench-key".to_owned()
                },
                &Scheme::StandardWebhooks,
            ]
        );
        assert_eq!(read["scanner"].secrets.len(), 2);
        assert!(senders("{}").unwrap().is_empty());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let told = senders(
            r#"{
              "Big": {"scheme": "github", "secrets": ["secret://env/A"]},
              "a": 7,
              "b": {"scheme": "rot13", "secrets": ["secret://env/A"]},
              "c": {"scheme": "github", "secrets": [], "header": "x"},
              "d": {"scheme": "shared-key", "secrets": ["secret://env/A", "secret://env/B", "secret://env/C"], "header": "a b"},
              "e": {"scheme": "event-grid", "secrets": ["secret://env/A"], "topics": "/t"}
            }"#,
        )
        .unwrap_err();
        let beginnings = [
            "`Big` is no name",
            "`a` is no object",
            "`b` has no `scheme` of `standard-webhooks`, `github`",
            "`c` has `header`, which is none of `scheme`, `secrets`",
            "`c` needs one or two references",
            "`d` needs one or two references",
            "`d` has a `header` that is no name",
            "`e` has `topics` that are no list",
        ];
        assert_eq!(told.len(), beginnings.len(), "{told:#?}");
        for (fault, beginning) in told.iter().zip(beginnings) {
            assert!(fault.starts_with(beginning), "{fault}");
        }
    }

    #[test]
    fn a_secret_written_out_is_refused_and_not_repeated() {
        for text in [
            r#"{"a": {"scheme": "github", "secrets": ["hunter2"]}}"#,
            r#"{"a": {"scheme": "github", "secrets": "hunter2"}}"#,
            r#"{"a": {"scheme": "github", "secrets": ["hunter2"}"#,
            r#""hunter2""#,
            "hunter2",
        ] {
            let told = senders(text).unwrap_err().join("\n");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
