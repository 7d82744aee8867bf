//! Takes everything away from an IAM user or role by one more inline policy, and ends its sessions.

use super::api::{Api, Form, form};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::target::{Kind, Target};
use super::{Desired, policy};
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const DEPTH: usize = 0;

/// The inline policy that contains.
const NAME: &str = "QuenchContainment";
const DENY_ALL: &str = "QuenchDenyAll";
const REVOKE: &str = "QuenchRevokeOlderSessions";

#[derive(Deserialize)]
struct Told {
    only_sessions: bool,
}

/// Operations and names, which are alike for users and roles.
struct Names {
    get: &'static str,
    get_policy: &'static str,
    put: &'static str,
    delete: &'static str,
    name: &'static str,
    path: &'static str,
}

fn names(kind: Kind) -> Names {
    match kind {
        Kind::User => Names {
            get: "GetUser",
            get_policy: "GetUserPolicy",
            put: "PutUserPolicy",
            delete: "DeleteUserPolicy",
            name: "UserName",
            path: "GetUserResult/User/Path",
        },
        _ => Names {
            get: "GetRole",
            get_policy: "GetRolePolicy",
            put: "PutRolePolicy",
            delete: "DeleteRolePolicy",
            name: "RoleName",
            path: "GetRoleResult/Role/Path",
        },
    }
}

fn addressed(target: &Target) -> Form {
    let names = names(target.kind);
    form([(names.name, &target.id), ("PolicyName", NAME)])
}

/// `policy` is the containing one, letter by letter; null where there is none.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let names = names(api.target.kind);
    // That it is not there is another thing than that it has no such policy.
    let principal = form([(names.name, &api.target.id)]);
    let principal = api.query(Service::Iam, names.get, principal).await?;
    let path = principal.text_at(names.path).unwrap_or("/");
    let form = addressed(api.target);
    let found = api
        .query_or(Service::Iam, names.get_policy, form, &["NoSuchEntity"])
        .await?;
    let document = found.as_ref().and_then(|answer| {
        let path = format!("{}Result/PolicyDocument", names.get_policy);
        answer.text_at(&path).map(decoded)
    });
    Ok(json!({ "policy": document, "path": path }))
}

/// Documents come percent-encoded (API reference of IAM, `GetUserPolicy`); one that was not begins as JSON does.
fn decoded(text: &str) -> String {
    if text.trim_start().starts_with('{') {
        return text.to_owned();
    }
    let escaped = text.replace('+', "%2B");
    let pair = format!("text={escaped}");
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, text)| text.into_owned())
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    let target = api.target;
    if api.callers.iter().any(|caller| is_caller(caller, target)) {
        return Err(Fault::Guard(format!(
            "{target} is the one that this is done as, and would contain itself"
        )));
    }
    let path = state["path"].as_str().unwrap_or("/");
    if path.starts_with("/aws-service-role/") || path.starts_with("/aws-reserved/") {
        return Err(Fault::Unsupported(format!(
            "{target} belongs to AWS; nobody can change its policies"
        )));
    }
    let before = state["policy"].as_str();
    let holds = |id: &str| before.is_some_and(|text| text.contains(id));
    if holds(DENY_ALL) || (told.only_sessions && holds(REVOKE)) {
        let why = format!("the policy `{NAME}` contains it");
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut statements = vec![json!({
        "Sid": REVOKE,
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": { "DateLessThan": { "aws:TokenIssueTime": now.to_string() } },
    })];
    if !told.only_sessions {
        let all = json!({ "Sid": DENY_ALL, "Effect": "Deny", "Action": "*", "Resource": "*" });
        statements.insert(0, all);
    }
    let document = json!({ "Version": "2012-10-17", "Statement": statements });
    let mut after = state.clone();
    after["policy"] = document.to_string().into();
    let warnings = match (told.only_sessions, target.kind) {
        (true, _) => vec![format!(
            "sessions that began after {now} go on, and access keys of users work on"
        )],
        (false, Kind::Role) => vec!["whatever runs as this role fails at once".to_owned()],
        (false, _) => vec!["whatever uses keys of this user fails at once".to_owned()],
    };
    Ok(Desired::State { after, warnings })
}

/// Says whether calls are made as a target; the ARN of a session names its role without the path.
fn is_caller(caller: &str, target: &Target) -> bool {
    let resource = caller.splitn(6, ':').nth(5).unwrap_or_default();
    let name = match target.kind {
        Kind::User => resource
            .strip_prefix("user/")
            .and_then(|path| path.rsplit('/').next()),
        _ => resource
            .strip_prefix("assumed-role/")
            .and_then(|path| path.split('/').next()),
    };
    name.is_some_and(|name| name.eq_ignore_ascii_case(&target.id))
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    _: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let names = names(api.target.kind);
    let mut form = addressed(api.target);
    match to["policy"].as_str() {
        Some(policy) => {
            form.push(("PolicyDocument".to_owned(), policy.to_owned()));
            api.query(Service::Iam, names.put, form).await?;
        }
        None => {
            // Twice is as good as once.
            let absent = &["NoSuchEntity"];
            api.query_or(Service::Iam, names.delete, form, absent)
                .await?;
        }
    }
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "policy": state["policy"].as_str().map(policy::compared) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remediate::Remediation;

    #[test]
    fn the_caller_is_known_by_user_and_by_session() {
        let (account, region) = ("111122223333", "eu-central-1");
        let target = |kind: &str| {
            let arn = format!("arn:aws:iam::{account}:{kind}/ops/Quench");
            Target::read(
                &arn,
                Remediation::ContainPrincipal.facts().accepts,
                account,
                region,
            )
            .unwrap()
        };
        for (caller, role, user) in [
            (
                "arn:aws:sts::111122223333:assumed-role/Quench/runner",
                true,
                false,
            ),
            (
                "arn:aws:sts::111122223333:assumed-role/quench/runner",
                true,
                false,
            ),
            ("arn:aws:iam::111122223333:user/ops/Quench", false, true),
            (
                "arn:aws:sts::111122223333:assumed-role/Other/Quench",
                false,
                false,
            ),
            ("arn:aws:iam::111122223333:root", false, false),
        ] {
            assert_eq!(is_caller(caller, &target("role")), role, "{caller}");
            assert_eq!(is_caller(caller, &target("user")), user, "{caller}");
        }
    }

    #[test]
    fn documents_are_decoded() {
        assert_eq!(decoded("%7B%22a%22%3A%22b%20c+d%22%7D"), r#"{"a":"b c+d"}"#);
        assert_eq!(decoded(r#"{"a":"50%25"}"#), r#"{"a":"50%25"}"#);
    }
}
