//! The `lambda` step: an invocation of a function.

use super::webhook::told;
use crate::action::unrendered;
use crate::aws::{Answer, Limits, Repeat, Request, Service};
use crate::cloud::{Cloud, Place, account_of, chosen, refusal, run_of};
use crate::{ActionError, Attempt, Context, Outside, Performed, neutral};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use quench_automations::{LambdaStep, templates};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};

/// Most bytes of a payload that is answered, and of one that is not (developer guide of Lambda, "Lambda quotas").
const ANSWERED: usize = 6 * 1024 * 1024;
const DETACHED: usize = 1024 * 1024;
/// Most bytes of an answer that are kept.
const KEPT: usize = 64 * 1024;

/// The IAM actions that it needs.
pub const PERMISSIONS: &[&str] = &["lambda:InvokeFunction"];

/// An invocation to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lambda {
    /// Name of the function, or its ARN without version and alias.
    pub function: String,
    /// Version or alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    /// What it is called with.
    pub payload: Value,
    /// Whether its answer is not waited for.
    pub detached: bool,
    /// The run that it belongs to.
    #[serde(skip)]
    pub run: String,
}

/// Renders a step.
///
/// # Errors
/// Templates that cannot be rendered, a function that the finding would choose, a payload that is too large.
pub fn prepare(step: &LambdaStep, context: &Context) -> Result<Lambda, ActionError> {
    let function = chosen("function", &step.function, context)?;
    let qualifier = step.qualifier.as_deref();
    let qualifier = qualifier.map(|qualifier| chosen("qualifier", qualifier, context));
    let (function, within) = parts(&function).ok_or_else(|| {
        ActionError::permanent(format!(
            "`{}` is no name or ARN of a function",
            neutral::line(&function, 160)
        ))
    })?;
    let qualifier = match (qualifier.transpose()?, within) {
        (Some(_), Some(_)) => {
            return Err(ActionError::permanent(
                "`function` names a version or alias already; leave out `qualifier`",
            ));
        }
        (Some(qualifier), None) | (None, Some(qualifier)) => Some(qualifier),
        (None, None) => None,
    };
    if let Some(qualifier) = qualifier.as_deref().filter(|text| !is_qualifier(text)) {
        return Err(ActionError::permanent(format!(
            "`{}` is no version or alias of a function",
            neutral::line(qualifier, 80)
        )));
    }
    let payload = match &step.payload {
        Some(payload) => {
            templates::render_json(payload, &context.all).map_err(unrendered("payload"))?
        }
        None => told(&context.all["finding"]),
    };
    let most = if step.detached { DETACHED } else { ANSWERED };
    let length = payload.to_string().len();
    if length > most {
        return Err(ActionError::permanent(format!(
            "`payload` has {length} bytes, and Lambda takes {most}"
        )));
    }
    Ok(Lambda {
        function,
        qualifier,
        payload,
        detached: step.detached,
        run: run_of(context),
    })
}

/// A function, and the version or alias that its ARN ends with (API reference of Lambda, `Invoke`).
fn parts(function: &str) -> Option<(String, Option<String>)> {
    let plain = |name: &str| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if !function.contains(':') {
        return plain(function).then(|| (function.to_owned(), None));
    }
    let parts: Vec<&str> = function.split(':').collect();
    match parts[..] {
        [
            "arn",
            partition,
            "lambda",
            region,
            account,
            "function",
            name,
            ref rest @ ..,
        ] if partition.starts_with("aws") && plain(name) && rest.len() <= 1 => {
            Place::checked(account.to_owned(), region.to_owned()).ok()?;
            let function = parts[..7].join(":");
            Some((function, rest.first().map(|&rest| rest.to_owned())))
        }
        _ => None,
    }
}

fn is_qualifier(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte))
}

