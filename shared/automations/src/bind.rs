use crate::address::{check_email, check_url};
use crate::duration::parse_duration;
use crate::nearest::nearest;
use crate::{Parameter, ParameterType, Playbook};
use quench_findings::Severity;
use serde_json::{Map, Value};

/// Why a value does not fit a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{parameter}`: {reason}{}", help.as_ref().map(|help| format!("; {help}")).unwrap_or_default())]
pub struct ParameterFault {
    /// Name of the parameter.
    pub parameter: String,
    /// What is wrong with the value, or that there is none.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How willing [`fit`] is to read text as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As it is: a number in quotes is text.
    Strict,
    /// Text from a command line or a template: `5` is a number, `a, b` a list.
    Lenient,
    /// Likewise, and nothing is a template any more, whatever it looks like.
    Rendered,
}

impl Playbook {
    /// Checks values against the parameters and fills in defaults.
    ///
    /// Text that still holds a template fits any type; [`Playbook::bind_rendered`] checks what it renders to. Text is read as the
    /// parameter's type (`"5"` as 5, `"a@example.com, b@example.com"` as two addresses), and what leaves here has one
    /// shape for each type: `emails` and `strings` are lists, severities are lower case.
    ///
    /// # Errors
    /// All faults: unknown names, values missing, values of a wrong type.
    pub fn bind(
        &self,
        with: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<ParameterFault>> {
        self.bind_as(with, Reading::Lenient)
    }

    /// Checks values as [`Playbook::bind`] does, but after templates were rendered: braces in them are the findings' own
    /// and excuse nothing.
    ///
    /// # Errors
    /// As [`Playbook::bind`].
    pub fn bind_rendered(
        &self,
        values: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<ParameterFault>> {
        self.bind_as(values, Reading::Rendered)
    }

    fn bind_as(
        &self,
        with: &Map<String, Value>,
        reading: Reading,
    ) -> Result<Map<String, Value>, Vec<ParameterFault>> {
        let mut bound = Map::new();
        let mut faults = Vec::new();
        for name in with.keys() {
            if !self.parameters.contains_key(name) {
                faults.push(self.unknown_parameter(name));
            }
        }
        for (name, parameter) in &self.parameters {
            let given = with.get(name).filter(|value| !value.is_null());
            match (given, &parameter.default) {
                (Some(value), _) => match fit(parameter, value, reading) {
                    Ok(value) => {
                        bound.insert(name.clone(), value);
                    }
                    Err((reason, help)) => {
                        faults.push(ParameterFault {
                            parameter: name.clone(),
                            reason,
                            help,
                        });
                    }
                },
                (None, Some(default)) => {
                    let value = fit(parameter, default, Reading::Lenient);
                    bound.insert(name.clone(), value.unwrap_or_else(|_| default.clone()));
                }
                (None, None) if parameter.required => faults.push(ParameterFault {
                    parameter: name.clone(),
                    reason: format!("is required by playbook `{}`", self.name),
                    help: None,
                }),
                (None, None) => {
                    bound.insert(name.clone(), Value::Null);
                }
            }
        }
        if faults.is_empty() {
            Ok(bound)
        } else {
            Err(faults)
        }
    }

    pub(crate) fn unknown_parameter(&self, name: &str) -> ParameterFault {
        let names: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
        let help = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "it takes no parameters".to_owned(),
            None => format!("it takes {}", listed(&names)),
        };
        ParameterFault {
            parameter: name.to_owned(),
            reason: format!("is not one of playbook `{}`", self.name),
            help: Some(help),
        }
    }
}

/// Tells whether text holds a template, which can only be judged once it is rendered.
pub(crate) fn holds_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn any_template(value: &Value) -> bool {
    match value {
        Value::String(text) => holds_template(text),
        Value::Array(items) => items.iter().any(any_template),
        _ => false,
    }
}

/// Names in backticks, with commas.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

type Unfit = (String, Option<String>);

/// Reads a value as a parameter's type.
pub(crate) fn fit(parameter: &Parameter, value: &Value, reading: Reading) -> Result<Value, Unfit> {
    if reading != Reading::Rendered && any_template(value) {
        return Ok(value.clone());
    }
    let fitted = fit_type(parameter.parameter_type, value, reading)?;
    if !parameter.allowed.is_empty() {
        let one = |value: &Value| parameter.allowed.contains(value);
        let fine = match &fitted {
            Value::Array(items) => items.iter().all(one),
            other => one(other),
        };
        if !fine {
            let allowed: Vec<String> = parameter.allowed.iter().map(shown).collect();
            let near = value
                .as_str()
                .and_then(|given| nearest(given, allowed.iter().map(String::as_str)));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("allowed are {}", listed(&allowed)),
            };
            return Err((format!("`{}` is not allowed", shown(value)), Some(help)));
        }
    }
    Ok(fitted)
}

