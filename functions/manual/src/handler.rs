use aws_lambda_events::event::apigw::{ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequest};
use lambda_runtime::{Diagnostic, LambdaEvent};
use quench_app::manual::{Asked, Caller, ManualError, PressError, Request};
use quench_app::manual::{answer, custom_action, invoked};
use quench_app::{Answer, App};
use quench_batch::http::{body, response};
use quench_batch::invocation;
use serde_json::{Value, json};

/// Why an invocation failed, by a name that programs can tell apart.
#[derive(Debug)]
pub struct Failed {
    name: &'static str,
    reason: String,
}

impl From<Failed> for Diagnostic {
    fn from(failed: Failed) -> Diagnostic {
        Diagnostic {
            error_type: failed.name.into(),
            error_message: failed.reason,
        }
    }
}

impl From<ManualError> for Failed {
    fn from(error: ManualError) -> Failed {
        let (name, reason) = (error.name(), error.to_string());
        Failed { name, reason }
    }
}

impl From<PressError> for Failed {
    fn from(error: PressError) -> Failed {
        let (name, reason) = (error.name(), error.to_string());
        Failed { name, reason }
    }
}

/// Does what is asked for, in one of three ways: a request that an HTTP API hands over, a custom action that the event
/// bus hands over, or an invocation that says directly what is wanted.
///
/// # Errors
/// The custom action or the invocation cannot be done; a request over HTTP is always answered.
pub async fn handle(app: &App, event: LambdaEvent<Value>) -> Result<Value, Failed> {
    let LambdaEvent { payload, context } = event;
    invocation(app, &context, async |app| {
        if payload.pointer("/requestContext/http").is_some() {
            let answer = request(app, payload).await;
            Ok(json!(response(&answer.unwrap_or_else(|refused| refused))))
        } else if payload.get("detail-type").is_some() {
            let payload = payload.to_string();
            Ok(json!(custom_action(app, payload.as_bytes()).await?))
        } else {
            let asked = Asked::read(&payload)?;
            Ok(invoked(app, &asked, &context.request_id).await?)
        }
    })
    .await
}

async fn request(app: &App, payload: Value) -> Result<Answer, Answer> {
    let event: ApiGatewayV2httpRequest = serde_json::from_value(payload).map_err(|error| {
        let detail = Some(error.to_string());
        Answer::problem(400, "not understood", detail.as_deref(), json!({}))
    })?;
    let context = &event.request_context;
    let caller = context.authorizer.as_ref().and_then(caller);
    let request = Request {
        method: context.http.method.as_str(),
        path: event.raw_path.as_deref().unwrap_or_default(),
        headers: &event.headers,
        body: &body(&event)?,
        caller: caller.as_ref(),
    };
    Ok(answer(app, &request).await)
}

fn caller(authorizer: &ApiGatewayRequestAuthorizer) -> Option<Caller> {
    if let Some(token) = &authorizer.jwt {
        return Caller::bearer(|claim| token.claims.get(claim).map(String::as_str));
    }
    let arn = authorizer.iam.as_ref()?.user_arn.clone()?;
    Some(Caller::Principal { arn })
}

#[cfg(test)]
mod tests;
