use super::fault::Fault;
use crate::aws::is_region;
use quench_automations::remediation::is_account;
use serde::{Deserialize, Serialize};
use std::fmt;

pub use quench_automations::remediation::Kind;

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
        if !is_account(account) {
            return no(format!("`{}` is no account of AWS", plain(account)));
        }
        if !is_region(region) {
            return no(format!("`{}` is no region of AWS", plain(region)));
        }
        let found = accepts
            .iter()
            .find_map(|&kind| Some((kind, kind.named(resource)?)));
        let Some((kind, named)) = found else {
            let names: Vec<&str> = accepts.iter().map(|kind| kind.name()).collect();
            return no(format!(
                "`{}` is none of these: {}; name it by its ARN",
                plain(resource),
                names.join(", ")
            ));
        };
        if !named.account.is_empty() && named.account != account {
            return no(format!("`{}` is not in account {account}", plain(resource)));
        }
        if !named.is_plain() {
            return no(format!(
                "`{}` cannot be the id of a {}",
                plain(named.id),
                kind.name()
            ));
        }
        let region = match named.region {
            "" => region,
            stated if is_region(stated) => stated,
            stated => return no(format!("`{}` is no region of AWS", plain(stated))),
        };
        let partition = named.partition.unwrap_or(partition(region));
        let id = match kind {
            Kind::Account => account,
            _ => named.id,
        };
        // IAM knows users and roles by their names alone, which come after their paths.
        let name = match kind {
            Kind::User | Kind::Role => id.rsplit('/').next().unwrap_or(id),
            _ => id,
        };
        Ok(Self {
            kind,
            id: name.to_owned(),
            arn: kind.arn(partition, region, account, id),
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

fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("eusc") => "aws-eusc",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
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
