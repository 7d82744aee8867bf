//! Remediations that somebody asks for by name, without a playbook.

use super::{TriggerError, Triggered, firing, found, make, run_id};
use crate::app::App;
use crate::run::{Run, RunState, StartedBy};
use quench_actions::remediate::Target;
use quench_automations::remediation::{Kind, Named, Parameters, Remediation, check};
use quench_automations::{
    Approval, Mode, OnError, Parameter, ParameterType, Playbook, RemediateStep, Requirements, Step,
    StepKind,
};
use quench_findings::{Finding, Resource, Transition, named_by_hand};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What the one step is called.
pub(crate) const STEP: &str = "remediate";
/// The parameter that holds who is asked.
const APPROVERS: &str = "approvers";
/// Fits any account: for naming what is wrong with a resource whose account plays no part in it.
const ANY_ACCOUNT: &str = "000000000000";

/// A remediation that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Remedy<'a> {
    /// Which one.
    pub remediation: Remediation,
    /// Id of the stored finding that it is for; absent where a resource is named that nobody has found anything about.
    pub finding: Option<&'a str>,
    /// ARN or id of the resource; absent means the finding's one resource that the remediation takes, or else the
    /// account where it takes accounts.
    pub resource: Option<&'a str>,
    /// Account of the resource, where neither its ARN nor the finding says; absent means that of our own credentials.
    pub account: Option<&'a str>,
    /// Region of the resource, where neither its ARN nor the finding says; absent means our own.
    pub region: Option<&'a str>,
    /// What is said to the remediation.
    pub with: &'a Parameters,
    /// How far it may go.
    pub mode: Mode,
    /// Addresses of those who are asked; without any, whoever may decide looks for it.
    pub approvers: &'a [String],
    /// Who asks, as far as is known.
    pub by: &'a str,
}

/// Starts a remediation as a playbook of one step, made for this run alone; every call makes a run of its own.
///
/// Without a finding the run is about one of [`quench_findings::Source::Quench`], which is not stored and which no
/// automation fires on.
///
/// # Errors
/// The finding is not there, nobody can tell which resource is meant, the remediation does not take it or what is said
/// to it, or the store fails. Nothing is started then.
pub async fn remediate(app: &App, remedy: Remedy<'_>) -> Result<Triggered, TriggerError> {
    let facts = remedy.remediation.facts();
    check(remedy.with, facts.parameters).map_err(TriggerError::Said)?;
    let record = match remedy.finding {
        Some(id) => Some(found(app, id).await?),
        None => None,
    };
    let named = named(remedy, record.as_ref().map(|record| &*record.finding))?;
    let target = target(app, remedy, named).await?;
    let playbook = playbook(remedy, &target);
    let mut with = Map::new();
    if !remedy.approvers.is_empty() {
        with.insert(APPROVERS.to_owned(), json!(remedy.approvers));
        // Braces in an address are no template of whoever asks.
        playbook
            .bind_rendered(&with)
            .map_err(TriggerError::Parameters)?;
    }
    let (finding, transition) = match record {
        Some(record) => (record.finding, record.transition),
        None => (by_hand(&target).into(), Transition::Repeated),
    };
    let now = app.clock.now();
    let version = app.store.pin_playbook(&playbook, now).await?;
    let run = Run {
        id: run_id(&playbook.name, &finding.id)?,
        finding,
        transition,
        started_by: StartedBy::Manual {
            by: remedy.by.to_owned(),
        },
        versions: BTreeMap::from([(playbook.name.clone(), version)]),
        playbook: playbook.name,
        with,
        mode: Some(remedy.mode),
        state: RunState::Queued,
        created: now,
        updated: now,
    };
    make(app, &run).await?;
    let automations = match remedy.finding {
        Some(_) => firing(&*app.catalog().await?, &run, now)?,
        None => Vec::new(),
    };
    Ok(Triggered {
        automations,
        run,
        made: true,
    })
}

