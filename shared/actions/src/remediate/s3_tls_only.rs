//! Lets a bucket be reached over TLS alone, by one more statement of its policy.

use super::api::Api;
use super::fault::Fault;
use super::parameters::Parameters;
use super::plan::Plan;
use super::{Desired, policy};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

pub(super) const DEPTH: usize = 0;

const ABSENT: &[&str] = &["NoSuchBucketPolicy"];
/// Largest policy of a bucket, in bytes (user guide of S3, "Bucket policies").
const LARGEST: usize = 20 * 1024;

/// `policy` is the document letter by letter; null where there is none.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let answer = api
        .bucket("s3:GetBucketPolicy", Method::GET, "policy", None, ABSENT)
        .await?;
    let policy = answer
        .map(|answer| String::from_utf8(answer.body.to_vec()))
        .transpose()
        .map_err(|error| Fault::Refused(format!("policy of the bucket is no text: {error}")))?;
    Ok(json!({ "policy": policy }))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    _: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let (text, arn) = (state["policy"].as_str(), &api.target.arn);
    if text.is_some_and(|text| policy::demands_tls(text, arn)) {
        let why = "its policy denies requests without TLS".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let statement = json!({
        "Sid": "QuenchDenyInsecureTransport",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, format!("{arn}/*")],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    });
    let merged = policy::merged(text, statement);
    let merged = merged.ok_or_else(|| {
        Fault::Unsupported(format!("policy of {} is no object of JSON", api.target))
    })?;
    if merged.len() > LARGEST {
        return Err(Fault::Unsupported(format!(
            "policy of {} would have {} bytes, and a bucket takes {LARGEST}",
            api.target,
            merged.len()
        )));
    }
    Ok(Desired::State {
        after: json!({ "policy": merged }),
        warnings: vec!["clients that use plain HTTP are turned away".to_owned()],
    })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    _: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let (action, method, body) = match to["policy"].as_str() {
        Some(policy) => {
            let body = Some(("application/json", policy.to_owned()));
            ("s3:PutBucketPolicy", Method::PUT, body)
        }
        None => ("s3:DeleteBucketPolicy", Method::DELETE, None),
    };
    api.bucket(action, method, "policy", body, &[]).await?;
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "policy": state["policy"].as_str().map(policy::compared) })
}
