//! What is known of remediations without calling anything: names, findings they fit, permissions, parameters.

mod facts;
mod kind;
mod parameters;

mod cloudtrail_logging;
mod contain_principal;
mod deactivate_access_key;
mod ebs_encryption;
mod empty_default_group;
mod imdsv2;
mod kms_cancel_deletion;
mod kms_key_rotation;
mod make_private;
mod password_policy;
mod quarantine_instance;
mod rds_not_public;
mod revoke_open_ingress;
mod s3_block_public_access;
mod s3_tls_only;
mod stop_instance;

pub use facts::{Facts, Fit, FitSource, Parameter, Permission, Phase, Risk, Scope, Takes};
pub use kind::{Kind, Named, is_account, is_region};
pub use parameters::{Network, Parameters, check, ports};
pub(crate) use parameters::{unfit, unknown};

use crate::nearest::nearest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// There is no remediation of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no remediation `{name}`{}", self.meant())]
pub struct UnknownRemediation {
    name: String,
}

impl UnknownRemediation {
    fn meant(&self) -> String {
        let names = Remediation::ALL.iter().map(|known| known.name());
        nearest(&self.name, names)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
    }
}

impl fmt::Display for Remediation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Remediation {
    type Err = UnknownRemediation;

    fn from_str(name: &str) -> Result<Self, UnknownRemediation> {
        let known = Self::ALL.iter().find(|known| known.name() == name);
        known
            .copied()
            .ok_or_else(|| UnknownRemediation { name: shown(name) })
    }
}

impl Serialize for Remediation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Remediation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

impl Remediation {
    /// Its name, such as `s3-block-public-access`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Those that mend findings of a control, rule, type or check, such as `S3.8`.
    pub fn fitting(id: &str) -> impl Iterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(move |known| known.facts().fits.iter().any(|fit| fit.holds(id)))
    }
}

/// Text as it can be shown in a line of a message, whatever it holds.
fn shown(text: &str) -> String {
    const LIMIT: usize = 80;
    let prints = |letter: char| letter.is_alphanumeric() || letter.is_ascii_graphic();
    let mut letters = text.chars().map(|letter| match letter {
        letter if prints(letter) => letter,
        letter if letter.is_whitespace() => ' ',
        _ => char::REPLACEMENT_CHARACTER,
    });
    let mut line: String = letters.by_ref().take(LIMIT).collect();
    if letters.next().is_some() {
        line.push('…');
    }
    line
}

/// Defines the family; each member is a file with its facts.
macro_rules! family {
    ($($(#[$about:meta])* $variant:ident => $file:ident,)*) => {
        /// A remediation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Remediation {
            $($(#[$about])* $variant,)*
        }

        impl Remediation {
            /// Every remediation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What is known of it without calling anything.
            #[must_use]
            pub fn facts(self) -> &'static Facts {
                match self {
                    $(Self::$variant => &$file::FACTS,)*
                }
            }
        }
    };
}

family! {
    /// Blocks public access to a bucket, or to all of an account.
    S3BlockPublicAccess => s3_block_public_access,
    /// Revokes rules that let everybody in at risky ports.
    RevokeOpenIngress => revoke_open_ingress,
    /// Deactivates access keys.
    DeactivateAccessKey => deactivate_access_key,
    /// Takes an RDS instance off the internet.
    RdsNotPublic => rds_not_public,
    /// Denies requests without TLS.
    S3TlsOnly => s3_tls_only,
    /// Lets a trail log and be validated.
    CloudtrailLogging => cloudtrail_logging,
    /// Turns on the rotation of a key.
    KmsKeyRotation => kms_key_rotation,
    /// Cancels the deletion of a key.
    KmsCancelDeletion => kms_cancel_deletion,
    /// Shares snapshots and images with named accounts alone.
    MakePrivate => make_private,
    /// Empties the default security group.
    EmptyDefaultGroup => empty_default_group,
    /// Requires a token for the metadata of an instance.
    Imdsv2 => imdsv2,
    /// Isolates an instance.
    QuarantineInstance => quarantine_instance,
    /// Stops an instance.
    StopInstance => stop_instance,
    /// Encrypts new volumes.
    EbsEncryption => ebs_encryption,
    /// Contains a user or role.
    ContainPrincipal => contain_principal,
    /// Makes the password policy strict enough.
    PasswordPolicy => password_policy,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_facts_are_whole() {
        let names: BTreeSet<&str> = Remediation::ALL.iter().map(|known| known.name()).collect();
        assert_eq!(names.len(), Remediation::ALL.len());
        for remediation in Remediation::ALL {
            let facts = remediation.facts();
            let name = facts.name;
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{name}"
            );
            assert!(
                !facts.fits.is_empty() && !facts.accepts.is_empty(),
                "{name}"
            );
            for phase in [Phase::Plan, Phase::Apply] {
                let has = facts
                    .permissions
                    .iter()
                    .any(|permission| permission.phase == phase);
                assert!(has, "{name} needs nothing for {phase:?}");
            }
            for permission in facts.permissions {
                let parts = permission.action.split_once(':');
                let is_named = parts.is_some_and(|(service, operation)| {
                    service
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
                        && operation.starts_with(|first: char| first.is_ascii_uppercase())
                        && !operation.contains('*')
                });
                assert!(is_named, "{name}: {}", permission.action);
                assert!(
                    permission
                        .kinds
                        .iter()
                        .all(|kind| facts.accepts.contains(kind)),
                    "{name}"
                );
            }
            let ids: BTreeSet<&str> = facts.fits.iter().map(|fit| fit.id).collect();
            assert_eq!(ids.len(), facts.fits.len(), "{name}");
        }
    }

    #[test]
    fn findings_lead_to_what_mends_them() {
        let fitting = |id| Remediation::fitting(id).collect::<Vec<_>>();
        assert_eq!(fitting("S3.8"), [Remediation::S3BlockPublicAccess]);
        assert_eq!(fitting("ec2.2"), [Remediation::EmptyDefaultGroup]);
        assert_eq!(
            fitting("Backdoor:EC2/C&CActivity.B!DNS"),
            [Remediation::QuarantineInstance, Remediation::StopInstance]
        );
        assert_eq!(fitting("S3.80"), []);
    }

    #[test]
    fn names_are_read_and_near_ones_are_offered() {
        for &remediation in Remediation::ALL {
            assert_eq!(remediation.name().parse(), Ok(remediation));
            let json = serde_json::to_string(&remediation).unwrap();
            assert_eq!(
                serde_json::from_str::<Remediation>(&json).unwrap(),
                remediation
            );
        }
        let unknown = "s3-block-public-acces".parse::<Remediation>().unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "there is no remediation `s3-block-public-acces`; did you mean `s3-block-public-access`?"
        );
    }
}
