use super::fault::Fault;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a remediation is applied to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// What it is.
    pub kind: Kind,
    /// The id by which its service knows it: a name where its ARN has one, else an id.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// Account, by its twelve digits.
    pub account: String,
    /// Region; that of the caller where the service has none.
    pub region: String,
}

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
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::Account {
            return write!(out, "account {}", self.account);
        }
        write!(
            out,
            "{} `{}` in account {}",
            self.kind.name(),
            self.id,
            self.account
        )
    }
}

impl Target {
    /// Reads what a finding or a person names: an ARN, an id whose form tells its kind, or a form of Security Hub such
    /// as `AWS::::Account:111122223333`. `account` and `region` are those of the finding.
    ///
    /// # Errors
    /// [`Fault::Unsupported`], where it is none of the kinds, lies in another account, or has not the form of one.
    pub fn read(
        resource: &str,
        accepts: &[Kind],
        account: &str,
        region: &str,
    ) -> Result<Self, Fault> {
        let no = |why: String| Err(Fault::Unsupported(why));
        let resource = resource.trim();
        if account.len() != 12 || !account.bytes().all(|digit| digit.is_ascii_digit()) {
            return no(format!("`{}` is no account of AWS", plain(account)));
        }
        if !crate::aws::is_region(region) {
            return no(format!("`{}` is no region of AWS", plain(region)));
        }
        let found = accepts
            .iter()
            .find_map(|&kind| Some((kind, part(resource, kind)?)));
        let Some((kind, part)) = found else {
            let names: Vec<&str> = accepts.iter().map(|kind| kind.name()).collect();
            return no(format!(
                "`{}` is none of these: {}; name it by its ARN",
                plain(resource),
                names.join(", ")
            ));
        };
        if !part.account.is_empty() && part.account != account {
            return no(format!("`{}` is not in account {account}", plain(resource)));
        }
        if !is_id(part.id) {
            return no(format!(
                "`{}` cannot be the id of a {}",
                plain(part.id),
                kind.name()
            ));
        }
        let region = match part.region {
            "" => region,
            stated if crate::aws::is_region(stated) => stated,
            stated => return no(format!("`{}` is no region of AWS", plain(stated))),
        };
        let partition = part.partition.unwrap_or(partition(region));
        let id = match kind {
            Kind::Account => account,
            _ => part.id,
        };
        // IAM knows users and roles by their names alone, which come after their paths.
        let name = match kind {
            Kind::User | Kind::Role => id.rsplit('/').next().unwrap_or(id),
            _ => id,
        };
        Ok(Self {
            kind,
            id: name.to_owned(),
            arn: arn(kind, partition, region, account, id),
            account: account.to_owned(),
            region: region.to_owned(),
        })
    }

    /// The first part of ARNs where it is: `aws` but for China and governments.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// What a resource's name says.
struct Part<'a> {
    partition: Option<&'a str>,
    region: &'a str,
    account: &'a str,
    id: &'a str,
}

fn part(resource: &str, kind: Kind) -> Option<Part<'_>> {
    let shape = kind.shape();
    let bare = |id, account| Part {
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
            && (kind != Kind::Account || id.is_empty())
            // An object has a key after its bucket.
            && (kind != Kind::Bucket || !id.contains('/'));
        return fits.then_some(Part {
            partition: Some(partition),
            region: if shape.located { region } else { "" },
            account,
            id: if kind == Kind::Account { account } else { id },
        });
    }
    match kind {
        Kind::Account => {
            let digits = resource.strip_prefix("AWS::::Account:").unwrap_or(resource);
            let is = digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_digit());
            is.then(|| bare(digits, digits))
        }
        Kind::AccessKey => {
            let id = resource
                .strip_prefix("AWS::IAM::AccessKey:")
                .unwrap_or(resource);
            id.starts_with("AKIA").then(|| bare(id, ""))
        }
        // AWS Config names buckets and keys in this way.
        Kind::Bucket => is_bucket(resource).then(|| bare(resource, "")),
        Kind::Key => is_key(resource).then(|| bare(resource, "")),
        _ => {
            let begins = shape.id.is_some_and(|start| resource.starts_with(start));
            begins.then(|| bare(resource, ""))
        }
    }
}

