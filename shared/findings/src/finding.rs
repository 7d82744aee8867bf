use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// One security fact about a resource, in the same shape whatever its source.
///
/// What a payload does not say is absent; only `severity` has a default, by source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The provider's own id: the same over updates and over the routes a finding may take.
    pub id: String,
    /// Which of the three trigger kinds it belongs to.
    pub kind: Kind,
    /// The product that made it, whatever route it came by.
    pub source: Source,
    /// Finding type, control id or alert type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub finding_type: Option<String>,
    /// One line for people; derived from other fields where the source has none.
    pub title: String,
    /// What it is about, as the source words it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands; absent where the source has no such notion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// AWS account, Azure subscription or GCP project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Region or location of the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `aws:111122223333`, `azure:/subscriptions/…/resourceGroups/…` or `gcp:projects/…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The resources concerned, the main one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// The standard and control it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Compliance>,
    /// When the source first saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// When the source last saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// When the source last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
    /// What the source advises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
    /// Pages to read on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Id of the finding this is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Whether the source marks it as made up for a trial.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sample: bool,
    /// Which of several findings in `raw` this is, from zero; absent where `raw` holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// The payload as it came, without the envelopes of queues and topics around it; by far the most of a finding, so
    /// clones share it.
    pub raw: Arc<Value>,
}

/// The trigger kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A threat that was detected.
    Alert,
    /// A weakness of a resource that should be mended.
    Recommendation,
    /// A resource's or control's standing against a rule or standard.
    Compliance,
}

/// The product that made a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the products' own")]
pub enum Source {
    Guardduty,
    SecurityHub,
    Config,
    Inspector,
    Macie,
    AccessAnalyzer,
    TrustedAdvisor,
    Health,
    Cloudtrail,
    Ecr,
    Defender,
    Scc,
    Ocsf,
    /// Quench itself, for a resource that somebody named by hand: see [`crate::named_by_hand`].
    Quench,
}

impl Source {
    /// The product's name as its maker writes it.
    #[must_use]
    pub const fn product(self) -> &'static str {
        match self {
            Self::Guardduty => "Amazon GuardDuty",
            Self::SecurityHub => "AWS Security Hub",
            Self::Config => "AWS Config",
            Self::Inspector => "Amazon Inspector",
            Self::Macie => "Amazon Macie",
            Self::AccessAnalyzer => "IAM Access Analyzer",
            Self::TrustedAdvisor => "AWS Trusted Advisor",
            Self::Health => "AWS Health",
            Self::Cloudtrail => "AWS CloudTrail",
            Self::Ecr => "Amazon ECR",
            Self::Defender => "Microsoft Defender for Cloud",
            Self::Scc => "Google Security Command Center",
            Self::Ocsf => "OCSF",
            Self::Quench => "Quench",
        }
    }
}

/// How bad a finding is, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the five names say it")]
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

/// Where a finding stands; which words apply depends on its [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Alert: nobody has looked at it.
    New,
    /// Alert: somebody has.
    InProgress,
    /// Alert: dealt with.
    Resolved,
    /// Alert: of no concern.
    Dismissed,
    /// Recommendation: followed.
    Healthy,
    /// Recommendation: to be followed.
    Unhealthy,
    /// Recommendation: does not apply to the resource.
    NotApplicable,
    /// Compliance: meets the rule.
    Passed,
    /// Compliance: breaks the rule.
    Failed,
    /// Compliance: not evaluated.
    Skipped,
    /// Compliance: cannot be evaluated.
    Unsupported,
    /// Any: hidden on purpose at the source.
    Suppressed,
}

impl Status {
    /// Whether nothing is left to do: resolved, dismissed, healthy, passed, out of scope or hidden on purpose.
    #[must_use]
    pub fn is_good(self) -> bool {
        !matches!(
            self,
            Self::New | Self::InProgress | Self::Unhealthy | Self::Failed
        )
    }
}

/// Gives each name of an enum as it is written in JSON and files.
macro_rules! spelled {
    ($type:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word as it is written in JSON and files.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.pad(self.as_str())
            }
        }
    };
}

spelled!(Kind {
    Alert => "alert",
    Recommendation => "recommendation",
    Compliance => "compliance",
});

spelled!(Source {
    Guardduty => "guardduty",
    SecurityHub => "security_hub",
    Config => "config",
    Inspector => "inspector",
    Macie => "macie",
    AccessAnalyzer => "access_analyzer",
    TrustedAdvisor => "trusted_advisor",
    Health => "health",
    Cloudtrail => "cloudtrail",
    Ecr => "ecr",
    Defender => "defender",
    Scc => "scc",
    Ocsf => "ocsf",
    Quench => "quench",
});

spelled!(Severity {
    Informational => "informational",
    Low => "low",
    Medium => "medium",
    High => "high",
    Critical => "critical",
});

spelled!(Status {
    New => "new",
    InProgress => "in_progress",
    Resolved => "resolved",
    Dismissed => "dismissed",
    Healthy => "healthy",
    Unhealthy => "unhealthy",
    NotApplicable => "not_applicable",
    Passed => "passed",
    Failed => "failed",
    Skipped => "skipped",
    Unsupported => "unsupported",
    Suppressed => "suppressed",
});

spelled!(Transition {
    Created => "created",
    Changed => "changed",
    Resolved => "resolved",
    Repeated => "repeated",
});

/// What an event did to a finding that the store may already know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// Seen for the first time.
    Created,
    /// Its status changed, and not for good.
    Changed,
    /// It is resolved, healthy, passed, dismissed or suppressed now and was not before.
    Resolved,
    /// Nothing that matters changed, or the event is older than what is known.
    Repeated,
}

/// Something a finding is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// ARN, Azure resource id, full GCP resource name, or the source's own identifier.
    pub id: String,
    /// Resource type as the source spells it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Account that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Region it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Tags or labels, name to value.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub tags: Map<String, Value>,
}

/// The standard and control that a finding speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compliance {
    /// Standard or rule pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard: Option<String>,
    /// Control within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
}

/// What the source advises.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remediation {
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where it is told at length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A page to read on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What the link is, for people.
    pub title: String,
    /// Absolute address.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_spelled_as_json_spells_them() {
        fn check<T: Serialize + std::fmt::Display>(all: &[T]) {
            for value in all {
                assert_eq!(serde_json::to_value(value).unwrap(), value.to_string());
            }
        }
        check(Kind::ALL);
        check(Source::ALL);
        check(Severity::ALL);
        check(Status::ALL);
        check(Transition::ALL);
        assert_eq!(Source::ALL.len(), 14);
    }
}
