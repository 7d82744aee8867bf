use crate::remediation::is_account;
use jiff::Timestamp;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

/// What keeps the remediations of an automation from doing too much. One that cannot be evaluated stops them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    /// Resources that one run may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_resources: Option<u32>,
    /// Resources that the automation may change within any hour; what is more waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_hour: Option<u32>,
    /// What is left alone.
    #[serde(default)]
    pub exempt: Exempt,
    /// When nothing is changed; what falls within waits for the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blackout: Vec<Blackout>,
}

impl Guards {
    /// Says whether there is nothing but what holds for all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A time in which nothing is changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blackout {
    /// Once.
    Once {
        /// From then on.
        from: Timestamp,
        /// Until before then.
        until: Timestamp,
    },
    /// Every week.
    Weekly {
        /// Days on which it begins.
        days: Vec<Day>,
        /// When it begins, by the clocks of the zone.
        from: Time,
        /// When it ends, on the next day if that is not later.
        until: Time,
        /// Zone after IANA, such as `Europe/Vienna`.
        zone: String,
    },
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// The first of a working week.
    Monday,
    /// The second.
    Tuesday,
    /// The third.
    Wednesday,
    /// The fourth.
    Thursday,
    /// The fifth.
    Friday,
    /// The sixth.
    Saturday,
    /// The seventh.
    Sunday,
}

/// What remediations are kept from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exempt {
    /// Tags as `key`, or `key=value`; a `*` in a value stands for anything. One that a resource bears exempts it.
    pub tags: Vec<String>,
    /// ARNs or ids; a `*` stands for anything.
    pub resources: Vec<String>,
    /// Accounts, by their twelve digits.
    pub accounts: Vec<String>,
    /// The key of the tag by which the owner of a resource keeps it from every remediation, unless its value is `false`.
    pub break_glass: String,
}

impl Default for Exempt {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            resources: Vec::new(),
            accounts: Vec::new(),
            break_glass: "quench:exempt".to_owned(),
        }
    }
}

/// An exemption that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("exemption `{text}` {reason}; {help}")]
pub struct InvalidExemption {
    /// As it is written.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
    /// How to mend it.
    pub help: &'static str,
}

impl Exempt {
    /// Finds exemptions that could never hold, so that nobody relies upon them.
    ///
    /// # Errors
    /// Every one of them.
    pub fn check(&self) -> Result<(), Vec<InvalidExemption>> {
        let mut faults = Vec::new();
        let mut wrong = |text: &str, reason, help| {
            let text = text.to_owned();
            faults.push(InvalidExemption { text, reason, help });
        };
        for account in self.accounts.iter().filter(|text| !is_account(text)) {
            wrong(
                account,
                "is no account",
                "write its twelve digits in quotes",
            );
        }
        for tag in &self.tags {
            let key = tag.split('=').next().unwrap_or_default();
            if key.trim().is_empty() {
                wrong(tag, "names no tag", "write `key` or `key=value`");
            }
        }
        for resource in self.resources.iter().filter(|text| text.trim().is_empty()) {
            wrong(resource, "names no resource", "write its ARN or id");
        }
        if self.break_glass.trim().is_empty() {
            wrong(&self.break_glass, "names no tag", "write the key of a tag");
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}
