use super::facts::{Facts, Risk, applies, check, control, reads, rule, undoes};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "ebs-encryption-by-default",
    title: "Encrypt new EBS volumes of a region by default",
    risk: Risk::Low,
    permissions: &[
        reads("ec2:GetEbsEncryptionByDefault").of_everything(),
        applies("ec2:EnableEbsEncryptionByDefault").of_everything(),
        undoes("ec2:DisableEbsEncryptionByDefault").of_everything(),
    ],
    fits: &[
        control("EC2.7"),
        rule("ec2-ebs-encryption-by-default"),
        check("ec2_ebs_default_encryption"),
    ],
    parameters: &[],
    accepts: &[Kind::Account],
};
