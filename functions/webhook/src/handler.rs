use aws_lambda_events::event::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_runtime::LambdaEvent;
use quench_app::webhook::{Request, receive};
use quench_app::{Answer, App};
use quench_batch::http::{body, response};
use quench_batch::invocation;
use std::convert::Infallible;

/// Answers a request to `/webhook/{sender}`.
///
/// # Errors
/// None: whatever goes wrong is an answer.
pub async fn handle(
    app: &App,
    event: LambdaEvent<ApiGatewayV2httpRequest>,
) -> Result<ApiGatewayV2httpResponse, Infallible> {
    let answer = invocation(app, &event.context, async |app| {
        answer(app, &event.payload)
            .await
            .unwrap_or_else(|refused| refused)
    });
    Ok(response(&answer.await))
}

async fn answer(app: &App, event: &ApiGatewayV2httpRequest) -> Result<Answer, Answer> {
    let body = body(event)?;
    let sender = event.path_parameters.get("sender");
    let request = Request {
        method: event.request_context.http.method.as_str(),
        sender: sender.map(String::as_str).unwrap_or_default(),
        headers: &event.headers,
        body: &body,
    };
    Ok(receive(app, &request).await)
}

#[cfg(test)]
mod tests;
