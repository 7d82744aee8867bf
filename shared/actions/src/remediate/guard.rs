use super::api::{Api, Pages, form};
use super::fault::Fault;
use super::target::{Kind, Target};
use crate::aws::{Aws, Element, Service};
use crate::neutral;
use quench_automations::Exempt;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// The tags of a resource, by key.
pub type Tags = BTreeMap<String, String>;

/// Whether a resource may be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may.
    Free,
    /// It may not, as somebody wished.
    Exempt {
        /// Who and how.
        reason: String,
    },
    /// Nobody can tell, so it may not.
    Undecided {
        /// Why nobody can.
        reason: String,
    },
}

/// Says whether a target may be changed; tags that cannot be read leave that open, which means no.
#[must_use]
pub fn exempt(rules: &Exempt, target: &Target, tags: Result<&Tags, &Fault>) -> Verdict {
    let exempt = |reason: String| Verdict::Exempt { reason };
    if rules.accounts.contains(&target.account) {
        return exempt(format!("account {} is exempt", target.account));
    }
    let named = rules.resources.iter().find(|pattern| {
        let pattern = pattern.trim();
        fits(pattern, &target.arn) || fits(pattern, &target.id)
    });
    if let Some(pattern) = named {
        return exempt(format!(
            "{target} is exempt by `{}`",
            neutral::line(pattern, 200)
        ));
    }
    let tags = match tags {
        Ok(tags) => tags,
        Err(fault) => {
            return Verdict::Undecided {
                reason: format!(
                    "tags of {target} cannot be read, so nobody can tell if it is exempt; nothing is changed: {fault}"
                ),
            };
        }
    };
    // Tags as an owner writes them by hand: what is not clearly off is on.
    let glass = tags.iter().find(|(key, value)| {
        key.eq_ignore_ascii_case(rules.break_glass.trim())
            && !value.trim().eq_ignore_ascii_case("false")
    });
    if let Some((key, _)) = glass {
        return exempt(format!(
            "{target} bears the tag `{}`",
            neutral::line(key, 128)
        ));
    }
    for rule in &rules.tags {
        let (key, value) = match rule.split_once('=') {
            Some((key, value)) => (key.trim(), Some(value.trim())),
            None => (rule.trim(), None),
        };
        let borne = tags
            .get(key)
            .is_some_and(|borne| value.is_none_or(|value| fits(value, borne)));
        if borne {
            return exempt(format!(
                "{target} bears the tag `{}`",
                neutral::line(rule, 200)
            ));
        }
    }
    Verdict::Free
}

/// Says whether a text fits a pattern in which `*` stands for any letters, also none.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else {
        return false;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Reads the tags of a target; an account has none, and a key has those of its user.
///
/// # Errors
/// See [`Fault`].
pub async fn tags(aws: &Aws, target: &Target) -> Result<Tags, Fault> {
    let api = Api::open(aws, target).await?;
    match target.kind {
        Kind::Account => Ok(Tags::new()),
        Kind::Bucket => {
            let (action, none) = ("s3:GetBucketTagging", &["NoSuchTagSet"]);
            let answer = api.bucket(action, Method::GET, "tagging", None, none);
            let Some(answer) = answer.await? else {
                return Ok(Tags::new());
            };
            let root = super::api::xml(&answer)?;
            pairs(root.items("TagSet"), ("Key", "Value"))
        }
        Kind::SecurityGroup | Kind::Instance | Kind::Snapshot | Kind::Image => {
            let form = form([
                ("Filter.1.Name", "resource-id"),
                ("Filter.1.Value.1", &target.id),
            ]);
            let list = ("tagSet", Pages::Token);
            let tags = api.list(Service::Ec2, "DescribeTags", form, list).await?;
            pairs(tags.iter(), ("key", "value"))
        }
        Kind::DbInstance | Kind::DbSnapshot | Kind::DbClusterSnapshot => {
            let form = form([("ResourceName", &target.arn)]);
            let answer = api.query(Service::Rds, "ListTagsForResource", form).await?;
            let list = answer.items("ListTagsForResourceResult/TagList");
            pairs(list, ("Key", "Value"))
        }
        Kind::User => of_principal(&api, "ListUserTags", "UserName", &target.id).await,
        Kind::Role => of_principal(&api, "ListRoleTags", "RoleName", &target.id).await,
        Kind::AccessKey => {
            let user = super::deactivate_access_key::user(&api, &target.id).await?;
            of_principal(&api, "ListUserTags", "UserName", &user).await
        }
        Kind::Trail => {
            let body = json!({ "ResourceIdList": [target.arn] });
            let answer = api.json(Service::CloudTrail, "ListTags", &body).await?;
            let list = &answer["ResourceTagList"][0]["TagsList"];
            of_json(list, ("Key", "Value"), "ResourceTagList")
        }
        Kind::Key => {
            let body = json!({ "KeyId": target.id, "Limit": 50 });
            let answer = api.json(Service::Kms, "ListResourceTags", &body).await?;
            of_json(&answer["Tags"], ("TagKey", "TagValue"), "Tags")
        }
    }
}

