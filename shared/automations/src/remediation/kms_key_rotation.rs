use super::facts::{Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, undoes};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "kms-key-rotation",
    title: "Turn on the rotation of a KMS key",
    risk: Risk::Low,
    permissions: &[
        reads("kms:DescribeKey"),
        reads("kms:GetKeyRotationStatus"),
        reads("kms:ListResourceTags"),
        applies("kms:EnableKeyRotation"),
        undoes("kms:DisableKeyRotation"),
    ],
    fits: &[
        control("KMS.4"),
        rule("cmk-backing-key-rotation-enabled"),
        check("kms_cmk_rotation_enabled"),
    ],
    parameters: &[Parameter {
        name: "period_days",
        about: "How often the key is rotated, in days.",
        takes: Takes::Number {
            least: 90,
            most: 2560,
            default: Some(365),
        },
    }],
    accepts: &[Kind::Key],
};
