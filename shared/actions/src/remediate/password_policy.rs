//! Makes the password policy of an account as strict as asked for, and no less strict than it is.

use super::Desired;
use super::api::{Api, Form, form};
use super::fault::Fault;
use super::parameters::{self, Parameters};
use super::plan::Plan;
use crate::aws::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(super) const DEPTH: usize = 0;

const KINDS: [&str; 4] = [
    "RequireLowercaseCharacters",
    "RequireUppercaseCharacters",
    "RequireNumbers",
    "RequireSymbols",
];
/// What is set, beside the kinds: whoever leaves one out sets it back (API reference of IAM,
/// `UpdateAccountPasswordPolicy`).
const FLAGS: [&str; 2] = ["AllowUsersToChangePassword", "HardExpiry"];
const NUMBERS: [&str; 3] = [
    "MinimumPasswordLength",
    "PasswordReusePrevention",
    "MaxPasswordAge",
];

#[derive(Debug, Deserialize)]
pub(super) struct Told {
    pub(super) minimum_length: u64,
    pub(super) reuse_prevention: u64,
    pub(super) maximum_age_days: Option<u64>,
    pub(super) all_kinds: bool,
}

/// `policy` is null where the account has none of its own.
pub(super) async fn read(api: &Api<'_>, _: &Parameters) -> Result<Value, Fault> {
    let answer = api
        .query_or(
            Service::Iam,
            "GetAccountPasswordPolicy",
            form([]),
            &["NoSuchEntity"],
        )
        .await?;
    let Some(answer) = answer else {
        return Ok(json!({ "policy": null }));
    };
    let policy = answer
        .at("GetAccountPasswordPolicyResult/PasswordPolicy")
        .ok_or_else(|| Fault::lacks("PasswordPolicy"))?;
    let mut fields = Map::new();
    for name in KINDS.into_iter().chain(FLAGS) {
        if let Some(text) = policy.text_at(name) {
            fields.insert(name.to_owned(), (text == "true").into());
        }
    }
    for name in NUMBERS {
        let number = policy
            .text_at(name)
            .and_then(|text| text.parse::<u64>().ok());
        // None is told as nothing, or as 0.
        if let Some(number) = number.filter(|&number| number > 0) {
            fields.insert(name.to_owned(), number.into());
        }
    }
    Ok(json!({ "policy": fields }))
}

pub(super) fn desire(
    _: &Api<'_>,
    state: &Value,
    parameters: &Parameters,
    _: Timestamp,
) -> Result<Desired, Fault> {
    let told: Told = parameters::read(parameters)?;
    let after = json!({ "policy": stricter(&state["policy"], &told) });
    if after == *state {
        let why = "the policy is as strict as that".to_owned();
        return Ok(Desired::Nothing(why, Vec::new()));
    }
    let mut warnings =
        vec!["passwords that are too weak for it are good until they are changed".to_owned()];
    if after["policy"]["MaxPasswordAge"] != state["policy"]["MaxPasswordAge"] {
        warnings
            .push("passwords older than that have to be changed at the next sign-in".to_owned());
    }
    Ok(Desired::State { after, warnings })
}

/// The stricter of both in every field; null stands for no policy.
pub(super) fn stricter(policy: &Value, told: &Told) -> Value {
    let mut fields = policy.as_object().cloned().unwrap_or_default();
    let number = |fields: &Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_u64);
    for (name, wanted) in [
        ("MinimumPasswordLength", told.minimum_length),
        ("PasswordReusePrevention", told.reuse_prevention),
    ] {
        let most = number(&fields, name).unwrap_or(0).max(wanted);
        fields.insert(name.to_owned(), most.into());
    }
    if let Some(wanted) = told.maximum_age_days {
        let least = number(&fields, "MaxPasswordAge").map_or(wanted, |age| age.min(wanted));
        fields.insert("MaxPasswordAge".to_owned(), least.into());
    }
    for name in KINDS {
        let is_on = fields.get(name) == Some(&Value::Bool(true));
        fields.insert(name.to_owned(), (is_on || told.all_kinds).into());
    }
    // Where nothing is said, the service says no.
    fields
        .entry("AllowUsersToChangePassword")
        .or_insert(false.into());
    fields.into()
}

pub(super) async fn write(
    api: &Api<'_>,
    _: &Plan,
    _: &Value,
    to: &Value,
    _: Timestamp,
) -> Result<(), Fault> {
    let Some(fields) = to["policy"].as_object() else {
        let operation = "DeleteAccountPasswordPolicy";
        // Twice is as good as once.
        let absent = &["NoSuchEntity"];
        api.query_or(Service::Iam, operation, form([]), absent)
            .await?;
        return Ok(());
    };
    let form: Form = KINDS
        .into_iter()
        .chain(FLAGS)
        .chain(NUMBERS)
        .filter_map(|name| Some((name.to_owned(), fields.get(name)?.to_string())))
        .collect();
    api.query(Service::Iam, "UpdateAccountPasswordPolicy", form)
        .await?;
    Ok(())
}

pub(super) fn compared(state: &Value) -> Value {
    let mut state = state.clone();
    // It is left out, or told as off, where passwords do not expire.
    if let Some(fields) = state["policy"].as_object_mut()
        && fields.get("HardExpiry") != Some(&Value::Bool(true))
    {
        fields.remove("HardExpiry");
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::option;
    use proptest::prelude::*;

    fn policies() -> impl Strategy<Value = Value> {
        let numbers = (6u64..=128, option::of(1u64..=24), option::of(1u64..=1095));
        option::of((numbers, any::<[bool; 6]>())).prop_map(|policy| {
            let Some(((length, reuse, age), flags)) = policy else {
                return Value::Null;
            };
            let mut fields = Map::new();
            for (name, on) in KINDS.into_iter().chain(FLAGS).zip(flags) {
                fields.insert(name.to_owned(), on.into());
            }
            let numbers = [Some(length), reuse, age];
            for (name, number) in NUMBERS.into_iter().zip(numbers) {
                fields.extend(number.map(|number| (name.to_owned(), number.into())));
            }
            fields.into()
        })
    }

    fn wishes() -> impl Strategy<Value = Told> {
        (
            6u64..=128,
            1u64..=24,
            option::of(1u64..=1095),
            any::<bool>(),
        )
            .prop_map(
                |(minimum_length, reuse_prevention, maximum_age_days, all_kinds)| Told {
                    minimum_length,
                    reuse_prevention,
                    maximum_age_days,
                    all_kinds,
                },
            )
    }

    proptest! {
        #[test]
        fn nothing_becomes_less_strict_and_twice_is_once(policy in policies(), told in wishes()) {
            let after = stricter(&policy, &told);
            prop_assert_eq!(&stricter(&after, &told), &after);
            let number = |of: &Value, name: &str| of[name].as_u64();
            for name in ["MinimumPasswordLength", "PasswordReusePrevention"] {
                prop_assert!(number(&after, name) >= number(&policy, name));
            }
            let age = |of: &Value| number(of, "MaxPasswordAge").unwrap_or(u64::MAX);
            prop_assert!(age(&after) <= age(&policy).min(told.maximum_age_days.unwrap_or(u64::MAX)));
            for name in KINDS {
                prop_assert!(after[name] == true || (policy[name] != true && !told.all_kinds));
            }
            if policy.is_object() {
                for name in FLAGS {
                    prop_assert_eq!(&after[name], &policy[name]);
                }
            }
        }
    }
}
