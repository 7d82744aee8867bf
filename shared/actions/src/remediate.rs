//! Remediations: planned upon the present state, applied if that still holds, read back, and undone from a before-image.
//!
//! All of them keep one contract. [`plan`] reads the state that the remediation has to do with and says what would
//! change. [`apply`] reads it again and does what was planned, unless the resource changed since or is there already.
//! [`verify`] reads back. [`undo`] restores the before-image, unless the resource is not as the remediation left it.
//! Each may be called again at any time, also after it was broken off between two calls to AWS or before its outcome
//! was noted: what is done already is not done again.

mod api;
mod fault;
mod guard;
mod parameters;
mod plan;
mod policy;
mod remediation;
mod session;
mod target;

mod cloudtrail_logging;
mod contain_principal;
mod deactivate_access_key;
mod ebs_encryption;
mod empty_default_group;
mod imdsv2;
mod instance;
mod kms_cancel_deletion;
mod kms_key_rotation;
mod make_private;
mod password_policy;
mod quarantine_instance;
mod rds_not_public;
mod revoke_open_ingress;
mod rules;
mod s3_block_public_access;
mod s3_tls_only;
mod stop_instance;

pub use fault::Fault;
pub use guard::{Tags, Verdict, exempt, tags};
pub use parameters::Parameters;
pub use plan::{Change, Plan};
pub use quench_automations::Exempt;
pub use quench_automations::remediation::{
    Facts, Fit, FitSource, Parameter, Permission, Phase, Remediation, Risk, Scope, Takes,
    UnknownRemediation,
};
pub use session::session_policy;
pub use target::{Kind, Target};

use crate::Aws;
use api::Api;
use jiff::Timestamp;
use plan::{differences, is_between};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// First and longest pause between two looks at a resource that is not yet as it shall be.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The field of a state that says whether the service is done with what it was told; left out where it always is.
const SETTLED: &str = "settled";

/// What a remediation makes of a state.
pub(crate) enum Desired {
    /// Nothing has to be done, for a reason, and perhaps with what people ought to know all the same.
    Nothing(String, Vec<String>),
    /// It shall be this.
    State {
        /// As it is to be.
        after: Value,
        /// What people ought to know before they agree.
        warnings: Vec<String>,
    },
}

/// Whether a plan is applied for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Nothing was done yet: the resource must be wholly as it was planned upon.
    First,
    /// It was begun: some of it may have been done.
    Again,
}

/// What came of applying or undoing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It was done.
    Done,
    /// The resource was so already; nothing was changed.
    Already,
}

/// The state that a resource is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// As the plan leaves it.
    After,
    /// As it was before.
    Before,
}

/// What was read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verified {
    /// The resource is so.
    Holds {
        /// As it is.
        found: Value,
    },
    /// It was not so when time was up.
    NotYet {
        /// As it was when it was last read; null where it could not be read.
        found: Value,
        /// Why it could not be read at last, or how it differs.
        reason: String,
    },
}

