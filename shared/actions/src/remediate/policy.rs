//! Policy documents of IAM: compared by what they say, and merged without touching what they say already.

use super::plan::canonical;
use serde_json::{Map, Value, json};

/// A document as it is compared: statements without regard to their order, lists without regard to order and to
/// whether one item stands alone, accounts as the ARNs that AWS makes of them. A text that is none is taken as it is.
pub(super) fn compared(text: &str) -> Value {
    let Ok(Value::Object(mut policy)) = serde_json::from_str::<Value>(text) else {
        return Value::String(text.to_owned());
    };
    let mut statements: Vec<Value> = listed(policy.remove("Statement"))
        .into_iter()
        .map(statement)
        .collect();
    statements.sort_by_key(Value::to_string);
    policy.insert("Statement".to_owned(), statements.into());
    canonical(&policy.into())
}

fn listed(value: Option<Value>) -> Vec<Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    }
}

fn statement(value: Value) -> Value {
    let Value::Object(fields) = value else {
        return value;
    };
    let fields: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| {
            let value = match name.as_str() {
                "Action" | "NotAction" => sorted(value, &str::to_lowercase),
                "Resource" | "NotResource" => sorted(value, &str::to_owned),
                "Principal" | "NotPrincipal" => principal(value),
                "Condition" => condition(value),
                _ => value,
            };
            (name, value)
        })
        .collect();
    canonical(&fields.into())
}

/// Texts in their order; flags and numbers of conditions are the same as their texts.
fn sorted(value: Value, fold: &dyn Fn(&str) -> String) -> Value {
    let mut items: Vec<String> = listed(Some(value))
        .iter()
        .map(|item| match item {
            Value::String(text) => fold(text),
            other => other.to_string(),
        })
        .collect();
    items.sort();
    items.dedup();
    items.into()
}

fn principal(value: Value) -> Value {
    let Value::Object(kinds) = value else {
        return value;
    };
    let kinds: Map<String, Value> = kinds
        .into_iter()
        .map(|(kind, value)| {
            let value = match kind.as_str() {
                "AWS" => sorted(value, &|text| match text.len() {
                    12 if text.bytes().all(|digit| digit.is_ascii_digit()) => {
                        format!("arn:aws:iam::{text}:root")
                    }
                    _ => text.to_owned(),
                }),
                _ => sorted(value, &str::to_owned),
            };
            (kind, value)
        })
        .collect();
    kinds.into()
}

fn condition(value: Value) -> Value {
    let Value::Object(operators) = value else {
        return value;
    };
    let operators: Map<String, Value> = operators
        .into_iter()
        .map(|(operator, keys)| {
            let keys = match keys {
                Value::Object(keys) => keys
                    .into_iter()
                    .map(|(key, value)| (key.to_lowercase(), sorted(value, &str::to_owned)))
                    .collect::<Map<_, _>>()
                    .into(),
                other => other,
            };
            (operator, keys)
        })
        .collect();
    operators.into()
}

/// A document with one more statement, all else as it stood; none where the text is no document.
pub(super) fn merged(text: Option<&str>, mut added: Value) -> Option<String> {
    let mut policy = match text {
        None => json!({ "Version": "2012-10-17", "Statement": [] }),
        Some(text) => serde_json::from_str(text).ok()?,
    };
    let fields = policy.as_object_mut()?;
    let statements = listed(fields.get("Statement").cloned());
    // Ids are those of one statement each.
    let is_taken = |id: &str| {
        let ids = statements
            .iter()
            .filter_map(|statement| statement.get("Sid"));
        ids.into_iter().any(|taken| taken == id)
    };
    if let Some(id) = added["Sid"].as_str().map(str::to_owned) {
        let free = std::iter::once(id.clone())
            .chain((2..).map(|number| format!("{id}{number}")))
            .find(|id| !is_taken(id));
        added["Sid"] = free.into();
    }
    let mut statements = statements;
    statements.push(added);
    fields.insert("Statement".to_owned(), statements.into());
    Some(policy.to_string())
}

