use super::facts::{Facts, Risk, applies, check, control, reads, rule};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "ec2-imdsv2",
    title: "Require a token for the metadata of an EC2 instance (IMDSv2)",
    risk: Risk::Medium,
    permissions: &[
        reads("ec2:DescribeInstances").of_everything(),
        reads("ec2:DescribeTags").of_everything(),
        applies("ec2:ModifyInstanceMetadataOptions"),
    ],
    fits: &[
        control("EC2.8"),
        rule("ec2-imdsv2-check"),
        check("ec2_instance_imdsv2_enabled"),
    ],
    parameters: &[],
    accepts: &[Kind::Instance],
};