/// Reads the present state and says what would change. Changes nothing.
///
/// # Errors
/// See [`Fault`].
pub async fn plan(
    aws: &Aws,
    remediation: Remediation,
    target: &Target,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Plan, Fault> {
    let facts = remediation.facts();
    let parameters = parameters::check(parameters, facts.parameters)?;
    if !facts.accepts.contains(&target.kind) {
        return Err(Fault::Unsupported(format!(
            "`{}` cannot be applied to a {}",
            facts.name,
            target.kind.name()
        )));
    }
    let api = Api::open(aws, target).await?;
    let before = remediation::read(remediation, &api, &parameters).await?;
    let desired = remediation::desire(remediation, &api, &before, &parameters, now)?;
    let (after, nothing_to_do, warnings) = match desired {
        Desired::Nothing(why, warnings) => (before.clone(), Some(why), warnings),
        Desired::State { after, warnings } => (after, None, warnings),
    };
    let plan = Plan {
        remediation,
        target: target.clone(),
        parameters,
        risk: facts.risk,
        changes: differences(&before, &after),
        nothing_to_do,
        warnings,
        hash: String::new(),
        before,
        after,
    };
    Ok(plan.seal())
}

/// Does what was planned, if the resource is still as it was planned upon.
///
/// # Errors
/// See [`Fault`]; [`Fault::Changed`] where it is not.
pub async fn apply(aws: &Aws, plan: &Plan, entry: Entry, now: Timestamp) -> Result<Effect, Fault> {
    let remediation = plan.remediation;
    let api = open(aws, plan).await?;
    let Standing {
        found,
        is,
        before,
        after,
    } = stand(&api, plan).await?;
    if is == after {
        return Ok(Effect::Already);
    }
    let depth = match entry {
        Entry::First => 0,
        Entry::Again => remediation::depth(remediation),
    };
    if !is_between(&is, &before, &after, depth) {
        return Err(changed(&plan.before, found));
    }
    settled(&found, plan)?;
    // What speaks against it may have come up since.
    if is == before {
        remediation::desire(remediation, &api, &found, &plan.parameters, now)?;
    }
    remediation::write(&api, plan, &found, &plan.after, now).await?;
    Ok(Effect::Done)
}

/// Restores what was before, if the resource is as the remediation left it.
///
/// # Errors
/// See [`Fault`]; [`Fault::Changed`] where it is not.
pub async fn undo(aws: &Aws, plan: &Plan, now: Timestamp) -> Result<Effect, Fault> {
    let remediation = plan.remediation;
    let api = open(aws, plan).await?;
    let Standing {
        found,
        is,
        before,
        after,
    } = stand(&api, plan).await?;
    if is == before {
        return Ok(Effect::Already);
    }
    if !is_between(&is, &before, &after, remediation::depth(remediation)) {
        return Err(changed(&plan.after, found));
    }
    settled(&found, plan)?;
    remediation::write(&api, plan, &found, &plan.before, now).await?;
    Ok(Effect::Done)
}

/// Reads a resource until it is as it shall be, or time is up.
///
/// # Errors
/// See [`Fault`]; what may pass by itself is borne until time is up.
pub async fn verify(aws: &Aws, plan: &Plan, goal: Goal, until: Instant) -> Result<Verified, Fault> {
    plan.check()?;
    let remediation = plan.remediation;
    let goal = match goal {
        Goal::After => &plan.after,
        Goal::Before => &plan.before,
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let looked = async {
            let api = Api::open(aws, &plan.target).await?;
            remediation::read(remediation, &api, &plan.parameters).await
        };
        let not_yet = match looked.await {
            Ok(found)
                if remediation::identity(remediation, &found)
                    == remediation::identity(remediation, goal)
                    && is_settled(&found) =>
            {
                return Ok(Verified::Holds { found });
            }
            Ok(found) => {
                let reason = match is_settled(&found) {
                    true => plan::paths(
                        &remediation::identity(remediation, goal),
                        &remediation::identity(remediation, &found),
                    ),
                    false => "the service is not done with it".to_owned(),
                };
                Verified::NotYet { found, reason }
            }
            Err(fault @ (Fault::Transient { .. } | Fault::Unknown { .. })) => Verified::NotYet {
                found: Value::Null,
                reason: fault.to_string(),
            },
            Err(fault) => return Err(fault),
        };
        if Instant::now() + pause > until {
            return Ok(not_yet);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A resource as it is, and what of it and of a plan's two states is compared.
struct Standing {
    found: Value,
    is: Value,
    before: Value,
    after: Value,
}

/// Gets ready to follow a plan that is the one it was made as.
async fn open<'a>(aws: &Aws, plan: &'a Plan) -> Result<Api<'a>, Fault> {
    plan.check()?;
    Api::open(aws, &plan.target).await
}

async fn stand(api: &Api<'_>, plan: &Plan) -> Result<Standing, Fault> {
    let remediation = plan.remediation;
    let found = remediation::read(remediation, api, &plan.parameters).await?;
    Ok(Standing {
        is: remediation::identity(remediation, &found),
        before: remediation::identity(remediation, &plan.before),
        after: remediation::identity(remediation, &plan.after),
        found,
    })
}

fn changed(planned: &Value, found: Value) -> Fault {
    Fault::Changed {
        planned: Box::new(planned.clone()),
        found: Box::new(found),
    }
}

fn is_settled(state: &Value) -> bool {
    state.get(SETTLED) != Some(&Value::Bool(false))
}

/// Says that a service is done with what it was told before, so that it can be told something else.
fn settled(state: &Value, plan: &Plan) -> Result<(), Fault> {
    if is_settled(state) {
        return Ok(());
    }
    Err(Fault::Transient {
        reason: format!("{} is being changed already", plan.target),
        throttled: false,
        retry_after: None,
    })
}
