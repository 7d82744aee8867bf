use super::api::Api;
use super::facts::Facts;
use super::fault::Fault;
use super::parameters::Parameters;
use super::plan::Plan;
use super::{Desired, SETTLED};
use crate::neutral;
use jiff::Timestamp;
use quench_automations::nearest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
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
        known.copied().ok_or_else(|| UnknownRemediation {
            name: neutral::line(name, 80),
        })
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

    /// What of a state is compared: without what AWS gives anew when it is restored, and what changes by itself.
    pub(super) fn identity(self, state: &Value) -> Value {
        let mut identity = self.compared(state);
        if let Some(fields) = identity.as_object_mut() {
            fields.remove(SETTLED);
        }
        identity
    }
}

/// Defines the family; each member is a file of the same functions.
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
                    $(Self::$variant => &super::$file::FACTS,)*
                }
            }

            /// How deep in a state the parts are that are changed one by one.
            pub(super) fn depth(self) -> usize {
                match self {
                    $(Self::$variant => super::$file::DEPTH,)*
                }
            }

            /// Reads the present state, as far as the remediation has to do with it.
            pub(super) async fn read(
                self,
                api: &Api<'_>,
                parameters: &Parameters,
            ) -> Result<Value, Fault> {
                match self {
                    $(Self::$variant => Box::pin(super::$file::read(api, parameters)).await,)*
                }
            }

            /// Says what a state is to become.
            pub(super) fn desire(
                self,
                api: &Api<'_>,
                state: &Value,
                parameters: &Parameters,
                now: Timestamp,
            ) -> Result<Desired, Fault> {
                match self {
                    $(Self::$variant => super::$file::desire(api, state, parameters, now),)*
                }
            }

            /// Makes one state of another, with the fewest calls; parts that are alike are left alone.
            pub(super) async fn write(
                self,
                api: &Api<'_>,
                plan: &Plan,
                from: &Value,
                to: &Value,
                now: Timestamp,
            ) -> Result<(), Fault> {
                match self {
                    $(Self::$variant => {
                        Box::pin(super::$file::write(api, plan, from, to, now)).await
                    })*
                }
            }

            fn compared(self, state: &Value) -> Value {
                match self {
                    $(Self::$variant => super::$file::compared(state),)*
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
    use crate::remediate::facts::Phase;
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