fn arn(kind: Kind, partition: &str, region: &str, account: &str, id: &str) -> String {
    let shape = kind.shape();
    let region = if shape.located { region } else { "" };
    let account = if shape.owned { account } else { "" };
    let id = if kind == Kind::Account { "" } else { id };
    let (service, beginning) = (shape.service, shape.beginning);
    format!("arn:{partition}:{service}:{region}:{account}:{beginning}{id}")
}

fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("eusc") => "aws-eusc",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
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

/// Says whether a text holds only what ids of these services hold: no white space, no wildcard, no quotes.
fn is_id(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.+=,@/:".contains(&byte))
        && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
}

fn plain(text: &str) -> String {
    crate::neutral::line(text, 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "111122223333";

    fn read(resource: &str, kind: Kind) -> Result<Target, Fault> {
        Target::read(resource, &[kind], ACCOUNT, "eu-central-1")
    }

    #[test]
    fn names_of_every_kind_are_read() {
        for (resource, kind, id, arn) in [
            (
                "arn:aws:s3:::logs",
                Kind::Bucket,
                "logs",
                "arn:aws:s3:::logs",
            ),
            (
                "AWS::::Account:111122223333",
                Kind::Account,
                ACCOUNT,
                "arn:aws:iam::111122223333:root",
            ),
            (
                "sg-0a1b",
                Kind::SecurityGroup,
                "sg-0a1b",
                "arn:aws:ec2:eu-central-1:111122223333:security-group/sg-0a1b",
            ),
            (
                "arn:aws:ec2:us-east-1:111122223333:instance/i-1",
                Kind::Instance,
                "i-1",
                "arn:aws:ec2:us-east-1:111122223333:instance/i-1",
            ),
            (
                "arn:aws:ec2:us-east-1:111122223333:snapshot/snap-1",
                Kind::Snapshot,
                "snap-1",
                "arn:aws:ec2:us-east-1::snapshot/snap-1",
            ),
            (
                "arn:aws:iam::111122223333:user/teams/red/eve",
                Kind::User,
                "eve",
                "arn:aws:iam::111122223333:user/teams/red/eve",
            ),
            (
                "AWS::IAM::AccessKey:AKIAEXAMPLE",
                Kind::AccessKey,
                "AKIAEXAMPLE",
                "arn:aws:iam::111122223333:access-key/AKIAEXAMPLE",
            ),
            (
                "arn:aws:rds:eu-central-1:111122223333:db:orders",
                Kind::DbInstance,
                "orders",
                "arn:aws:rds:eu-central-1:111122223333:db:orders",
            ),
        ] {
            let target = read(resource, kind).unwrap();
            assert_eq!((target.id.as_str(), target.arn.as_str()), (id, arn));
            assert_eq!(read(&target.arn, kind).unwrap(), target);
        }
    }

    #[test]
    fn what_is_of_another_kind_or_account_is_refused() {
        for (resource, kind) in [
            ("arn:aws:s3:::logs/key", Kind::Bucket),
            ("arn:aws:iam::444455556666:user/eve", Kind::User),
            ("AWS::::Account:444455556666", Kind::Account),
            ("arn:aws:iam::111122223333:role/eve", Kind::User),
            ("arn:aws:iam::111122223333:user/*", Kind::User),
            ("arn:aws:iam::111122223333:user/../eve", Kind::User),
            ("arn:aws:s3:::a\"b", Kind::Bucket),
            ("ASIAEXAMPLE", Kind::AccessKey),
            (
                "arn:aws:ec2:not a region:111122223333:instance/i-1",
                Kind::Instance,
            ),
            ("arn:aws:ec2", Kind::Instance),
            ("", Kind::Bucket),
        ] {
            let refused = read(resource, kind);
            assert!(matches!(refused, Err(Fault::Unsupported(_))), "{resource}");
        }
    }
}
