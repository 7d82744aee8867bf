use super::facts::{Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, threat};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "deactivate-access-key",
    title: "Deactivate an access key, or those keys of a user that are old or unused",
    risk: Risk::Medium,
    permissions: &[
        // It names the user of a key; AWS checks it against that user.
        reads("iam:GetAccessKeyLastUsed"),
        reads("iam:ListAccessKeys"),
        reads("iam:ListUserTags"),
        applies("iam:UpdateAccessKey"),
    ],
    fits: &[
        control("IAM.3"),
        control("IAM.8"),
        control("IAM.22"),
        rule("access-keys-rotated"),
        rule("iam-user-unused-credentials-check"),
        threat("UnauthorizedAccess:IAMUser/MaliciousIPCaller"),
        threat("UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom"),
        threat("UnauthorizedAccess:IAMUser/TorIPCaller"),
        threat("CredentialAccess:IAMUser/CompromisedCredentials"),
        check("iam_rotate_access_key_90_days"),
        check("iam_user_accesskey_unused"),
    ],
    parameters: &[
        Parameter {
            name: "older_than_days",
            about: "Of a user, the keys that are at least so old.",
            takes: Takes::Number {
                least: 1,
                most: 3650,
                default: None,
            },
        },
        Parameter {
            name: "unused_days",
            about: "Of a user, the keys that nobody used for at least so long.",
            takes: Takes::Number {
                least: 1,
                most: 3650,
                default: None,
            },
        },
    ],
    accepts: &[Kind::AccessKey, Kind::User],
};
