use super::facts::{Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, undoes};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "kms-cancel-key-deletion",
    title: "Cancel the deletion of a KMS key",
    risk: Risk::Low,
    permissions: &[
        reads("kms:DescribeKey"),
        reads("kms:ListResourceTags"),
        applies("kms:CancelKeyDeletion"),
        applies("kms:EnableKey"),
        undoes("kms:ScheduleKeyDeletion"),
    ],
    fits: &[
        control("KMS.3"),
        rule("kms-cmk-not-scheduled-for-deletion"),
        check("kms_cmk_not_deleted_unintentionally"),
    ],
    parameters: &[Parameter {
        name: "enable",
        about: "Whether the key can be used again at once; else it stays disabled.",
        takes: Takes::Flag(true),
    }],
    accepts: &[Kind::Key],
};
