use super::facts::{Facts, Parameter, Risk, Takes, applies, reads, threat, undoes};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "contain-iam-principal",
    title: "Deny everything to an IAM user or role, or to its sessions so far",
    risk: Risk::High,
    permissions: &[
        reads("iam:GetUser").of(&[Kind::User]),
        reads("iam:GetUserPolicy").of(&[Kind::User]),
        reads("iam:ListUserTags").of(&[Kind::User]),
        applies("iam:PutUserPolicy").of(&[Kind::User]),
        undoes("iam:DeleteUserPolicy").of(&[Kind::User]),
        reads("iam:GetRole").of(&[Kind::Role]),
        reads("iam:GetRolePolicy").of(&[Kind::Role]),
        reads("iam:ListRoleTags").of(&[Kind::Role]),
        applies("iam:PutRolePolicy").of(&[Kind::Role]),
        undoes("iam:DeleteRolePolicy").of(&[Kind::Role]),
    ],
    fits: &[
        threat("UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.*"),
        threat("UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B"),
        threat("CredentialAccess:IAMUser/AnomalousBehavior"),
        threat("DefenseEvasion:IAMUser/AnomalousBehavior"),
        threat("Exfiltration:IAMUser/AnomalousBehavior"),
        threat("Impact:IAMUser/AnomalousBehavior"),
        threat("Persistence:IAMUser/AnomalousBehavior"),
        threat("PrivilegeEscalation:IAMUser/AnomalousBehavior"),
    ],
    parameters: &[Parameter {
        name: "only_sessions",
        about: "Whether only the sessions so far are ended, so that a role serves on with new ones.",
        takes: Takes::Flag(false),
    }],
    accepts: &[Kind::User, Kind::Role],
};