/// A resource as it was named, with what is known of where it is.
struct Meant<'a> {
    resource: &'a str,
    account: Option<&'a str>,
    region: Option<&'a str>,
}

/// The one resource that is meant.
fn named<'a>(remedy: Remedy<'a>, finding: Option<&'a Finding>) -> Result<Meant<'a>, TriggerError> {
    let facts = remedy.remediation.facts();
    let no = |reason: String| Err(TriggerError::Resource(reason));
    let of_finding = |resource: &'a str, told: Option<&'a Resource>| Meant {
        resource,
        account: told
            .and_then(|told| told.account.as_deref())
            .or_else(|| finding?.account.as_deref()),
        region: told
            .and_then(|told| told.region.as_deref())
            .or_else(|| finding?.region.as_deref()),
    };
    let known = finding.map_or(&[][..], |finding| &finding.resources);
    if let Some(resource) = remedy.resource {
        let told = known.iter().find(|told| told.id == resource);
        return Ok(of_finding(resource, told));
    }
    let Some(finding) = finding else {
        return match remedy.account {
            Some(account) if facts.accepts.contains(&Kind::Account) => {
                Ok(of_finding(account, None))
            }
            _ => no(format!(
                "nobody can tell what `{}` is to be applied to; name a finding or a resource",
                facts.name
            )),
        };
    };
    let mut fitting: Vec<(&Resource, Kind, &str)> = Vec::new();
    for told in known {
        let Some((kind, named)) = read(&told.id, facts.accepts) else {
            continue;
        };
        // The same one may be named by its id and by its ARN.
        if !fitting
            .iter()
            .any(|(_, same, id)| (*same, *id) == (kind, named.id))
        {
            fitting.push((told, kind, named.id));
        }
    }
    match (fitting.as_slice(), facts.accepts, &finding.account) {
        ([(only, ..)], ..) => Ok(of_finding(&only.id, Some(only))),
        // Nothing else can be meant.
        ([], [Kind::Account], Some(account)) => Ok(of_finding(account, None)),
        ([], ..) => no(nothing_fits(remedy.remediation, finding)),
        (several, ..) => {
            let ids: Vec<&str> = several.iter().map(|(told, ..)| told.id.as_str()).collect();
            no(format!(
                "finding `{}` is about several resources that `{}` can be applied to: `{}`; name one of them",
                finding.id,
                facts.name,
                ids.join("`, `")
            ))
        }
    }
}

/// Says that a finding is about nothing that a remediation takes, and what would mend it if that is known.
fn nothing_fits(remediation: Remediation, finding: &Finding) -> String {
    let facts = remediation.facts();
    let kinds: Vec<&str> = facts.accepts.iter().map(|kind| kind.name()).collect();
    let mut said = format!(
        "finding `{}` is about nothing that `{}` can be applied to ({}); name the resource",
        finding.id,
        facts.name,
        kinds.join(", ")
    );
    let control = finding.compliance.as_ref();
    let control = control.and_then(|compliance| compliance.control.as_deref());
    let types = [finding.finding_type.as_deref(), control];
    let mut fitting: Vec<&str> = types
        .into_iter()
        .flatten()
        .flat_map(Remediation::fitting)
        .map(Remediation::name)
        .filter(|name| *name != facts.name)
        .collect();
    fitting.dedup();
    if !fitting.is_empty() {
        said.push_str(&format!(
            ", or take what is made for it: `{}`",
            fitting.join("`, `")
        ));
    }
    said
}

fn read<'a>(resource: &'a str, accepts: &[Kind]) -> Option<(Kind, Named<'a>)> {
    let resource = resource.trim();
    accepts
        .iter()
        .find_map(|&kind| Some((kind, kind.named(resource)?)))
}

