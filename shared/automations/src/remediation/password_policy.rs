use super::facts::{Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, undoes};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "iam-password-policy",
    title: "Make the password policy of an account strict enough",
    risk: Risk::Low,
    permissions: &[
        reads("iam:GetAccountPasswordPolicy").of_everything(),
        applies("iam:UpdateAccountPasswordPolicy").of_everything(),
        undoes("iam:DeleteAccountPasswordPolicy").of_everything(),
    ],
    fits: &[
        control("IAM.7"),
        control("IAM.10"),
        control("IAM.11"),
        control("IAM.12"),
        control("IAM.13"),
        control("IAM.14"),
        control("IAM.15"),
        control("IAM.16"),
        rule("iam-password-policy"),
        check("iam_password_policy_minimum_length_14"),
        check("iam_password_policy_reuse_24"),
        check("iam_password_policy_lowercase"),
        check("iam_password_policy_uppercase"),
        check("iam_password_policy_number"),
        check("iam_password_policy_symbol"),
    ],
    parameters: &[
        Parameter {
            name: "minimum_length",
            about: "How many letters a password has at least; CIS AWS Foundations asks for 14.",
            takes: Takes::Number {
                least: 6,
                most: 128,
                default: Some(14),
            },
        },
        Parameter {
            name: "reuse_prevention",
            about: "How many former passwords cannot be taken again; CIS AWS Foundations asks for 24.",
            takes: Takes::Number {
                least: 1,
                most: 24,
                default: Some(24),
            },
        },
        Parameter {
            name: "maximum_age_days",
            about: "After how many days a password has to be changed; never where it is left out.",
            takes: Takes::Number {
                least: 1,
                most: 1095,
                default: None,
            },
        },
        Parameter {
            name: "all_kinds",
            about: "Whether a password needs small and capital letters, digits and symbols.",
            takes: Takes::Flag(true),
        },
    ],
    accepts: &[Kind::Account],
};