fn fit_type(expected: ParameterType, value: &Value, reading: Reading) -> Result<Value, Unfit> {
    let lenient = reading != Reading::Strict;
    let wrong = |help: Option<String>| {
        let help = help.unwrap_or_else(|| expected.example());
        Err((
            format!("must be {}, not {}", expected.phrase(), described(value)),
            Some(help),
        ))
    };
    let unquote = |fits: bool| {
        let text = value.as_str().unwrap_or_default();
        fits.then(|| format!("drop the quotes: `{text}`"))
    };
    match expected {
        ParameterType::String | ParameterType::Connection => match value {
            Value::String(_) => Ok(value.clone()),
            Value::Number(_) | Value::Bool(_) if lenient && expected == ParameterType::String => {
                Ok(Value::String(shown(value)))
            }
            Value::Number(_) | Value::Bool(_) => {
                wrong(Some(format!("quote it: `\"{}\"`", shown(value))))
            }
            _ => wrong(None),
        },
        ParameterType::Integer => match value {
            Value::Number(number) if number.is_i64() || number.is_u64() => Ok(value.clone()),
            Value::String(text) => match text.trim().parse::<i64>() {
                Ok(number) if lenient => Ok(number.into()),
                parsed => wrong(unquote(parsed.is_ok())),
            },
            _ => wrong(None),
        },
        ParameterType::Number => match value {
            Value::Number(_) => Ok(value.clone()),
            Value::String(text) => {
                let parsed = text
                    .trim()
                    .parse::<f64>()
                    .ok()
                    .and_then(serde_json::Number::from_f64);
                match parsed {
                    Some(number) if lenient => Ok(text
                        .trim()
                        .parse::<i64>()
                        .map_or(Value::Number(number), Into::into)),
                    parsed => wrong(unquote(parsed.is_some())),
                }
            }
            _ => wrong(None),
        },
        ParameterType::Boolean => match value {
            Value::Bool(_) => Ok(value.clone()),
            Value::String(text) => match truth(text) {
                Some(truth) if lenient && matches!(text.trim(), "true" | "false") => {
                    Ok(truth.into())
                }
                truth => wrong(truth.map(|truth| format!("write `{truth}`"))),
            },
            _ => wrong(None),
        },
        ParameterType::Duration => match value {
            Value::String(text) => match parse_duration(text) {
                Ok(_) => Ok(Value::String(text.trim().to_owned())),
                Err(help) => Err((format!("`{text}` is not a length of time"), Some(help))),
            },
            Value::Number(_) => wrong(Some(format!(
                "give it a unit: `{value}s`, `{value}m`, `{value}h` or `{value}d`"
            ))),
            _ => wrong(None),
        },
        ParameterType::Url => match value {
            Value::String(text) => match check_url(text) {
                Ok(()) => Ok(value.clone()),
                Err(reason) => Err((
                    reason,
                    Some("such as `https://example.com/path`".to_owned()),
                )),
            },
            _ => wrong(None),
        },
        ParameterType::Email => match value {
            Value::String(text) => {
                check_email(text.trim())?;
                Ok(Value::String(text.trim().to_owned()))
            }
            _ => wrong(None),
        },
        ParameterType::Emails => {
            let addresses: Vec<String> = match value {
                Value::String(text) => text
                    .split([',', ';'])
                    .map(|part| part.trim().to_owned())
                    .filter(|part| !part.is_empty())
                    .collect(),
                Value::Array(items) => texts(items, expected)?,
                _ => return wrong(None),
            };
            if addresses.is_empty() {
                return Err((
                    "must name at least one e-mail address".to_owned(),
                    Some(expected.example()),
                ));
            }
            for address in &addresses {
                check_email(address)?;
            }
            Ok(addresses.into())
        }
        ParameterType::Strings => match value {
            Value::Array(items) => Ok(texts(items, expected)?.into()),
            Value::String(text) if lenient => Ok(text
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect()),
            Value::String(text) => wrong(Some(format!("write `[{text}]`"))),
            _ => wrong(None),
        },
        ParameterType::Severity => match value {
            Value::String(text) => match severity(text) {
                Some(word) => Ok(Value::String(word.to_owned())),
                None => Err((
                    format!("severity `{text}` is not known"),
                    Some(meant(text, &SEVERITIES)),
                )),
            },
            _ => wrong(None),
        },
        ParameterType::Object => match value {
            Value::Object(_) => Ok(value.clone()),
            Value::String(text) if lenient => match serde_json::from_str::<Value>(text) {
                Ok(parsed @ Value::Object(_)) => Ok(parsed),
                _ => wrong(None),
            },
            _ => wrong(None),
        },
    }
}

