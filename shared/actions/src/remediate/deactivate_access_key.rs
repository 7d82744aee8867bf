//! Deactivates access keys of IAM users; it never deletes one.

use super::Desired;
use super::api::{Api, Pages, form};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use super::target::Kind;
use crate::aws::Service;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Keys are changed one by one.
pub(super) const DEPTH: usize = 2;

#[derive(Deserialize)]
struct Told {
    older_than_days: Option<u32>,
    unused_days: Option<u32>,
}

/// The user whose key it is.
pub(super) async fn user(api: &Api<'_>, key: &str) -> Result<String, Fault> {
    let (operation, form) = ("GetAccessKeyLastUsed", form([("AccessKeyId", key)]));
    // The service denies what it does not find.
    let found = api
        .query_or(Service::Iam, operation, form, &[])
        .await
        .map_err(|fault| match fault {
            Fault::Denied { reason, .. } if reason.contains("does not exist") => {
                Fault::missing(api.target, &reason)
            }
            other => other,
        })?;
    let user = found
        .as_ref()
        .and_then(|answer| answer.text_at("GetAccessKeyLastUsedResult/UserName"));
    user.filter(|user| !user.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| Fault::missing(api.target, "no user has it"))
}

/// `keys` holds the status of each; `used` when each was made and last used.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let id = &api.target.id;
    let user = match api.target.kind {
        Kind::AccessKey => user(api, id).await?,
        _ => id.clone(),
    };
    let form = form([("UserName", &user)]);
    let list = ("ListAccessKeysResult/AccessKeyMetadata", Pages::Marker);
    let found = api.list(Service::Iam, "ListAccessKeys", form, list).await?;
    let (mut keys, mut used) = (Map::new(), Map::new());
    for key in &found {
        let text = |name: &str| key.text_at(name).ok_or_else(|| Fault::lacks(name));
        let (key, status) = (text("AccessKeyId")?, text("Status")?);
        if api.target.kind == Kind::AccessKey && key != id {
            continue;
        }
        keys.insert(key.to_owned(), status.into());
        if api.target.kind == Kind::User {
            let form = self::form([("AccessKeyId", key)]);
            let answer = api
                .query(Service::Iam, "GetAccessKeyLastUsed", form)
                .await?;
            let last = "GetAccessKeyLastUsedResult/AccessKeyLastUsed/LastUsedDate";
            let last = answer
                .text_at(last)
                .filter(|text| text.parse::<Timestamp>().is_ok());
            let made = text("CreateDate")?;
            used.insert(key.to_owned(), json!({ "made": made, "last": last }));
        }
    }
    if api.target.kind == Kind::AccessKey && keys.is_empty() {
        return Err(Fault::missing(api.target, "its user has it no longer"));
    }
    Ok(json!({ "user": user, "keys": keys, "used": used }))
}

pub(super) fn desire(
    api: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    let user = state["user"].as_str().unwrap_or_default();
    if api.callers.iter().any(|caller| is_caller(caller, user)) {
        return Err(Fault::Guard(format!(
            "user `{user}` is the one that this is done as; its keys are left alone"
        )));
    }
    let of_user = api.target.kind == Kind::User;
    if of_user && told.older_than_days.is_none() && told.unused_days.is_none() {
        let wanted = "say which keys of the user: set `older_than_days`, `unused_days` or both";
        return Err(Fault::Parameters(vec![wanted.to_owned()]));
    }
    let mut after = state.clone();
    let mut warnings = Vec::new();
    for (key, status) in state["keys"].as_object().into_iter().flatten() {
        let used = &state["used"][key];
        if status != "Active" || (of_user && !is_meant(used, &told, now)?) {
            continue;
        }
        after["keys"][key] = "Inactive".into();
        let last = used["last"]
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok());
        if last.is_some_and(|last| now.duration_since(last).as_hours() < 48) {
            warnings.push(format!("key `{key}` was used in the last two days"));
        }
    }
    if after == *state {
        let why = match of_user {
            true => "no active key is that old or unused",
            false => "the key is inactive",
        };
        return Ok(Desired::Nothing(why.to_owned(), Vec::new()));
    }
    Ok(Desired::State { after, warnings })
}

/// Says whether a key is as old and as long unused as asked for; one that was never used, since it was made.
fn is_meant(used: &Value, told: &Told, now: Timestamp) -> Result<bool, Fault> {
    let time = |name: &str| {
        used[name]
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
    };
    let made = time("made").ok_or_else(|| Fault::lacks("CreateDate"))?;
    let last = time("last").unwrap_or(made).max(made);
    let is_past = |from: Timestamp, days: Option<u32>| {
        days.is_none_or(|days| {
            let hours = (i64::from(days) * 24).hours();
            from.checked_add(hours).is_ok_and(|due| due <= now)
        })
    };
    Ok(is_past(made, told.older_than_days) && is_past(last, told.unused_days))
}

/// Says whether a user is the one that calls are made as.
fn is_caller(caller: &str, user: &str) -> bool {
    let resource = caller.splitn(6, ':').nth(5).unwrap_or_default();
    resource
        .strip_prefix("user/")
        .and_then(|path| path.rsplit('/').next())
        .is_some_and(|name| name.eq_ignore_ascii_case(user))
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    from: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let user = to["user"].as_str().unwrap_or_default();
    for (key, status) in to["keys"].as_object().into_iter().flatten() {
        if from["keys"][key] == *status {
            continue;
        }
        let status = status.as_str().unwrap_or_default();
        let form = form([("UserName", user), ("AccessKeyId", key), ("Status", status)]);
        api.query(Service::Iam, "UpdateAccessKey", form).await?;
    }
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    json!({ "user": state["user"], "keys": state["keys"] })
}
