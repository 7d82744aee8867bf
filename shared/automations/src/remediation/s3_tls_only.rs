use super::facts::{Facts, Risk, applies, check, control, reads, rule, undoes};
use super::kind::Kind;

pub(super) const FACTS: Facts = Facts {
    name: "s3-tls-only",
    title: "Deny requests to an S3 bucket that come without TLS",
    risk: Risk::Medium,
    permissions: &[
        reads("s3:GetBucketPolicy"),
        reads("s3:GetBucketTagging"),
        applies("s3:PutBucketPolicy"),
        undoes("s3:DeleteBucketPolicy"),
    ],
    fits: &[
        control("S3.5"),
        rule("s3-bucket-ssl-requests-only"),
        check("s3_bucket_secure_transport_policy"),
    ],
    parameters: &[],
    accepts: &[Kind::Bucket],
};
