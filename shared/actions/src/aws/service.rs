use Service::*;

/// A service of AWS that this program may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Amazon DynamoDB; JSON.
    DynamoDb,
    /// Amazon SQS; JSON.
    Sqs,
    /// Amazon SES, version 2; REST with JSON.
    Ses,
    /// AWS Secrets Manager; JSON.
    SecretsManager,
    /// AWS Systems Manager; JSON.
    Ssm,
    /// AWS STS; query.
    Sts,
    /// Amazon `EventBridge`; JSON.
    Events,
    /// AWS Step Functions; JSON.
    StepFunctions,
    /// AWS Lambda; REST with JSON.
    Lambda,
    /// AWS KMS; JSON.
    Kms,
    /// AWS Organizations; JSON.
    Organizations,
    /// Amazon S3; REST with XML.
    S3,
    /// Amazon EC2; query.
    Ec2,
    /// AWS IAM; query.
    Iam,
    /// Amazon RDS; query.
    Rds,
    /// Amazon S3, settings of whole accounts; REST with XML.
    S3Control,
    /// AWS `CloudTrail`; JSON.
    CloudTrail,
    /// AWS Security Hub; REST with JSON.
    SecurityHub,
}

/// How a service with operations in JSON is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Json {
    /// What precedes the operation in `X-Amz-Target`.
    pub(super) target: &'static str,
    /// Version of the protocol, as the content type tells it.
    pub(super) version: &'static str,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 18] = [
        DynamoDb,
        Sqs,
        Ses,
        SecretsManager,
        Ssm,
        Sts,
        Events,
        StepFunctions,
        Lambda,
        Kms,
        Organizations,
        S3,
        Ec2,
        Iam,
        Rds,
        S3Control,
        CloudTrail,
        SecurityHub,
    ];

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DynamoDb => "DynamoDB",
            Sqs => "SQS",
            Ses => "SES",
            SecretsManager => "Secrets Manager",
            Ssm => "SSM",
            Sts => "STS",
            Events => "EventBridge",
            StepFunctions => "Step Functions",
            Lambda => "Lambda",
            Kms => "KMS",
            Organizations => "Organizations",
            S3 => "S3",
            Ec2 => "EC2",
            Iam => "IAM",
            Rds => "RDS",
            S3Control => "S3 Control",
            CloudTrail => "CloudTrail",
            SecurityHub => "Security Hub",
        }
    }

    /// The name in signatures and, but for SES (`email`) and S3 Control (`s3-control`), of its endpoints.
    pub(super) fn signing_name(self) -> &'static str {
        match self {
            DynamoDb => "dynamodb",
            Sqs => "sqs",
            Ses => "ses",
            SecretsManager => "secretsmanager",
            Ssm => "ssm",
            Sts => "sts",
            Events => "events",
            StepFunctions => "states",
            Lambda => "lambda",
            Kms => "kms",
            Organizations => "organizations",
            S3 | S3Control => "s3",
            Ec2 => "ec2",
            Iam => "iam",
            Rds => "rds",
            CloudTrail => "cloudtrail",
            SecurityHub => "securityhub",
        }
    }

    pub(super) fn endpoint_name(self) -> &'static str {
        match self {
            Ses => "email",
            S3Control => "s3-control",
            other => other.signing_name(),
        }
    }

    /// Whether a partition has one of it, rather than each region.
    pub(super) fn is_global(self) -> bool {
        matches!(self, Iam | Organizations)
    }

    /// What follows `AWS_ENDPOINT_URL_` in the variable that moves its endpoint: the service id of the SDKs.
    pub(super) fn variable(self) -> &'static str {
        match self {
            DynamoDb => "DYNAMODB",
            Sqs => "SQS",
            Ses => "SESV2",
            SecretsManager => "SECRETS_MANAGER",
            Ssm => "SSM",
            Sts => "STS",
            Events => "EVENTBRIDGE",
            StepFunctions => "SFN",
            Lambda => "LAMBDA",
            Kms => "KMS",
            Organizations => "ORGANIZATIONS",
            S3 => "S3",
            Ec2 => "EC2",
            Iam => "IAM",
            Rds => "RDS",
            S3Control => "S3_CONTROL",
            CloudTrail => "CLOUDTRAIL",
            SecurityHub => "SECURITYHUB",
        }
    }

    /// None for services that are not spoken to in this way. Source: the services' API references, "Making requests".
    pub(super) fn as_json(self) -> Option<Json> {
        let (target, version) = match self {
            DynamoDb => ("DynamoDB_20120810", "1.0"),
            Sqs => ("AmazonSQS", "1.0"),
            SecretsManager => ("secretsmanager", "1.1"),
            Ssm => ("AmazonSSM", "1.1"),
            Events => ("AWSEvents", "1.1"),
            StepFunctions => ("AWSStepFunctions", "1.0"),
            Kms => ("TrentService", "1.1"),
            Organizations => ("AWSOrganizationsV20161128", "1.1"),
            CloudTrail => (
                "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
                "1.1",
            ),
            Ses | Sts | Lambda | S3 | Ec2 | Iam | Rds | S3Control | SecurityHub => {
                return None;
            }
        };
        Some(Json { target, version })
    }

    /// The version of its query API; none where there is none.
    pub(super) fn query_version(self) -> Option<&'static str> {
        Some(match self {
            Sts => "2011-06-15",
            Ec2 => "2016-11-15",
            Iam => "2010-05-08",
            Rds => "2014-10-31",
            _ => return None,
        })
    }
}