async fn of_principal(
    api: &Api<'_>,
    operation: &str,
    name: &str,
    value: &str,
) -> Result<Tags, Fault> {
    let path = format!("{operation}Result/Tags");
    let list = (path.as_str(), Pages::Marker);
    let form = form([(name, value)]);
    let tags = api.list(Service::Iam, operation, form, list).await?;
    pairs(tags.iter(), ("Key", "Value"))
}

fn pairs<'a>(
    items: impl Iterator<Item = &'a Element>,
    (key, value): (&str, &str),
) -> Result<Tags, Fault> {
    items
        .map(|item| {
            let key = item.text_at(key).ok_or_else(|| Fault::lacks(key))?;
            let value = item.text_at(value).unwrap_or_default();
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

fn of_json(
    list: &serde_json::Value,
    (key, value): (&str, &str),
    lacking: &str,
) -> Result<Tags, Fault> {
    let items = list.as_array().ok_or_else(|| Fault::lacks(lacking))?;
    items
        .iter()
        .map(|item| {
            let key = item[key].as_str().ok_or_else(|| Fault::lacks(key))?;
            let value = item[value].as_str().unwrap_or_default();
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Target {
        let (account, region) = ("111122223333", "eu-central-1");
        Target::read("arn:aws:s3:::logs", &[Kind::Bucket], account, region).unwrap()
    }

    fn borne(tags: &[(&str, &str)]) -> Tags {
        tags.iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn rules(tags: &[&str], resources: &[&str], accounts: &[&str]) -> Exempt {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Exempt {
            tags: owned(tags),
            resources: owned(resources),
            accounts: owned(accounts),
            ..Exempt::default()
        }
    }

    #[test]
    fn a_resource_is_exempt_by_tag_name_or_account() {
        let tags = borne(&[("team", "red-1"), ("quench:exempt", "false")]);
        for (rules, is_free) in [
            (rules(&[], &[], &[]), true),
            (rules(&["team"], &[], &[]), false),
            (rules(&["team=red-*"], &[], &[]), false),
            (rules(&["team=blue"], &[], &[]), true),
            (rules(&[], &["logs"], &[]), false),
            (rules(&[], &["arn:aws:s3:::l*s"], &[]), false),
            (rules(&[], &["log"], &[]), true),
            (rules(&[], &[], &["111122223333"]), false),
            (rules(&[], &[], &["444455556666"]), true),
        ] {
            let verdict = exempt(&rules, &bucket(), Ok(&tags));
            assert_eq!(verdict == Verdict::Free, is_free, "{rules:?}: {verdict:?}");
        }
    }

    #[test]
    fn the_tag_that_breaks_the_glass_holds_unless_it_says_false() {
        for (value, is_free) in [
            ("true", false),
            ("", false),
            ("no idea", false),
            ("False", true),
        ] {
            let tags = borne(&[("Quench:Exempt", value)]);
            let verdict = exempt(&Exempt::default(), &bucket(), Ok(&tags));
            assert_eq!(verdict == Verdict::Free, is_free, "`{value}`");
        }
    }

    #[test]
    fn tags_that_cannot_be_read_stop_it_and_it_says_so() {
        let fault = Fault::Denied {
            action: "s3:GetBucketTagging".to_owned(),
            reason: "no".to_owned(),
        };
        let verdict = exempt(&Exempt::default(), &bucket(), Err(&fault));
        let Verdict::Undecided { reason } = verdict else {
            panic!("it was decided: {verdict:?}");
        };
        assert!(reason.contains("nothing is changed"), "{reason}");
        assert!(reason.contains("`s3:GetBucketTagging`"), "{reason}");
        let by_name = rules(&[], &["logs"], &[]);
        let verdict = exempt(&by_name, &bucket(), Err(&fault));
        assert!(matches!(verdict, Verdict::Exempt { .. }));
    }

    #[test]
    fn exemptions_that_can_never_hold_are_told() {
        let wrong = rules(&["=x"], &[" "], &["1111"]);
        assert_eq!(wrong.check().unwrap_err().len(), 3);
        assert_eq!(rules(&["a=b"], &["x"], &["111122223333"]).check(), Ok(()));
    }

    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("ab*ba", "aba", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
