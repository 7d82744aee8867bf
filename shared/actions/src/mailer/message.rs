use super::Sender;
use crate::notify::email::Email;
use crate::{ActionError, neutral};
use base16ct::lower::encode_string as hex;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MessageId, References,
};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

/// A mail as it leaves.
pub(super) struct Composed {
    pub(super) id: String,
    pub(super) bytes: Vec<u8>,
}

/// Composes the mail (RFC 5322, MIME). Its id comes of the key alone, so that receivers can tell a repeated mail.
///
/// Bodies are quoted-printable: whatever the text, no line of it is a line to SMTP.
pub(super) fn compose(
    email: &Email,
    sender: &Sender,
    key: &str,
    now: SystemTime,
) -> Result<Composed, ActionError> {
    let id = format!("<{}@{}>", &digest(key)[..40], sender.domain());
    let mut builder = Message::builder()
        .header(MessageId::from(id.clone()))
        .date(now)
        .from(sender.from.clone())
        .subject(neutral::line(&email.subject, usize::MAX))
        .raw_header(plain("Auto-Submitted", "auto-generated"))
        .raw_header(plain("X-Auto-Response-Suppress", "All"));
    for address in &email.to {
        builder = builder.to(mailbox(address)?);
    }
    for address in &email.cc {
        builder = builder.cc(mailbox(address)?);
    }
    if let Some(run) = &email.run {
        builder = builder.raw_header(plain("X-Quench-Run", &neutral::line(run, 200)));
    }
    if let Some(finding) = &email.finding {
        let thread = format!("<{}.finding@{}>", &digest(finding)[..40], sender.domain());
        builder = builder.header(References::from(thread));
    }
    let text = part(ContentType::TEXT_PLAIN, &email.text)?;
    let message = match &email.html {
        Some(html) => builder.multipart(
            MultiPart::alternative_boundary(key)
                .singlepart(text)
                .singlepart(part(ContentType::TEXT_HTML, html)?),
        ),
        None => builder.singlepart(text),
    };
    let bytes = message.map_err(|error| invalid(&error))?.formatted();
    if has_bare_line_break(&bytes) {
        return Err(ActionError::permanent(
            "mail cannot be composed: it would hold a bare line break",
        ));
    }
    Ok(Composed { id, bytes })
}

trait KeyedBoundary {
    fn alternative_boundary(key: &str) -> lettre::message::MultiPartBuilder;
}

impl KeyedBoundary for MultiPart {
    fn alternative_boundary(key: &str) -> lettre::message::MultiPartBuilder {
        Self::builder()
            .kind(lettre::message::MultiPartKind::Alternative)
            .boundary(format!("part-{}", &digest(key)[40..]))
    }
}

/// SHA-256 in hex.
pub(super) fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn part(kind: ContentType, text: &str) -> Result<SinglePart, ActionError> {
    let text = neutral::text(text);
    let body =
        Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable).map_err(|_| {
            ActionError::permanent("mail cannot be composed: its text cannot be encoded")
        })?;
    Ok(SinglePart::builder().header(kind).body(body))
}

fn plain(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn mailbox(address: &str) -> Result<Mailbox, ActionError> {
    let address = address.parse().map_err(|_| {
        ActionError::permanent(format!(
            "`{}` is no e-mail address",
            neutral::line(address, 80)
        ))
    })?;
    Ok(Mailbox::new(None, address))
}

fn invalid(error: &lettre::error::Error) -> ActionError {
    ActionError::permanent(format!("mail cannot be composed: {error}"))
}

/// Says whether a line break is anything but CR LF.
pub(super) fn has_bare_line_break(bytes: &[u8]) -> bool {
    let mut before = 0;
    for &byte in bytes {
        if (byte == b'\n') != (before == b'\r') {
            return true;
        }
        before = byte;
    }
    before == b'\r'
}

#[cfg(test)]
mod tests;
