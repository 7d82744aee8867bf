use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a payload, or one finding of it, was not decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The source as far as it was recognised, as [`crate::Source`] spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The first JSON path that did not fit; `$` is the payload itself.
    pub path: String,
    /// What is wrong there, and what was expected.
    pub reason: String,
    /// Which of several findings of the payload it is, from zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            source: None,
            path: if path.is_empty() {
                "$".to_owned()
            } else {
                path
            },
            reason: reason.into(),
            item: None,
        }
    }

    /// Names the source unless a more exact name is there already.
    #[must_use]
    pub(crate) fn with_source(mut self, name: &str) -> Self {
        self.source.get_or_insert_with(|| name.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn of_item(mut self, item: Option<usize>) -> Self {
        self.item = self.item.or(item);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(out, "{source}: ")?;
        }
        write!(out, "{} at `{}`", self.reason, self.path)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_one_line_for_people() {
        let refusal = Refusal::new("detail.severity", "`11` is above 10").with_source("guardduty");
        assert_eq!(
            refusal.to_string(),
            "guardduty: `11` is above 10 at `detail.severity`"
        );
        assert_eq!(Refusal::new("", "not JSON").to_string(), "not JSON at `$`");
    }

    #[test]
    fn the_first_name_of_the_source_stays() {
        let refusal = Refusal::new("", "x").with_source("a").with_source("b");
        assert_eq!(refusal.source.as_deref(), Some("a"));
    }
}
