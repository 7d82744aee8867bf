use super::facts::{Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, undoes};
use super::kind::Kind;
use super::revoke_open_ingress::RULES;

pub(super) const FACTS: Facts = Facts {
    name: "empty-default-security-group",
    title: "Take every rule out of the default security group of a VPC",
    risk: Risk::Medium,
    permissions: &[
        reads("ec2:DescribeSecurityGroups").of_everything(),
        reads("ec2:DescribeSecurityGroupRules").of_everything(),
        reads("ec2:DescribeNetworkInterfaces").of_everything(),
        reads("ec2:DescribeTags").of_everything(),
        applies("ec2:RevokeSecurityGroupIngress").beside(RULES),
        applies("ec2:RevokeSecurityGroupEgress").beside(RULES),
        undoes("ec2:AuthorizeSecurityGroupIngress").beside(RULES),
        undoes("ec2:AuthorizeSecurityGroupEgress").beside(RULES),
        undoes("ec2:CreateTags").beside(RULES),
    ],
    fits: &[
        control("EC2.2"),
        rule("vpc-default-security-group-closed"),
        check("ec2_securitygroup_default_restrict_traffic"),
    ],
    parameters: &[Parameter {
        name: "even_in_use",
        about: "Whether the group is emptied while network interfaces use it.",
        takes: Takes::Flag(false),
    }],
    accepts: &[Kind::SecurityGroup],
};
