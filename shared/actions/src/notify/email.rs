//! The `email` step.

mod plain;

use super::layout;
use crate::action::unrendered;
use crate::{ActionError, Attempt, Context, Outside, Performed, neutral};
use lettre::Address;
use quench_automations::EmailStep;
use quench_automations::templates::{self, Escape};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

const FINDING_TEXT: &str = include_str!("email/finding.txt");
const FINDING_HTML: &str = include_str!("email/finding.html");
const FINDING: &str = "finding";
pub(super) const SUBJECT_LIMIT: usize = 200;
/// Most recipients of one mail, the limit of Amazon SES.
pub const RECIPIENT_LIMIT: usize = 50;

/// A mail, without what the mailer adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Email {
    /// Recipients.
    pub to: Vec<String>,
    /// Recipients of copies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    /// Whether the recipients were read from the finding, which who causes findings may be able to write.
    pub recipients_from_finding: bool,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Run that sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Finding it is about; mails about one finding belong to one thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// Renders a mail.
///
/// # Errors
/// Templates that cannot be rendered, recipients that are no addresses or too many or none, an unknown layout.
pub fn prepare(step: &EmailStep, context: &Context) -> Result<Email, ActionError> {
    let own = |template: &Value| context.is_own(template);
    let recipients_from_finding = !own(&step.to) || !step.cc.as_ref().is_none_or(own);
    let context = &context.all;
    let to = addresses("to", &step.to, context)?;
    let mut cc = match &step.cc {
        Some(cc) => addresses("cc", cc, context)?,
        None => Vec::new(),
    };
    cc.retain(|address| !to.contains(address));
    if to.is_empty() {
        return Err(ActionError::permanent("`to` names nobody"));
    }
    if to.len() + cc.len() > RECIPIENT_LIMIT {
        return Err(ActionError::permanent(format!(
            "a mail goes to {RECIPIENT_LIMIT} recipients at most, not to {}",
            to.len() + cc.len()
        )));
    }
    let subject =
        templates::render(&step.subject, context, Escape::None).map_err(unrendered("subject"))?;
    let (text, html) = bodies(step, context)?;
    let name = |of: &str| {
        let id = context.get(of)?.get("id")?.as_str()?;
        Some(neutral::line(id, 1000)).filter(|id| !id.is_empty())
    };
    Ok(Email {
        recipients_from_finding,
        to,
        cc,
        subject: neutral::line(&subject, SUBJECT_LIMIT),
        text: neutral::text(&text),
        html: html.map(|html| neutral::text(&html)),
        run: name("run"),
        finding: name("finding"),
    })
}

/// Sends a mail.
///
/// # Errors
/// What the mailer reports; and recipients from the finding in a domain that the mailer does not allow for that.
pub async fn perform(
    email: &Email,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    outside.mailer.send(email, &outside.secrets, attempt).await
}

/// Who is meant by a template of recipients, and whether that was read from the finding.
///
/// # Errors
/// The template cannot be rendered, or yields what is no address, or too many.
pub fn recipients(
    part: &str,
    template: &Value,
    context: &Context,
) -> Result<(Vec<String>, bool), ActionError> {
    let to = addresses(part, template, &context.all)?;
    if to.len() > RECIPIENT_LIMIT {
        return Err(ActionError::permanent(format!(
            "`{part}` names {} people; at most {RECIPIENT_LIMIT} are asked",
            to.len()
        )));
    }
    Ok((to, !context.is_own(template)))
}

fn bodies(step: &EmailStep, context: &Value) -> Result<(String, Option<String>), ActionError> {
    let own = (step.text.as_deref(), step.html.as_deref());
    let mut context = Cow::Borrowed(context);
    let (text, html) = match (step.template.as_deref(), own) {
        (Some(FINDING) | None, (None, None)) => {
            // A name that only the built-in layout knows.
            let source = layout::source(&context);
            context.to_mut()["source_name"] = source.into();
            (Some(FINDING_TEXT), Some(FINDING_HTML))
        }
        (None, own) => own,
        (Some(FINDING), _) => {
            return Err(ActionError::permanent(
                "`template` excludes `text` and `html`",
            ));
        }
        (Some(other), _) => {
            return Err(ActionError::permanent(format!(
                "there is no layout `{other}` for mail; there is `{FINDING}`"
            )));
        }
    };
    let html = html
        .map(|html| templates::render(html, &context, Escape::Html))
        .transpose()
        .map_err(unrendered("html"))?;
    let text = match (text, &html) {
        (Some(text), _) => {
            templates::render(text, &context, Escape::None).map_err(unrendered("text"))?
        }
        (None, Some(html)) => plain::from_html(html),
        (None, None) => String::new(),
    };
    Ok((text, html))
}

fn addresses(part: &str, template: &Value, context: &Value) -> Result<Vec<String>, ActionError> {
    let rendered = templates::render_json(template, context).map_err(unrendered(part))?;
    let mut found: Vec<String> = Vec::new();
    collect(part, &rendered, &mut found)?;
    Ok(found)
}

fn collect(part: &str, value: &Value, found: &mut Vec<String>) -> Result<(), ActionError> {
    match value {
        Value::Null => Ok(()),
        Value::String(text) => {
            for one in text.split([',', ';']).map(str::trim) {
                if one.is_empty() {
                    continue;
                }
                let address = address(one).map_err(|shown| {
                    ActionError::permanent(format!("`{part}`: `{shown}` is no e-mail address"))
                })?;
                if !found
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(&address))
                {
                    found.push(address);
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| collect(part, item, found)),
        other => Err(ActionError::permanent(format!(
            "`{part}`: an e-mail address or a list of them is needed, not `{}`",
            neutral::line(&other.to_string(), 80)
        ))),
    }
}

/// Accepts bare ASCII addresses only, none that needs quotes; the error is the text, fit to be shown.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let plain = text
        .chars()
        .all(|letter| letter.is_ascii_graphic() && !r#""<>()[]\,;:"#.contains(letter));
    if !plain || text.len() > 254 {
        return Err(neutral::line(text, 80));
    }
    match text.parse::<Address>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(neutral::line(text, 80)),
    }
}

#[cfg(test)]
mod tests;
