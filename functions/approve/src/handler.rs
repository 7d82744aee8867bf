use aws_lambda_events::event::apigw::{
    ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequest, ApiGatewayV2httpResponse,
};
use lambda_runtime::LambdaEvent;
use quench_app::approval::answer;
use quench_app::manual::{Caller, Request};
use quench_app::{Answer, App};
use quench_batch::http::{body, response};
use quench_batch::invocation;
use std::convert::Infallible;

/// Answers a request to `/approvals/{token}` or `/approvals/{id}/decision`.
///
/// # Errors
/// None: whatever goes wrong is an answer.
pub async fn handle(
    app: &App,
    event: LambdaEvent<ApiGatewayV2httpRequest>,
) -> Result<ApiGatewayV2httpResponse, Infallible> {
    let answered = invocation(app, &event.context, async |app| {
        request(app, &event.payload)
            .await
            .unwrap_or_else(|refused| refused)
    });
    Ok(response(&answered.await))
}

async fn request(app: &App, event: &ApiGatewayV2httpRequest) -> Result<Answer, Answer> {
    let context = &event.request_context;
    let caller = context.authorizer.as_ref().and_then(caller);
    let request = Request {
        method: context.http.method.as_str(),
        path: event.raw_path.as_deref().unwrap_or_default(),
        headers: &event.headers,
        body: &body(event)?,
        caller: caller.as_ref(),
    };
    Ok(answer(app, &request).await)
}

/// Who asks, as the gateway has found.
fn caller(authorizer: &ApiGatewayRequestAuthorizer) -> Option<Caller> {
    if let Some(token) = &authorizer.jwt {
        return Caller::bearer(|claim| token.claims.get(claim).map(String::as_str));
    }
    let arn = authorizer.iam.as_ref()?.user_arn.clone()?;
    Some(Caller::Principal { arn })
}

#[cfg(test)]
mod tests;
