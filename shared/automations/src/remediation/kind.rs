use serde::{Deserialize, Serialize};

/// Kinds of resources that remediations are applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An account, in one region where the setting is one of regions.
    Account,
    /// A bucket of S3.
    Bucket,
    /// A security group of a VPC.
    SecurityGroup,
    /// An access key of an IAM user.
    AccessKey,
    /// An instance of RDS.
    DbInstance,
    /// A trail of `CloudTrail`.
    Trail,
    /// A key of KMS.
    Key,
    /// A snapshot of an EBS volume.
    Snapshot,
    /// A snapshot of an RDS instance.
    DbSnapshot,
    /// A snapshot of an RDS cluster.
    DbClusterSnapshot,
    /// A machine image of EC2.
    Image,
    /// An instance of EC2.
    Instance,
    /// An IAM user.
    User,
    /// An IAM role.
    Role,
}

/// How ARNs and ids of a kind look.
struct Shape {
    /// Service and beginning of the resource in ARNs.
    service: &'static str,
    beginning: &'static str,
    /// Whether ARNs say the region and the account.
    located: bool,
    owned: bool,
    /// What the id alone begins with; none where it says nothing of the kind.
    id: Option<&'static str>,
    /// What people call it.
    name: &'static str,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Account,
        Self::Bucket,
        Self::SecurityGroup,
        Self::AccessKey,
        Self::DbInstance,
        Self::Trail,
        Self::Key,
        Self::Snapshot,
        Self::DbSnapshot,
        Self::DbClusterSnapshot,
        Self::Image,
        Self::Instance,
        Self::User,
        Self::Role,
    ];

    /// Source: the service authorization reference of AWS, "Resource types".
    fn shape(self) -> Shape {
        let shape = |service, beginning, located, owned, id, name| Shape {
            service,
            beginning,
            located,
            owned,
            id,
            name,
        };
        match self {
            Self::Account => shape("iam", "root", false, true, None, "account"),
            Self::Bucket => shape("s3", "", false, false, None, "bucket"),
            Self::SecurityGroup => {
                let id = Some("sg-");
                shape("ec2", "security-group/", true, true, id, "security group")
            }
            // It has no ARN of its own; this one is ours.
            Self::AccessKey => shape(
                "iam",
                "access-key/",
                false,
                true,
                Some("AKIA"),
                "access key",
            ),
            Self::DbInstance => shape("rds", "db:", true, true, None, "database instance"),
            Self::Trail => shape("cloudtrail", "trail/", true, true, None, "trail"),
            Self::Key => shape("kms", "key/", true, true, None, "key"),
            Self::Snapshot => shape("ec2", "snapshot/", true, false, Some("snap-"), "snapshot"),
            Self::DbSnapshot => shape("rds", "snapshot:", true, true, None, "database snapshot"),
            Self::DbClusterSnapshot => {
                let name = "cluster snapshot";
                shape("rds", "cluster-snapshot:", true, true, None, name)
            }
            Self::Image => shape("ec2", "image/", true, false, Some("ami-"), "machine image"),
            Self::Instance => shape("ec2", "instance/", true, true, Some("i-"), "instance"),
            Self::User => shape("iam", "user/", false, true, None, "user"),
            Self::Role => shape("iam", "role/", false, true, None, "role"),
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.shape().name
    }

    /// Reads what names a resource of this kind: an ARN, an id whose form tells the kind, or a form of Security Hub such
    /// as `AWS::::Account:111122223333`. Absent if it is none.
    #[must_use]
    pub fn named(self, resource: &str) -> Option<Named<'_>> {
        let shape = self.shape();
        let bare = |id, account| Named {
            partition: None,
            region: "",
            account,
            id,
        };
        if let Some(rest) = resource.strip_prefix("arn:") {
            let mut parts = rest.splitn(5, ':');
            let (partition, service) = (parts.next()?, parts.next()?);
            let (region, account, rest) = (parts.next()?, parts.next()?, parts.next()?);
            let id = rest.strip_prefix(shape.beginning)?;
            let fits = service == shape.service
                && matches!(partition, "aws" | "aws-cn" | "aws-us-gov" | "aws-eusc")
                && (self != Self::Account || id.is_empty())
                // An object has a key after its bucket.
                && (self != Self::Bucket || !id.contains('/'));
            return fits.then_some(Named {
                partition: Some(partition),
                region: if shape.located { region } else { "" },
                account,
                id: if self == Self::Account { account } else { id },
            });
        }
        match self {
            Self::Account => {
                let digits = resource.strip_prefix("AWS::::Account:").unwrap_or(resource);
                is_account(digits).then(|| bare(digits, digits))
            }
            Self::AccessKey => {
                let id = resource
                    .strip_prefix("AWS::IAM::AccessKey:")
                    .unwrap_or(resource);
                id.starts_with("AKIA").then(|| bare(id, ""))
            }
            // AWS Config names buckets and keys in this way.
            Self::Bucket => is_bucket(resource).then(|| bare(resource, "")),
            Self::Key => is_key(resource).then(|| bare(resource, "")),
            _ => {
                let begins = shape.id.is_some_and(|start| resource.starts_with(start));
                begins.then(|| bare(resource, ""))
            }
        }
    }

    /// The ARN of a resource of this kind.
    #[must_use]
    pub fn arn(self, partition: &str, region: &str, account: &str, id: &str) -> String {
        let shape = self.shape();
        let region = if shape.located { region } else { "" };
        let account = if shape.owned { account } else { "" };
        let id = if self == Self::Account { "" } else { id };
        let (service, beginning) = (shape.service, shape.beginning);
        format!("arn:{partition}:{service}:{region}:{account}:{beginning}{id}")
    }
}

/// What a resource's name says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// First part of its ARN, where it is one.
    pub partition: Option<&'a str>,
    /// Region; empty where the name does not say.
    pub region: &'a str,
    /// Account; empty where the name does not say.
    pub account: &'a str,
    /// Id: what follows the beginning that ARNs of the kind have, paths included.
    pub id: &'a str,
}

impl Named<'_> {
    /// Says whether the id holds only what ids of these services hold: no white space, no wildcard, no quotes.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        (1..=512).contains(&self.id.len())
            && self
                .id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.+=,@/:".contains(&byte))
            && !self
                .id
                .split('/')
                .any(|part| matches!(part, "" | "." | ".."))
    }
}

/// Says whether a text is the twelve digits of an account of AWS.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Says whether a text can be a region of AWS: then it changes nothing of a domain name but its label.
#[must_use]
pub fn is_region(text: &str) -> bool {
    (4..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Source: user guide of S3, "General purpose bucket naming rules".
fn is_bucket(text: &str) -> bool {
    let ends = |at: Option<u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric());
    (3..=63).contains(&text.len())
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
}

/// A UUID, or the id of a key of several regions.
fn is_key(text: &str) -> bool {
    let digits = text.strip_prefix("mrk-").unwrap_or(text);
    matches!(digits.len(), 32 | 36)
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
