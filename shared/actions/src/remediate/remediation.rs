use super::api::Api;
use super::fault::Fault;
use super::parameters::Parameters;
use super::plan::Plan;
use super::{Desired, SETTLED};
use jiff::Timestamp;
use quench_automations::remediation::Remediation;
use serde_json::Value;

/// What of a state is compared: without what AWS gives anew when it is restored, and what changes by itself.
pub(super) fn identity(remediation: Remediation, state: &Value) -> Value {
    let mut identity = compared(remediation, state);
    if let Some(fields) = identity.as_object_mut() {
        fields.remove(SETTLED);
    }
    identity
}

/// Leads each member of the family to its file; all files have the same functions.
macro_rules! family {
    ($($variant:ident => $file:ident,)*) => {
        /// How deep in a state the parts are that are changed one by one.
        pub(super) fn depth(remediation: Remediation) -> usize {
            match remediation {
                $(Remediation::$variant => super::$file::DEPTH,)*
            }
        }

        /// Reads the present state, as far as the remediation has to do with it.
        pub(super) async fn read(
            remediation: Remediation,
            api: &Api<'_>,
            parameters: &Parameters,
        ) -> Result<Value, Fault> {
            match remediation {
                $(Remediation::$variant => {
                    Box::pin(super::$file::read(api, parameters)).await
                })*
            }
        }

        /// Says what a state is to become.
        pub(super) fn desire(
            remediation: Remediation,
            api: &Api<'_>,
            state: &Value,
            parameters: &Parameters,
            now: Timestamp,
        ) -> Result<Desired, Fault> {
            match remediation {
                $(Remediation::$variant => super::$file::desire(api, state, parameters, now),)*
            }
        }

        /// Makes one state of another, with the fewest calls; parts that are alike are left alone.
        pub(super) async fn write(
            api: &Api<'_>,
            plan: &Plan,
            from: &Value,
            to: &Value,
            now: Timestamp,
        ) -> Result<(), Fault> {
            match plan.remediation {
                $(Remediation::$variant => {
                    Box::pin(super::$file::write(api, plan, from, to, now)).await
                })*
            }
        }

        fn compared(remediation: Remediation, state: &Value) -> Value {
            match remediation {
                $(Remediation::$variant => super::$file::compared(state),)*
            }
        }
    };
}

family! {
    S3BlockPublicAccess => s3_block_public_access,
    RevokeOpenIngress => revoke_open_ingress,
    DeactivateAccessKey => deactivate_access_key,
    RdsNotPublic => rds_not_public,
    S3TlsOnly => s3_tls_only,
    CloudtrailLogging => cloudtrail_logging,
    KmsKeyRotation => kms_key_rotation,
    KmsCancelDeletion => kms_cancel_deletion,
    MakePrivate => make_private,
    EmptyDefaultGroup => empty_default_group,
    Imdsv2 => imdsv2,
    QuarantineInstance => quarantine_instance,
    StopInstance => stop_instance,
    EbsEncryption => ebs_encryption,
    ContainPrincipal => contain_principal,
    PasswordPolicy => password_policy,
}