/// What a remediation is applied to, wholly said.
async fn target(app: &App, remedy: Remedy<'_>, meant: Meant<'_>) -> Result<Target, TriggerError> {
    let facts = remedy.remediation.facts();
    let Meant {
        resource,
        account,
        region,
    } = meant;
    let outside = app.outside().await?;
    let own_region = outside.cloud().ok().map(|cloud| cloud.region().to_owned());
    let named = read(resource, facts.accepts).map(|(_, named)| named);
    let in_name = named.map(|named| named.region);
    let region = in_name
        .filter(|region| !region.is_empty())
        .or(remedy.region)
        .or(region)
        .or(own_region.as_deref());
    let Some(region) = region else {
        return Err(TriggerError::Resource(format!(
            "nobody can tell which region `{resource}` is in; name it, or set `AWS_REGION`"
        )));
    };
    let said = |account: &str| {
        let read = Target::read(resource, facts.accepts, account, region);
        read.map_err(|fault| TriggerError::Resource(fault.to_string()))
    };
    let Some(named) = named else {
        return said(ANY_ACCOUNT);
    };
    if let Some(given) = remedy.region
        && given != region
    {
        return Err(TriggerError::Resource(format!(
            "`{resource}` is in region `{region}`, not in `{given}`"
        )));
    }
    let in_name = Some(named.account).filter(|account| !account.is_empty());
    // Whoever names an account means it; what the resource's name says may not contradict.
    if let Some(account) = remedy.account.or(in_name).or(account) {
        return said(account);
    }
    let unknown = |reason: String| TriggerError::Account {
        resource: resource.to_owned(),
        reason,
    };
    let cloud = outside
        .cloud()
        .map_err(|no_way| unknown(no_way.to_string()))?;
    let caller = cloud.caller().await;
    let caller = caller.map_err(|no_way| unknown(no_way.to_string()))?;
    said(&caller.account)
}

/// The finding that stands for a resource about which nobody has found anything.
fn by_hand(target: &Target) -> Finding {
    named_by_hand(Resource {
        id: target.arn.clone(),
        resource_type: Some(target.kind.name().to_owned()),
        name: Some(target.to_string()),
        account: Some(target.account.clone()),
        region: Some(target.region.clone()),
        tags: Map::new(),
    })
}

/// The playbook of one step. Its name is none that a file can have, so it is never taken for one of those.
fn playbook(remedy: Remedy<'_>, target: &Target) -> Playbook {
    let facts = remedy.remediation.facts();
    let needed = facts.permissions.iter();
    let needed = needed.filter(|permission| permission.is_needed_for(target.kind));
    let asks = !remedy.approvers.is_empty();
    let approvers = Parameter {
        parameter_type: ParameterType::Emails,
        description: Some("Who is asked.".to_owned()),
        required: true,
        default: None,
        allowed: Vec::new(),
    };
    // What is checked holds no braces, so none of it is taken for a template.
    let step = RemediateStep {
        name: facts.name.to_owned(),
        resource: Some(target.arn.clone()),
        account: Some(target.account.clone()),
        region: Some(target.region.clone()),
        with: remedy.with.clone(),
        approval: asks.then(|| Approval {
            to: Some(Value::String(format!("{{{{ params.{APPROVERS} }}}}"))),
            ..Approval::default()
        }),
        verify: None,
    };
    Playbook {
        name: format!("by-hand:{}", facts.name),
        description: Some(facts.title.to_owned()),
        triggers: quench_findings::Kind::ALL.to_vec(),
        requires: Requirements {
            connections: BTreeMap::new(),
            permissions: needed
                .map(|permission| permission.action.to_owned())
                .collect(),
        },
        parameters: match asks {
            true => BTreeMap::from([(APPROVERS.to_owned(), approvers)]),
            false => BTreeMap::new(),
        },
        steps: vec![Step {
            id: STEP.to_owned(),
            kind: StepKind::Remediate(step),
            timeout: None,
            retry: None,
            on_error: OnError::Fail,
            on_unknown: None,
        }],
    }
}

#[cfg(test)]
mod tests;
