//! The `teams` step: an adaptive card for the webhook of a Teams workflow.

mod card;

use crate::action::unrendered;
use crate::call::webhook::address;
use crate::http_client::{Answer, Request};
use crate::outside::unfit;
use crate::{ActionError, Attempt, Outside, Performed, neutral};
use bytes::Bytes;
use quench_automations::templates::{self, Escape};
use quench_automations::{ConnectionKind, TeamsStep};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};

/// A card.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Teams {
    /// Connection it goes to.
    pub connection: String,
    /// Heading.
    pub title: String,
    /// The adaptive card.
    pub card: Value,
}

/// Renders a card.
///
/// # Errors
/// Templates that cannot be rendered.
pub fn prepare(step: &TeamsStep, context: &Value) -> Result<Teams, ActionError> {
    let plain = |part: &str, source: &str| {
        templates::render(source, context, Escape::None).map_err(unrendered(part))
    };
    let title = match &step.title {
        Some(title) => plain("title", title)?,
        None => context["finding"]["title"]
            .as_str()
            .unwrap_or("Finding")
            .to_owned(),
    };
    let title = neutral::line(&title, 250);
    let text = step
        .text
        .as_deref()
        .map(|text| templates::render(text, context, Escape::Markdown))
        .transpose()
        .map_err(unrendered("text"))?
        .map(|text| neutral::text(&text));
    Ok(Teams {
        connection: neutral::line(&plain("connection", &step.connection)?, 200),
        card: card::build(&title, text.as_deref(), context),
        title,
    })
}

/// Posts a card.
///
/// # Errors
/// A connection or secret that is missing or unfit; what Teams answers.
pub async fn perform(
    teams: &Teams,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let connection = outside.connection(&teams.connection)?;
    let ConnectionKind::Teams { url } = &connection.kind else {
        return Err(unfit(connection, "Teams"));
    };
    let url = address(outside, url).await?;
    let secret = url.as_str().to_owned();
    let message = json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": teams.card,
        }],
    });
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let request = Request {
        method: Method::POST,
        url,
        headers,
        body: Some(Bytes::from(message.to_string())),
        repeatable: false,
    };
    let answer = outside.http.send(request, attempt.timeout).await?;
    if !answer.succeeded() {
        return Err(answer.refusal(&[&secret]));
    }
    if let Some(error) = error_within(&answer, &secret) {
        return Err(error);
    }
    Ok(Performed {
        summary: format!("card posted to Teams by {}", answer.host),
        output: json!({ "status": answer.status }),
    })
}

/// Teams answers some failures with a status of success and words about them.
fn error_within(answer: &Answer, secret: &str) -> Option<ActionError> {
    let text = answer.text(&[secret]);
    if let Ok(body) = serde_json::from_str::<Value>(&text)
        && let Some(error) = body.get("error").filter(|error| !error.is_null())
    {
        let code = error["code"].as_str().or(error.as_str()).unwrap_or("error");
        return Some(ActionError::permanent(format!(
            "Teams refused the card: {}",
            neutral::line(code, 80)
        )));
    }
    let told = text.split_once("failed with error")?.1;
    let status: Option<u16> = told
        .split(|letter: char| !letter.is_ascii_digit())
        .find(|digits| digits.len() == 3)
        .and_then(|digits| digits.parse().ok());
    let reason = match status {
        Some(status) => format!("Teams could not deliver the card: status {status}"),
        None => "Teams could not deliver the card".to_owned(),
    };
    Some(match status {
        Some(408 | 429 | 500..=599) => ActionError::Transient {
            reason,
            retry_after: answer.retry_after(),
        },
        _ => ActionError::permanent(reason),
    })
}

#[cfg(test)]
mod tests;
