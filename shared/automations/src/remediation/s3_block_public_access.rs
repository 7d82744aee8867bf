use super::facts::{Facts, Parameter, Risk, Takes, applies, check, control, reads, rule, threat};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "s3-block-public-access",
    title: "Block public access to an S3 bucket, or to all buckets of an account",
    risk: Risk::Medium,
    permissions: &[
        reads("s3:GetBucketPublicAccessBlock").of(&[Kind::Bucket]),
        reads("s3:GetBucketWebsite").of(&[Kind::Bucket]),
        reads("s3:GetBucketTagging").of(&[Kind::Bucket]),
        reads("s3:GetAccountPublicAccessBlock").of(&[Kind::Account]),
        applies("s3:PutBucketPublicAccessBlock").of(&[Kind::Bucket]),
        applies("s3:PutAccountPublicAccessBlock").of(&[Kind::Account]),
    ],
    fits: &[
        control("S3.1"),
        control("S3.2"),
        control("S3.3"),
        control("S3.8"),
        rule("s3-account-level-public-access-blocks"),
        rule("s3-account-level-public-access-blocks-periodic"),
        rule("s3-bucket-level-public-access-prohibited"),
        rule("s3-bucket-public-read-prohibited"),
        rule("s3-bucket-public-write-prohibited"),
        threat("Policy:S3/BucketAnonymousAccessGranted"),
        threat("Policy:S3/BucketPublicAccessGranted"),
        threat("Policy:S3/BucketBlockPublicAccessDisabled"),
        threat("Policy:S3/AccountBlockPublicAccessDisabled"),
        check("s3_account_level_public_access_blocks"),
        check("s3_bucket_level_public_access_block"),
        check("s3_bucket_policy_public_write_access"),
        check("s3_bucket_public_access"),
        check("s3_bucket_public_list_acl"),
        check("s3_bucket_public_write_acl"),
    ],
    parameters: &[Parameter {
        name: "even_website",
        about: "Whether a bucket that serves a website is closed as well.",
        takes: Takes::Flag(false),
    }],
    accepts: &[Kind::Account, Kind::Bucket],
};
