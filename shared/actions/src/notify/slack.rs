//! The `slack` step.

mod layout;

use crate::action::unrendered;
use crate::call::http::bearer;
use crate::call::webhook::address;
use crate::http_client::{Answer, Request};
use crate::outside::unfit;
use crate::{ActionError, Attempt, Outside, Performed, neutral};
use bytes::Bytes;
use quench_automations::templates::{self, Escape};
use quench_automations::{ConnectionKind, SlackStep};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

const API: &str = "https://slack.com/api/";
/// Slack cuts longer messages itself, in the middle of an escape if need be.
const TEXT_LIMIT: usize = 12_000;

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slack {
    /// Connection it goes to.
    pub connection: String,
    /// Channel, for a bot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The message in Slack's `mrkdwn`; with blocks, what notifications show.
    pub text: String,
    /// The built-in layout of a finding, in Slack's Block Kit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Value>,
}

/// Renders a message.
///
/// # Errors
/// Templates that cannot be rendered.
pub fn prepare(step: &SlackStep, context: &Value) -> Result<Slack, ActionError> {
    let plain = |part: &str, source: &str| {
        templates::render(source, context, Escape::None)
            .map(|text| neutral::line(&text, 200))
            .map_err(unrendered(part))
    };
    let (text, blocks) = match &step.text {
        Some(text) => {
            let text =
                templates::render(text, context, Escape::Slack).map_err(unrendered("text"))?;
            (neutral::text(&text), None)
        }
        None => layout::finding(context)?,
    };
    let channel = step
        .channel
        .as_deref()
        .map(|channel| plain("channel", channel))
        .transpose()?;
    Ok(Slack {
        connection: plain("connection", &step.connection)?,
        channel: channel.filter(|channel| !channel.is_empty()),
        text: cut(&text),
        blocks,
    })
}

/// Cuts a long message at the end of a line or word, so that no escape is cut in two.
fn cut(text: &str) -> String {
    let Some((limit, _)) = text.char_indices().nth(TEXT_LIMIT) else {
        return text.to_owned();
    };
    let kept = &text[..limit];
    let end = kept.rfind(char::is_whitespace).unwrap_or_else(|| {
        // One word of that length is an attack or a blob; before its last escape is as good as anywhere.
        kept.rfind('&').unwrap_or(limit)
    });
    format!("{}…", &kept[..end])
}

/// Posts a message.
///
/// # Errors
/// A connection or secret that is missing or unfit; what Slack answers.
pub async fn perform(
    slack: &Slack,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let connection = outside.connection(&slack.connection)?;
    let mut message = json!({
        "text": slack.text,
        "mrkdwn": true,
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if let Some(blocks) = &slack.blocks {
        message["blocks"] = blocks.clone();
    }
    match &connection.kind {
        ConnectionKind::SlackHook { url } => {
            if slack.channel.is_some() {
                return Err(ActionError::permanent(format!(
                    "connection `{}` is a hook, which posts to its own channel; leave out `channel`",
                    connection.name
                )));
            }
            let url = address(outside, url).await?;
            let secret = url.as_str().to_owned();
            let answer = post(outside, attempt, url, HeaderMap::new(), &message).await?;
            posted_by_hook(&answer, &secret)
        }
        ConnectionKind::SlackBot { token, url } => {
            let Some(channel) = &slack.channel else {
                return Err(ActionError::permanent(format!(
                    "connection `{}` is a bot, which needs `channel`",
                    connection.name
                )));
            };
            message["channel"] = json!(channel);
            let token = outside.secrets.resolve(token).await?;
            let base = url.as_deref().unwrap_or(API);
            let url = Url::parse(&format!("{}/chat.postMessage", base.trim_end_matches('/')))
                .map_err(|error| {
                    ActionError::permanent(format!(
                        "address of connection `{}` is not valid: {error}",
                        connection.name
                    ))
                })?;
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, bearer(&token)?);
            let answer = post(outside, attempt, url, headers, &message).await?;
            posted_by_bot(&answer, channel, token.expose_secret())
        }
        _ => Err(unfit(connection, "Slack")),
    }
}

async fn post(
    outside: &Outside,
    attempt: &Attempt,
    url: Url,
    mut headers: HeaderMap,
    message: &Value,
) -> Result<Answer, ActionError> {
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    let request = Request {
        method: Method::POST,
        url,
        headers,
        body: Some(Bytes::from(message.to_string())),
        repeatable: false,
    };
    outside.http.send(request, attempt.timeout).await
}

/// A hook says `ok` and nothing else; its errors have a status of their own.
fn posted_by_hook(answer: &Answer, secret: &str) -> Result<Performed, ActionError> {
    if !answer.succeeded() {
        return Err(answer.refusal(&[secret]));
    }
    let text = answer.text(&[secret]);
    match text.trim() {
        "ok" => Ok(Performed {
            summary: format!("message posted to Slack by {}", answer.host),
            output: json!({ "status": answer.status, "channel": null, "ts": null }),
        }),
        _ if !answer.whole || text.trim().is_empty() => Err(doubtful(answer)),
        _ => Err(error_in(&text).map_or_else(
            || {
                ActionError::permanent(format!(
                    "`{}` does not answer as Slack does; is it the address of a hook?",
                    answer.host
                ))
            },
            |code| by_code(&code, answer),
        )),
    }
}

fn posted_by_bot(answer: &Answer, channel: &str, secret: &str) -> Result<Performed, ActionError> {
    if !answer.succeeded() {
        return Err(answer.refusal(&[secret]));
    }
    let text = answer.text(&[secret]);
    let Ok(body) = serde_json::from_str::<Value>(&text) else {
        if !answer.whole || text.trim().is_empty() {
            return Err(doubtful(answer));
        }
        return Err(ActionError::permanent(format!(
            "`{}` does not answer as Slack's API does",
            answer.host
        )));
    };
    if body["ok"] == json!(true) {
        return Ok(Performed {
            summary: format!("message posted to Slack channel {channel}"),
            output: json!({
                "status": answer.status,
                "channel": body["channel"],
                "ts": body["ts"],
            }),
        });
    }
    Err(match error_in(&text) {
        Some(code) => by_code(&code, answer),
        None if answer.whole => {
            ActionError::permanent("Slack refused the message and named no error")
        }
        None => doubtful(answer),
    })
}

fn doubtful(answer: &Answer) -> ActionError {
    ActionError::unknown(format!(
        "`{}` answered {} without saying whether the message is posted",
        answer.host, answer.status
    ))
}

/// The error that a JSON answer of Slack names.
fn error_in(text: &str) -> Option<String> {
    let body: Value = serde_json::from_str(text).ok()?;
    Some(neutral::line(body.get("error")?.as_str()?, 80))
}

/// Classes the errors of `chat.postMessage` by what Slack's documentation says of them.
fn by_code(code: &str, answer: &Answer) -> ActionError {
    let reason = format!("Slack refused the message: {code}");
    match code {
        "ratelimited"
        | "rate_limited"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => ActionError::Transient {
            reason,
            retry_after: answer.retry_after(),
        },
        // "It's possible some aspect of the operation succeeded before the error was raised."
        "internal_error" | "fatal_error" => ActionError::unknown(reason),
        _ => ActionError::permanent(reason),
    }
}

#[cfg(test)]
mod tests;
