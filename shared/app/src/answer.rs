use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

const PAGE: &str = "text/html; charset=utf-8";

/// What a door answers to an HTTP request, whoever carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, with their values; the content type is among them where there is a body.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, or nothing; the text of a page where the content type is that of pages.
    pub body: Option<Value>,
}

impl Answer {
    /// Answers with JSON.
    pub fn json(status: u16, body: Value) -> Answer {
        Answer {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: Some(body),
        }
    }

    /// Answers with a page for people, in HTML.
    pub fn page(status: u16, html: String) -> Answer {
        Answer {
            status,
            headers: vec![("content-type", PAGE.to_owned())],
            body: Some(Value::String(html)),
        }
    }

    /// Answers with nothing but a status.
    pub fn empty(status: u16) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Answers with a problem in the form of RFC 9457; `more` are members of it besides.
    pub fn problem(status: u16, title: &str, detail: Option<&str>, more: Value) -> Answer {
        let mut body = json!({"title": title, "status": status});
        if let Some(detail) = detail {
            body["detail"] = json!(detail);
        }
        if let Value::Object(more) = more {
            for (name, value) in more {
                body[name] = value;
            }
        }
        Answer {
            status,
            headers: vec![("content-type", "application/problem+json".to_owned())],
            body: Some(body),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| *known == name)?;
        Some(value)
    }

    /// The body as it goes over the line.
    pub fn text(&self) -> String {
        match &self.body {
            Some(Value::String(html)) if self.header("content-type") == Some(PAGE) => html.clone(),
            Some(body) => body.to_string(),
            None => String::new(),
        }
    }
}

/// The body of a request, byte for byte, from the text in which a gateway hands it over.
///
/// # Errors
/// It is said to be base64 and is not; the answer tells so.
pub fn request_body(text: Option<&str>, is_base64: bool) -> Result<Vec<u8>, Answer> {
    let text = text.unwrap_or_default();
    if !is_base64 {
        return Ok(text.as_bytes().to_vec());
    }
    BASE64.decode(text).map_err(|_| {
        let detail = Some("the body is no base64");
        Answer::problem(400, "not understood", detail, json!({}))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_the_sender_sent_whichever_way_the_gateway_writes_it() {
        assert_eq!(request_body(None, false).unwrap(), b"");
        assert_eq!(request_body(Some("e30="), false).unwrap(), b"e30=");
        assert_eq!(request_body(Some("e30="), true).unwrap(), b"{}");
        assert_eq!(request_body(Some("/w=="), true).unwrap(), [0xff]);
        for wrong in ["e30", "{}", "e30=e30="] {
            assert_eq!(request_body(Some(wrong), true).unwrap_err().status, 400);
        }
    }

    #[test]
    fn a_problem_names_itself_its_status_and_what_to_look_at() {
        let answer = Answer::problem(400, "not a finding", None, json!({"errors": [1]}))
            .with("retry-after", "5");
        assert_eq!(
            answer.text(),
            r#"{"title":"not a finding","status":400,"errors":[1]}"#
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(Answer::empty(204).text(), "");
    }

    #[test]
    fn a_page_goes_over_the_line_as_it_is_and_other_text_as_json() {
        let html = "<p>\"yes\"</p>";
        let page = Answer::page(200, html.to_owned());
        assert_eq!(page.text(), html);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(Answer::json(200, json!("yes")).text(), r#""yes""#);
    }
}
