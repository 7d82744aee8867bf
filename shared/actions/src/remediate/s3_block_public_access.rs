//! Blocks public access to a bucket, or to all buckets of an account.

use super::Desired;
use super::api::{Api, xml};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::target::Kind;
use crate::aws::{Answer, Element};
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(super) const DEPTH: usize = 0;

const FLAGS: [&str; 4] = [
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
];
const ABSENT: &[&str] = &["NoSuchPublicAccessBlockConfiguration"];
const PATH: &[&str] = &["v20180820", "configuration", "publicAccessBlock"];
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
const ACCOUNT_NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";

#[derive(Deserialize)]
struct Told {
    even_website: bool,
}

/// `block` is null where there is none; a website is looked for only where it matters.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    if api.target.kind == Kind::Account {
        let action = "s3:GetAccountPublicAccessBlock";
        let found = api.all_buckets(action, Method::GET, PATH, None, ABSENT);
        return Ok(json!({ "block": block(found.await?)? }));
    }
    let action = "s3:GetBucketPublicAccessBlock";
    let found = api.bucket(action, Method::GET, "publicAccessBlock", None, ABSENT);
    let block = block(found.await?)?;
    let none = &["NoSuchWebsiteConfiguration"];
    let website = api
        .bucket("s3:GetBucketWebsite", Method::GET, "website", None, none)
        .await?;
    Ok(json!({ "block": block, "website": website.is_some() }))
}

fn block(answer: Option<Answer>) -> Result<Value, Fault> {
    let Some(answer) = answer else {
        return Ok(Value::Null);
    };
    let root: Element = xml(&answer)?;
    let flags: Map<String, Value> = FLAGS
        .into_iter()
        .map(|flag| {
            let on = root.text_at(flag) == Some("true");
            (flag.to_owned(), on.into())
        })
        .collect();
    Ok(flags.into())
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    if FLAGS.iter().all(|flag| state["block"][flag] == true) {
        let why = "all public access is blocked already".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let website = state["website"] == true;
    if website && !told.even_website {
        return Err(Fault::Guard(format!(
            "{} serves a website, which would be gone; set `even_website` if it shall be",
            api.target
        )));
    }
    let mut after = state.clone();
    after["block"] = FLAGS
        .into_iter()
        .map(|flag| (flag.to_owned(), Value::Bool(true)))
        .collect::<Map<_, _>>()
        .into();
    let mut warnings = Vec::new();
    if website {
        warnings.push("the website that the bucket serves can no longer be read".to_owned());
    }
    if api.target.kind == Kind::Account {
        warnings.push("it holds for every bucket of the account, in all regions".to_owned());
    }
    Ok(Desired::State { after, warnings })
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    _: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let (method, body) = match &to["block"] {
        Value::Object(flags) => {
            let flags: String = FLAGS
                .iter()
                .map(|flag| {
                    format!(
                        "<{flag}>{}</{flag}>",
                        flags.get(*flag) == Some(&json!(true))
                    )
                })
                .collect();
            let name = "PublicAccessBlockConfiguration";
            let namespace = match api.target.kind {
                Kind::Account => ACCOUNT_NAMESPACE,
                _ => NAMESPACE,
            };
            let body = format!("<{name} xmlns=\"{namespace}\">{flags}</{name}>");
            (Method::PUT, Some(("application/xml", body)))
        }
        _ => (Method::DELETE, None),
    };
    // Both methods need the same action.
    match api.target.kind {
        Kind::Account => {
            let action = "s3:PutAccountPublicAccessBlock";
            api.all_buckets(action, method, PATH, body, &[]).await?
        }
        _ => {
            let action = "s3:PutBucketPublicAccessBlock";
            api.bucket(action, method, "publicAccessBlock", body, &[])
                .await?
        }
    };
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "block": state["block"] })
}
