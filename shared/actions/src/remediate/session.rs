use super::target::{Kind, Target};
use quench_automations::remediation::{Remediation, Scope};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The policy that leaves a role's session only what one remediation needs, and only on its target where AWS can tell.
#[must_use]
pub fn session_policy(remediation: Remediation, target: &Target) -> Value {
    let mut actions: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    let permissions = remediation.facts().permissions.iter();
    for permission in permissions.filter(|permission| permission.is_needed_for(target.kind)) {
        let resources = match permission.scope {
            Scope::Everything => vec!["*".to_owned()],
            Scope::Target => own(target),
            Scope::Beside(arns) => {
                let mut resources = own(target);
                resources.extend(arns.iter().map(|arn| {
                    arn.replace("{partition}", target.partition())
                        .replace("{region}", &target.region)
                        .replace("{account}", &target.account)
                }));
                resources
            }
        };
        actions
            .entry(resources)
            .or_default()
            .push(permission.action);
    }
    let statements: Vec<Value> = actions
        .into_iter()
        .map(|(resources, actions)| {
            json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
        })
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// The ARNs that AWS checks for a target.
fn own(target: &Target) -> Vec<String> {
    match target.kind {
        // IAM checks the user of a key, who is known only by asking.
        Kind::AccessKey => {
            let (partition, account) = (target.partition(), &target.account);
            vec![format!("arn:{partition}:iam::{account}:user/*")]
        }
        Kind::Account => vec!["*".to_owned()],
        _ => vec![target.arn.clone()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_may_do_nothing_to_other_resources() {
        let (account, region) = ("111122223333", "eu-central-1");
        let target = Target::read("arn:aws:s3:::logs", &[Kind::Bucket], account, region).unwrap();
        let policy = session_policy(Remediation::S3BlockPublicAccess, &target);
        let statements = policy["Statement"].as_array().unwrap();
        let on = |action: &str| {
            statements
                .iter()
                .find(|statement| {
                    statement["Action"]
                        .as_array()
                        .unwrap()
                        .contains(&action.into())
                })
                .map(|statement| statement["Resource"].clone())
        };
        assert_eq!(
            on("s3:PutBucketPublicAccessBlock"),
            Some(json!(["arn:aws:s3:::logs"]))
        );
        assert_eq!(on("s3:PutAccountPublicAccessBlock"), None);
    }

    /// API reference of STS, `AssumeRole`: a policy has 2,048 letters at most.
    #[test]
    fn every_session_has_room_for_its_policy() {
        let (account, region) = ("111122223333", "ap-southeast-2");
        let long = "x".repeat(64);
        for &remediation in Remediation::ALL {
            for &kind in remediation.facts().accepts {
                let id = match kind {
                    Kind::Account => account.to_owned(),
                    Kind::Bucket => long[1..].to_owned(),
                    Kind::AccessKey => "AKIAIOSFODNN7EXAMPLE".to_owned(),
                    Kind::SecurityGroup => "sg-0123456789abcdef0".to_owned(),
                    Kind::Instance => "i-0123456789abcdef0".to_owned(),
                    Kind::Snapshot => "snap-0123456789abcdef0".to_owned(),
                    Kind::Image => "ami-0123456789abcdef0".to_owned(),
                    Kind::Key => "mrk-0123456789abcdef0123456789abcdef".to_owned(),
                    Kind::DbInstance => format!("arn:aws:rds:{region}:{account}:db:{long}"),
                    Kind::DbSnapshot => format!("arn:aws:rds:{region}:{account}:snapshot:{long}"),
                    Kind::DbClusterSnapshot => {
                        format!("arn:aws:rds:{region}:{account}:cluster-snapshot:{long}")
                    }
                    Kind::Trail => format!("arn:aws:cloudtrail:{region}:{account}:trail/{long}"),
                    Kind::User => format!("arn:aws:iam::{account}:user/path/{long}"),
                    Kind::Role => format!("arn:aws:iam::{account}:role/path/{long}"),
                };
                let target = Target::read(&id, &[kind], account, region).unwrap();
                let length = session_policy(remediation, &target).to_string().len();
                assert!(
                    length <= 2_048,
                    "{remediation} of a {}: {length}",
                    kind.name()
                );
            }
        }
    }
}
