//! Requests to an HTTP API, and answers to them.

use aws_lambda_events::event::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::http::HeaderValue;
use quench_app::{Answer, request_body};

/// The body of a request to an HTTP API, byte for byte.
///
/// # Errors
/// It is not what the gateway says; the answer tells so.
pub fn body(request: &ApiGatewayV2httpRequest) -> Result<Vec<u8>, Answer> {
    request_body(request.body.as_deref(), request.is_base64_encoded)
}

/// Writes an answer as an HTTP API takes it (payload format 2.0).
pub fn response(answer: &Answer) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = answer.status.into();
    for (name, value) in &answer.headers {
        // What would break a header apart is left out of it.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers.insert(*name, value);
        }
    }
    response.body = answer.body.is_some().then(|| answer.text().into());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_has_the_form_that_the_gateway_understands() {
        let answer = Answer::json(202, json!({"accepted": 1})).with("location", "/runs/1");
        let response = serde_json::to_value(response(&answer)).unwrap();
        assert_eq!(response["statusCode"], 202);
        assert_eq!(response["headers"]["content-type"], "application/json");
        assert_eq!(response["headers"]["location"], "/runs/1");
        assert_eq!(response["body"], r#"{"accepted":1}"#);
        assert_eq!(response["isBase64Encoded"], false);
    }

    #[test]
    fn an_answer_without_a_body_says_nothing_of_one() {
        let response = serde_json::to_value(response(&Answer::empty(204))).unwrap();
        assert_eq!(response["statusCode"], 204);
        assert_eq!(response.get("body"), None);
    }
}
