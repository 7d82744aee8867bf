use super::facts::{
    Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, threat, undoes,
};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "revoke-open-ingress",
    title: "Revoke the rules of a security group that let everybody in at risky ports",
    risk: Risk::Medium,
    permissions: &[
        reads("ec2:DescribeSecurityGroups").of_everything(),
        reads("ec2:DescribeSecurityGroupRules").of_everything(),
        reads("ec2:DescribeTags").of_everything(),
        applies("ec2:RevokeSecurityGroupIngress").beside(RULES),
        undoes("ec2:AuthorizeSecurityGroupIngress").beside(RULES),
        undoes("ec2:CreateTags").beside(RULES),
    ],
    fits: &[
        control("EC2.13"),
        control("EC2.14"),
        control("EC2.19"),
        control("EC2.53"),
        control("EC2.54"),
        rule("restricted-ssh"),
        rule("restricted-common-ports"),
        rule("vpc-sg-port-restriction-check"),
        threat("Recon:EC2/PortProbeUnprotectedPort"),
        threat("UnauthorizedAccess:EC2/SSHBruteForce"),
        threat("UnauthorizedAccess:EC2/RDPBruteForce"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_all_ports"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_high_risk_tcp_ports"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_22"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_3389"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_ftp_20_21"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_mysql_3306"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_postgres_5432"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_sql_server_1433_1434"),
        check("ec2_securitygroup_allow_ingress_from_internet_to_tcp_port_telnet_23"),
    ],
    parameters: &[
        Parameter {
            name: "ports",
            about: "The ports that nobody may reach from everywhere; those of control EC2.19 where none are given.",
            takes: Takes::Ports(RISKY),
        },
        Parameter {
            name: "exempt_ports",
            about: "Ports that stay open; a rule that covers one of them is left alone.",
            takes: Takes::Ports(&[]),
        },
        Parameter {
            name: "exempt_networks",
            about: "Networks that stay let in, such as `::/0`.",
            takes: Takes::Networks(&[]),
        },
    ],
    accepts: &[Kind::SecurityGroup],
};

pub(super) const RULES: &[&str] = &["arn:{partition}:ec2:{region}:{account}:security-group-rule/*"];

/// Source: user guide of Security Hub, control EC2.19, "Security groups should not allow unrestricted access to ports
/// with high risk".
const RISKY: &[&str] = &[
    "20-23",
    "25",
    "110",
    "135",
    "143",
    "445",
    "1433-1434",
    "3000",
    "3306",
    "3389",
    "4333",
    "5000",
    "5432",
    "5500",
    "5601",
    "8080",
    "8088",
    "8888",
    "9200",
    "9300",
];