fn texts(items: &[Value], expected: ParameterType) -> Result<Vec<String>, Unfit> {
    items
        .iter()
        .map(|item| match item {
            Value::String(text) => Ok(text.trim().to_owned()),
            other => Err((
                format!(
                    "must be {}, but one of them is {}",
                    expected.phrase(),
                    described(other)
                ),
                Some(match other {
                    Value::Number(_) | Value::Bool(_) => {
                        format!("quote it: `\"{}\"`", shown(other))
                    }
                    _ => expected.example(),
                }),
            )),
        })
        .collect()
}

impl ParameterType {
    /// Every type with its name in files.
    pub(crate) const NAMES: [(&'static str, Self); 12] = [
        ("string", Self::String),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("duration", Self::Duration),
        ("url", Self::Url),
        ("email", Self::Email),
        ("emails", Self::Emails),
        ("strings", Self::Strings),
        ("connection", Self::Connection),
        ("severity", Self::Severity),
        ("object", Self::Object),
    ];

    fn phrase(self) -> &'static str {
        match self {
            Self::String => "text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "`true` or `false`",
            Self::Duration => "a length of time such as `15m`",
            Self::Url => "an address that begins with `https://`",
            Self::Email => "an e-mail address",
            Self::Emails => "e-mail addresses",
            Self::Strings => "a list of text",
            Self::Connection => "the name of a connection",
            Self::Severity => "a severity",
            Self::Object => "a mapping",
        }
    }

    fn example(self) -> String {
        match self {
            Self::String => "put text in quotes".to_owned(),
            Self::Integer => "such as `5`".to_owned(),
            Self::Number => "such as `2.5`".to_owned(),
            Self::Boolean => "write `true` or `false`".to_owned(),
            Self::Duration => "such as `90s`, `15m`, `24h` or `7d`".to_owned(),
            Self::Url => "such as `https://example.com/path`".to_owned(),
            Self::Email => "such as `security@example.com`".to_owned(),
            Self::Emails => "such as `[security@example.com]`".to_owned(),
            Self::Strings => "such as `[one, two]`".to_owned(),
            Self::Connection => "such as `team-slack`".to_owned(),
            Self::Severity => format!("known are {}", listed(&SEVERITIES)),
            Self::Object => "such as `{ key: value }`".to_owned(),
        }
    }
}

/// The five severities, mildest first.
pub(crate) const SEVERITIES: [&str; 5] = ["informational", "low", "medium", "high", "critical"];

fn severity(text: &str) -> Option<&'static str> {
    let folded = text.trim().to_lowercase();
    let known = SEVERITIES.iter().find(|word| **word == folded).copied();
    debug_assert!(
        known.is_none() || serde_json::from_value::<Severity>(Value::String(folded)).is_ok()
    );
    known
}