/// Says whether a document denies everything about a bucket to everybody who comes without TLS, with no way around.
pub(super) fn demands_tls(text: &str, bucket: &str) -> bool {
    let policy = compared(text);
    let objects = format!("{bucket}/*");
    listed(policy.get("Statement").cloned())
        .iter()
        .any(|statement| {
            let holds = |name: &str, wanted: &[&str]| {
                let items = statement[name].as_array();
                items.is_some_and(|items| {
                    items
                        .iter()
                        .any(|item| wanted.iter().any(|text| item == text))
                })
            };
            let everybody =
                statement["Principal"] == "*" || statement["Principal"]["AWS"] == json!(["*"]);
            statement["Effect"] == "Deny"
                && everybody
                && holds("Action", &["*", "s3:*"])
                && (holds("Resource", &["*"])
                    || (holds("Resource", &[bucket]) && holds("Resource", &[&objects]))
                    // It begins with the bucket, and so holds for its objects as well.
                    || holds("Resource", &[&format!("{bucket}*")]))
                && statement["Condition"] == json!({ "Bool": { "aws:securetransport": ["false"] } })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: &str = "arn:aws:s3:::logs";

    fn tls(condition: &Value, principal: &Value) -> Value {
        json!({
            "Sid": "tls", "Effect": "Deny", "Principal": principal, "Action": "s3:*",
            "Resource": ["arn:aws:s3:::logs/*", BUCKET], "Condition": condition,
        })
    }

    #[test]
    fn documents_that_say_the_same_compare_as_equal() {
        let one = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},
            "Action":["s3:Get*","S3:ListBucket"],"Resource":"*","Condition":{"Bool":{"aws:SecureTransport":true}}}}"#;
        let two = r#"{"Statement":[{"Action":["s3:listbucket","s3:get*"],"Effect":"Allow","Resource":["*"],
            "Principal":{"AWS":["arn:aws:iam::111122223333:root"]},
            "Condition":{"Bool":{"aws:securetransport":["true"]}}}],"Version":"2012-10-17"}"#;
        assert_eq!(compared(one), compared(two));
        assert_ne!(compared(one), compared(&two.replace("Allow", "Deny")));
        assert_eq!(compared("no json"), json!("no json"));
    }

    #[test]
    fn a_merged_document_holds_what_it_held_and_no_id_twice() {
        let old =
            r#"{"Id":"mine","Statement":[{"Sid":"tls","Effect":"Allow"}],"Version":"2008-10-17"}"#;
        let merged = merged(Some(old), json!({ "Sid": "tls", "Effect": "Deny" })).unwrap();
        assert_eq!(
            merged,
            r#"{"Id":"mine","Statement":[{"Sid":"tls","Effect":"Allow"},{"Sid":"tls2","Effect":"Deny"}],"Version":"2008-10-17"}"#
        );
        assert_eq!(super::merged(Some("[]"), json!({})), None);
    }

    #[test]
    fn only_a_statement_without_a_way_around_demands_tls() {
        let demand = json!({ "Bool": { "aws:SecureTransport": "false" } });
        let document = |statement: Value| json!({ "Statement": [statement] }).to_string();
        let holds = |statement: Value| demands_tls(&document(statement), BUCKET);
        assert!(holds(tls(&demand, &json!("*"))));
        assert!(holds(tls(&demand, &json!({ "AWS": "*" }))));
        let mut more = demand.clone();
        more["StringNotEquals"] = json!({ "aws:PrincipalAccount": "111122223333" });
        assert!(!holds(tls(&more, &json!("*"))));
        assert!(!holds(tls(&demand, &json!({ "AWS": "111122223333" }))));
        let mut without_objects = tls(&demand, &json!("*"));
        without_objects["Resource"] = json!([BUCKET]);
        assert!(!holds(without_objects));
        assert!(!demands_tls("{}", BUCKET));
    }
}
