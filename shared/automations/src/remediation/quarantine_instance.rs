use super::facts::{Facts, Parameter, Risk, Takes, applies, reads, threat};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "quarantine-ec2-instance",
    title: "Isolate an EC2 instance, with snapshots of its disks",
    risk: Risk::High,
    permissions: &[
        reads("ec2:DescribeInstances").of_everything(),
        reads("ec2:DescribeNetworkInterfaces").of_everything(),
        reads("ec2:DescribeSecurityGroups").of_everything(),
        reads("ec2:DescribeTags").of_everything(),
        applies("ec2:DescribeSnapshots").of_everything(),
        applies("ec2:DescribeSecurityGroupRules").of_everything(),
        applies("ec2:CreateSnapshots").beside(&[
            "arn:{partition}:ec2:{region}:{account}:volume/*",
            "arn:{partition}:ec2:{region}::snapshot/*",
        ]),
        applies("ec2:CreateSecurityGroup").beside(&[
            "arn:{partition}:ec2:{region}:{account}:security-group/*",
            "arn:{partition}:ec2:{region}:{account}:vpc/*",
        ]),
        applies("ec2:CreateTags").beside(&[
            "arn:{partition}:ec2:{region}:{account}:security-group/*",
            "arn:{partition}:ec2:{region}::snapshot/*",
        ]),
        applies("ec2:RevokeSecurityGroupEgress").beside(&[
            "arn:{partition}:ec2:{region}:{account}:security-group/*",
            "arn:{partition}:ec2:{region}:{account}:security-group-rule/*",
        ]),
        applies("ec2:ModifyNetworkInterfaceAttribute").beside(&[
            "arn:{partition}:ec2:{region}:{account}:network-interface/*",
            "arn:{partition}:ec2:{region}:{account}:security-group/*",
        ]),
    ],
    fits: &[
        threat("Backdoor:EC2/C&CActivity.*"),
        threat("CryptoCurrency:EC2/BitcoinTool.B"),
        threat("CryptoCurrency:EC2/BitcoinTool.B!DNS"),
        threat("Trojan:EC2/*"),
        threat("UnauthorizedAccess:EC2/TorClient"),
        threat("UnauthorizedAccess:EC2/MaliciousIPCaller.Custom"),
        threat("Execution:EC2/MaliciousFile"),
    ],
    parameters: &[
        Parameter {
            name: "snapshot",
            about: "Whether snapshots are made of its disks first; they stay when it is undone.",
            takes: Takes::Flag(true),
        },
        Parameter {
            name: "even_in_group",
            about: "Whether an instance of an Auto Scaling group is isolated; the group may take it for broken and terminate it.",
            takes: Takes::Flag(false),
        },
    ],
    accepts: &[Kind::Instance],
};
