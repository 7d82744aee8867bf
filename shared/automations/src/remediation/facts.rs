use super::kind::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much harm a remediation may do where it is applied by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// A setting that nothing in use depends on.
    Low,
    /// It can break traffic or callers.
    Medium,
    /// It can take a service away, or cost access or data.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// What is known of a remediation without calling anything.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Facts {
    /// Its name, such as `s3-block-public-access`.
    pub name: &'static str,
    /// What it does, in one line.
    pub title: &'static str,
    /// How much harm it may do.
    pub risk: Risk,
    /// The IAM actions that it needs, and no others.
    pub permissions: &'static [Permission],
    /// The findings that it mends.
    pub fits: &'static [Fit],
    /// What may be said to it.
    pub parameters: &'static [Parameter],
    /// What it can be applied to.
    pub accepts: &'static [Kind],
}

/// An IAM action that a remediation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// Such as `s3:PutBucketPublicAccessBlock`; the service authorization reference of AWS has them all.
    pub action: &'static str,
    /// What it is needed for first: what is needed to plan is needed throughout.
    pub phase: Phase,
    /// What it can be limited to.
    pub scope: Scope,
    /// The kinds of targets that it is needed for; empty for all that the remediation accepts.
    pub kinds: &'static [Kind],
}

/// What an IAM action is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// To read the present state.
    Plan,
    /// To change it.
    Apply,
    /// To change it back.
    Undo,
}

/// What an IAM action can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The target.
    Target,
    /// Nothing: AWS takes `*` alone for it.
    Everything,
    /// The target and resources beside it, as ARNs in which `{partition}`, `{region}` and `{account}` stand for the
    /// target's.
    Beside(&'static [&'static str]),
}

impl Permission {
    pub(super) const fn new(phase: Phase, action: &'static str) -> Self {
        Self {
            action,
            phase,
            scope: Scope::Target,
            kinds: &[],
        }
    }

    pub(super) const fn of_everything(self) -> Self {
        Self {
            scope: Scope::Everything,
            ..self
        }
    }

    pub(super) const fn of(self, kinds: &'static [Kind]) -> Self {
        Self { kinds, ..self }
    }

    /// Says whether it is needed for targets of a kind.
    #[must_use]
    pub fn is_needed_for(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    pub(super) const fn beside(self, arns: &'static [&'static str]) -> Self {
        Self {
            scope: Scope::Beside(arns),
            ..self
        }
    }
}

/// Needed to plan.
pub(super) const fn reads(action: &'static str) -> Permission {
    Permission::new(Phase::Plan, action)
}

/// Needed to apply, and perhaps to undo.
pub(super) const fn applies(action: &'static str) -> Permission {
    Permission::new(Phase::Apply, action)
}

/// Needed to undo alone.
pub(super) const fn undoes(action: &'static str) -> Permission {
    Permission::new(Phase::Undo, action)
}

/// A finding that a remediation mends.
///
/// Its resource is not the target in every case: a probe of an instance's port is found at the instance and mended at its
/// security group. Where the finding does not name the target, whoever calls the remediation has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// Who finds it.
    pub source: FitSource,
    /// Its control, rule, type or check; a trailing `*` stands for any ending.
    pub id: &'static str,
}

/// Who finds what a remediation mends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FitSource {
    /// A control of Security Hub (user guide, "Controls reference").
    SecurityHub,
    /// A managed rule of AWS Config (developer guide, "List of managed rules").
    Config,
    /// A finding type of `GuardDuty` (user guide, "Finding types").
    GuardDuty,
    /// A check of Prowler (its repository, `prowler/providers/aws/services`).
    Prowler,
}

impl Fit {
    /// Says whether a finding's type is this one.
    #[must_use]
    pub fn holds(&self, id: &str) -> bool {
        match self.id.strip_suffix('*') {
            Some(beginning) => id.starts_with(beginning),
            None => self.id.eq_ignore_ascii_case(id),
        }
    }
}

pub(super) const fn control(id: &'static str) -> Fit {
    Fit {
        source: FitSource::SecurityHub,
        id,
    }
}

pub(super) const fn rule(id: &'static str) -> Fit {
    Fit {
        source: FitSource::Config,
        id,
    }
}

pub(super) const fn threat(id: &'static str) -> Fit {
    Fit {
        source: FitSource::GuardDuty,
        id,
    }
}

pub(super) const fn check(id: &'static str) -> Fit {
    Fit {
        source: FitSource::Prowler,
        id,
    }
}

/// Something that may be said to a remediation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name, such as `ports`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What values it takes, and the one where none is given.
    pub takes: Takes,
}

/// The values that a parameter takes, each with its default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    /// True or false.
    Flag(bool),
    /// A whole number from one to another; no default means that it may be left out.
    Number {
        /// Least.
        least: u64,
        /// Most.
        most: u64,
        /// Where none is given.
        default: Option<u64>,
    },
    /// Ports, or ranges such as `8000-8010`.
    Ports(&'static [&'static str]),
    /// Networks, such as `203.0.113.0/24` or `2001:db8::/32`.
    Networks(&'static [&'static str]),
    /// One of a few words.
    Word {
        /// All of them.
        of: &'static [&'static str],
        /// Where none is given.
        default: &'static str,
    },
}

impl Takes {
    /// Says whether it is a list.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Ports(_) | Self::Networks(_))
    }

    /// How to write such a value.
    pub(crate) fn example(self) -> String {
        match self {
            Self::Flag(_) => "write `true` or `false`".to_owned(),
            Self::Number { default, least, .. } => {
                format!("such as `{}`", default.unwrap_or(least))
            }
            Self::Ports(_) => "such as `[22, \"8000-8010\"]`".to_owned(),
            Self::Networks(_) => "such as `[\"203.0.113.0/24\"]`".to_owned(),
            Self::Word { default, .. } => format!("such as `{default}`"),
        }
    }
}