/// Invokes it; an invocation cannot be told from its repetition but by the function itself, which reads `quench.key` of
/// the client's context.
///
/// # Errors
/// What Lambda answers, and [`ActionError::Permanent`] where the function fails.
pub async fn perform(
    lambda: &Lambda,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let cloud = outside.cloud()?;
    let place = lambda.place(cloud).await?;
    let policy = |_: &str| lambda.policy();
    let aws = cloud.call(&place, policy, &lambda.run).await?;
    let aws = aws.with_limits(Limits {
        attempt: attempt.timeout,
        total: attempt.timeout,
        answer: ANSWERED + 64 * 1024,
        ..Limits::default()
    });
    let path = ["2015-03-31", "functions", &lambda.function, "invocations"];
    let mut request = Request::new(Method::POST, &path).with_repeat(Repeat::Never);
    if let Some(qualifier) = &lambda.qualifier {
        request = request.with_query("Qualifier", qualifier);
    }
    let kind = match lambda.detached {
        true => "Event",
        false => "RequestResponse",
    };
    let header = |name: &'static str| HeaderName::from_static(name);
    let headers = &mut request.headers;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header("x-amz-invocation-type"),
        HeaderValue::from_static(kind),
    );
    // Lambda hands it to functions that are waited for only.
    if !lambda.detached {
        let told = json!({ "custom": {
            "quench.key": super::derived(attempt),
            "quench.run": lambda.run,
            "quench.attempt": attempt.number.to_string(),
        } });
        let told = STANDARD.encode(told.to_string());
        let told = HeaderValue::try_from(told).expect("base64 fits a header");
        headers.insert(header("x-amz-client-context"), told);
    }
    request.body = Bytes::from(lambda.payload.to_string());
    let answer = aws.send(Service::Lambda, "Invoke", request).await;
    let answer = answer.map_err(|error| match error.code() {
        // It is being made, or woken up.
        Some(
            "ResourceConflictException"
            | "ResourceNotReadyException"
            | "SnapStartNotReadyException",
        ) => ActionError::transient(error.to_string()),
        _ => refusal(&error, PERMISSIONS[0], false),
    })?;
    lambda.outcome(&answer)
}

impl Lambda {
    /// The function's account and region; those of the own credentials for one that is named without.
    async fn place(&self, cloud: &Cloud) -> Result<Place, ActionError> {
        match account_of(&self.function) {
            Some((account, region)) => Place::checked(account.to_owned(), region.to_owned()),
            None => {
                let own = cloud.caller().await?.account.clone();
                Place::checked(own, cloud.region().to_owned())
            }
        }
    }

    fn policy(&self) -> Value {
        let function = &self.function;
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Action": PERMISSIONS,
                "Resource": [function, format!("{function}:*")],
            }],
        })
    }

    fn name(&self) -> &str {
        self.function.rsplit(':').next().unwrap_or(&self.function)
    }

    fn outcome(&self, answer: &Answer) -> Result<Performed, ActionError> {
        let text = |name: &str| answer.headers.get(name)?.to_str().ok();
        let request = text("x-amzn-requestid").map(|id| neutral::line(id, 100));
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let name = self.name();
        if let Some(kind) = text("x-amz-function-error") {
            // Its message and its trace may hold anything that the function knows.
            let error = json.as_ref().and_then(|json| json["errorType"].as_str());
            let error = neutral::line(error.unwrap_or(kind), 100);
            let logged = request.map_or_else(String::new, |id| {
                format!("; its log tells more of request `{id}`")
            });
            return Err(ActionError::permanent(format!(
                "function `{name}` failed with `{error}`{logged}"
            )));
        }
        let whole = answer.body.len() <= KEPT;
        let body = String::from_utf8_lossy(&answer.body);
        Ok(Performed {
            summary: match self.detached {
                true => format!("function `{name}` will be invoked"),
                false => format!("function `{name}` answered"),
            },
            output: json!({
                "status": answer.status,
                "request": request,
                "version": text("x-amz-executed-version"),
                "body": if whole && json.is_none() { Value::from(body.as_ref()) } else { Value::Null },
                "json": json.filter(|_| whole),
                "whole": whole,
            }),
        })
    }
}
