use super::facts::{Facts, Parameter, Risk, Takes, applies, reads, threat, undoes};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "stop-ec2-instance",
    title: "Stop an EC2 instance",
    risk: Risk::High,
    permissions: &[
        reads("ec2:DescribeInstances").of_everything(),
        reads("ec2:DescribeTags").of_everything(),
        applies("ec2:StopInstances"),
        undoes("ec2:StartInstances"),
    ],
    fits: &[
        threat("CryptoCurrency:EC2/BitcoinTool.B"),
        threat("CryptoCurrency:EC2/BitcoinTool.B!DNS"),
        threat("Backdoor:EC2/DenialOfService.*"),
        threat("Backdoor:EC2/C&CActivity.*"),
    ],
    parameters: &[Parameter {
        name: "even_in_group",
        about: "Whether an instance of an Auto Scaling group is stopped; the group then puts another in its place and terminates it.",
        takes: Takes::Flag(false),
    }],
    accepts: &[Kind::Instance],
};