/// A suggestion from a closed list of words: the one meant, or all of them.
pub(crate) fn meant<S: AsRef<str>>(given: &str, words: &[S]) -> String {
    match nearest(given, words.iter().map(AsRef::as_ref)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", listed(words)),
    }
}

/// What a value is, for a message.
pub(crate) fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(truth) => format!("`{truth}`"),
        Value::Number(number) => format!("the number `{number}`"),
        Value::String(text) if text.chars().count() > 60 => "text".to_owned(),
        Value::String(text) => format!("the text `{text}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Reads what YAML 1.1 called a boolean.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn playbook(parameters: Value) -> Playbook {
        Playbook {
            name: "notify".to_owned(),
            description: None,
            triggers: vec![],
            requires: crate::Requirements::default(),
            parameters: serde_json::from_value::<BTreeMap<String, Parameter>>(parameters).unwrap(),
            steps: vec![],
        }
    }

    fn bind(parameters: Value, with: &Value) -> Result<Value, Vec<String>> {
        playbook(parameters)
            .bind(with.as_object().unwrap())
            .map(Value::Object)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn defaults_are_filled_in_and_absent_values_are_null() {
        let parameters = json!({
            "a": { "type": "string", "default": "x {{ finding.title }}" },
            "b": { "type": "integer" },
            "c": { "type": "emails", "default": "a@example.com" },
        });
        assert_eq!(
            bind(parameters, &json!({})),
            Ok(json!({ "a": "x {{ finding.title }}", "b": null, "c": ["a@example.com"] }))
        );
    }

    #[test]
    fn text_from_a_command_line_is_read_as_the_type() {
        let parameters = json!({
            "i": { "type": "integer" }, "n": { "type": "number" }, "b": { "type": "boolean" },
            "e": { "type": "emails" }, "l": { "type": "strings" }, "s": { "type": "severity" },
            "o": { "type": "object" }, "d": { "type": "duration" },
        });
        let with = json!({
            "i": "5", "n": "2.5", "b": "true", "e": "a@example.com, b@example.com", "l": "x,y", "s": "HIGH",
            "o": "{\"k\": 1}", "d": "15m",
        });
        let bound = json!({
            "b": true, "d": "15m", "e": ["a@example.com", "b@example.com"], "i": 5, "l": ["x", "y"], "n": 2.5,
            "o": { "k": 1 }, "s": "high",
        });
        assert_eq!(bind(parameters, &with), Ok(bound));
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let parameters = json!({
            "to": { "type": "emails", "required": true },
            "subject": { "type": "string", "required": true },
            "level": { "type": "severity" },
            "unit": { "type": "string", "allowed": ["team", "everyone"] },
        });
        let with = json!({ "to": ["nobody"], "subjet": "x", "level": "hgih", "unit": "teem" });
        assert_eq!(
            bind(parameters, &with).unwrap_err(),
            [
                "parameter `subjet`: is not one of playbook `notify`; did you mean `subject`?",
                "parameter `level`: severity `hgih` is not known; did you mean `high`?",
                "parameter `subject`: is required by playbook `notify`",
                "parameter `to`: `nobody` is not an e-mail address; such as `security@example.com` or `Security <security@example.com>`",
                "parameter `unit`: `teem` is not allowed; did you mean `team`?",
            ]
        );
    }

    #[test]
    fn braces_in_rendered_values_excuse_nothing() {
        let playbook = playbook(json!({ "to": { "type": "emails", "required": true } }));
        let values = json!({ "to": "{{ a title may say so }}" });
        let values = values.as_object().unwrap();
        assert!(playbook.bind(values).is_ok());
        assert!(playbook.bind_rendered(values).is_err());
    }

    #[test]
    fn templates_pass_until_they_are_rendered() {
        let parameters = json!({ "to": { "type": "emails", "required": true } });
        let with = json!({ "to": "{{ finding.raw.owner }}" });
        assert_eq!(bind(parameters.clone(), &with), Ok(with));
        assert!(bind(parameters, &json!({ "to": "nobody" })).is_err());
    }
}
