//! What keeps an automation from doing too much, asked just before anything is changed, and told beforehand as far as it
//! is known. What cannot be evaluated stops the step.

mod blackout;

use super::deed::lower;
use super::retry::spread;
use super::walk::Touched;
use crate::app::App;
use crate::run::{Check, Event, Guard, Ruling, Run, StartedBy};
use crate::store::{Reservation, StoreError};
use jiff::Timestamp;
use quench_actions::remediate::{Fault, Tags, Target, Verdict, exempt};
use quench_automations::{Automation, Exempt, Guards, Mode};
use quench_findings::Resource;
use std::collections::BTreeMap;
use std::time::Duration;

/// What waited for the same moment goes on within so long of it.
const SPREAD: Duration = Duration::from_secs(60);

/// What a step would do something to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// A resource, with its tags or why they cannot be read.
    Resource(&'a Target, Result<&'a Tags, &'a Fault>),
    /// Whatever a runbook, a function or a state machine does for the finding of the run, in an account that the step
    /// names, if it does.
    Finding(Option<&'a str>),
    /// Nothing but the finding itself, where it comes from.
    Note,
}

/// When guards are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before it is planned: nothing is reserved, and what is of a moment is not asked for.
    Drafting,
    /// Just before the effect.
    Doing,
    /// Just before it is gone on with: what was granted stays so.
    Resuming,
}

/// What is asked of guards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) run: &'a Run,
    pub(crate) path: &'a str,
    pub(crate) subject: Subject<'a>,
    pub(crate) moment: Moment,
    /// How far the step may go as far as the run knows.
    pub(crate) mode: Mode,
    pub(crate) touched: &'a Touched,
}

/// What guards say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// How far the step may go.
    pub(crate) mode: Mode,
    pub(crate) checks: Vec<Check>,
    pub(crate) outcome: Outcome,
}

/// What follows from what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing is against it.
    Passes,
    /// The resource is left alone.
    Exempt { reason: String },
    /// It has to wait.
    Waits { reason: String, until: Timestamp },
    /// It must not be done.
    Stops { reason: String },
}

impl Told {
    /// The line of the journal.
    pub(crate) fn event(&self) -> Event {
        Event::Guarded {
            mode: self.mode,
            checks: self.checks.clone(),
        }
    }

    fn check(&mut self, guard: Guard, ruling: Ruling, about: impl Into<String>) {
        let about = about.into();
        self.checks.push(Check {
            guard,
            ruling,
            about,
        });
    }

    fn passes(&mut self, guard: Guard, about: impl Into<String>) {
        self.check(guard, Ruling::Passes, about);
    }

    fn stops(mut self, guard: Guard, reason: String) -> Self {
        self.check(guard, Ruling::Stops, reason.clone());
        self.outcome = Outcome::Stops { reason };
        self
    }

    fn waits(mut self, guard: Guard, reason: String, until: Timestamp) -> Self {
        self.check(guard, Ruling::Waits, reason.clone());
        self.outcome = Outcome::Waits { reason, until };
        self
    }
}

/// Asks every guard, in an order in which the first word against it is the one that counts.
///
/// # Errors
/// The store cannot be read now; nothing may be changed then.
pub(crate) async fn ask(app: &App, ask: Ask<'_>) -> Result<Told, StoreError> {
    let now = app.clock.now();
    let automation = match &ask.run.started_by {
        StartedBy::Manual { .. } => None,
        StartedBy::Automation { name, .. } => match app.store.automation(name).await {
            Ok(stored) => Some((name, stored.map(|stored| stored.definition))),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                let reason =
                    format!("automation `{name}` cannot be read, so nothing is changed: {error}");
                return Ok(told(ask.mode).stops(Guard::Automation, reason));
            }
        },
    };
    let told = match judge(
        ask,
        automation.as_ref().map(|(_, found)| found.as_ref()),
        now,
    ) {
        Judged::Final(told) => return Ok(told),
        Judged::UpToRoom(told) => told,
    };
    let limit = automation.as_ref().and_then(|(name, found)| {
        let limit = found.as_ref()?.guards.max_per_hour?;
        Some((name.as_str(), limit))
    });
    match limit {
        Some((name, limit)) => room(app, ask, told, name, limit, now).await,
        None => Ok(told),
    }
}

/// Takes one of the places that an automation has within an hour.
async fn room(
    app: &App,
    ask: Ask<'_>,
    mut told: Told,
    automation: &str,
    limit: u32,
    now: Timestamp,
) -> Result<Told, StoreError> {
    let key = format!("{}/{}", ask.run.id, ask.path);
    match app.store.reserve(automation, &key, limit, now).await {
        Ok(Reservation::Reserved) => {
            told.passes(Guard::MaxPerHour, format!("one of {limit} within an hour"));
            Ok(told)
        }
        Ok(Reservation::Full { until }) => {
            let until = spread(&ask.run.id, ask.path, until.max(now), SPREAD);
            let reason = format!(
                "automation `{automation}` has changed {limit} resources within an hour, as many as `max_per_hour` allows"
            );
            Ok(told.waits(Guard::MaxPerHour, reason, until))
        }
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            let reason = format!("nobody can tell what was changed within an hour: {error}");
            Ok(told.stops(Guard::MaxPerHour, reason))
        }
    }
}

fn told(mode: Mode) -> Told {
    Told {
        mode,
        checks: Vec::new(),
        outcome: Outcome::Passes,
    }
}

enum Judged {
    Final(Told),
    /// Only the room within the hour is left to be asked for, if it is limited.
    UpToRoom(Told),
}

/// What can be told without the store; `automation` is the one that started the run, if it is still there.
fn judge(ask: Ask<'_>, automation: Option<Option<&Automation>>, now: Timestamp) -> Judged {
    use Judged::{Final, UpToRoom};
    let none = Guards::default();
    let mut told = told(ask.mode);
    let guards = match automation {
        None => {
            told.passes(Guard::Automation, "started by hand");
            &none
        }
        Some(found) => match in_force(ask.run, found, now) {
            Err(reason) => return Final(told.stops(Guard::Automation, reason)),
            Ok(automation) => {
                told.passes(Guard::Automation, "in force");
                let present = automation.mode.unwrap_or(Mode::Observe);
                told.mode = lower(ask.mode, present);
                &automation.guards
            }
        },
    };
    if told.mode != ask.mode {
        let reason = format!(
            "the automation's mode is {} by now",
            crate::store::word(told.mode)
        );
        if ask.moment == Moment::Resuming {
            let reason = format!("{reason}; what was begun may have been done in part");
            return Final(told.stops(Guard::Mode, reason));
        }
        told.check(Guard::Mode, Ruling::Stops, reason);
        if ask.moment == Moment::Doing {
            return Final(told);
        }
    } else {
        told.passes(Guard::Mode, crate::store::word(told.mode));
    }
    match verdict(&guards.exempt, ask) {
        Verdict::Free => told.passes(Guard::Exempt, "not exempt"),
        Verdict::Exempt { reason } => {
            told.check(Guard::Exempt, Ruling::Exempt, reason.clone());
            told.outcome = Outcome::Exempt { reason };
            return Final(told);
        }
        Verdict::Undecided { reason } => return Final(told.stops(Guard::Exempt, reason)),
    }
    if ask.moment == Moment::Resuming {
        return Final(told);
    }
    if ask.moment == Moment::Doing {
        match blackout::end(&guards.blackout, now) {
            Ok(None) => told.passes(Guard::Blackout, "no blackout"),
            Ok(Some(end)) => {
                let until = spread(&ask.run.id, ask.path, end, SPREAD);
                let reason = format!("nothing is changed before {end}, by `blackout`");
                return Final(told.waits(Guard::Blackout, reason, until));
            }
            Err(reason) => return Final(told.stops(Guard::Blackout, reason)),
        }
    }
    if matches!(ask.subject, Subject::Note) {
        return Final(told);
    }
    if let Some(most) = guards.max_resources {
        // What is not done is counted as if it were, so that one who observes sees what would be.
        let touched = match told.mode {
            Mode::Observe => ask.touched.planned(),
            Mode::Approve | Mode::Enforce => ask.touched.changed(),
        };
        let is_known = match ask.subject {
            Subject::Resource(target, _) => touched.contains(target.arn.as_str()),
            Subject::Finding(_) | Subject::Note => touched.contains(ask.path),
        };
        let count = touched.len();
        if !is_known && count >= most as usize {
            let reason =
                format!("the run has changed {count} resources, as many as `max_resources` allows");
            return Final(told.stops(Guard::MaxResources, reason));
        }
        told.passes(Guard::MaxResources, format!("{count} of {most} so far"));
    }
    match ask.moment {
        Moment::Doing => UpToRoom(told),
        Moment::Drafting | Moment::Resuming => Final(told),
    }
}

/// The automation as it is in force now, or why nothing is done in its name.
fn in_force<'a>(
    run: &Run,
    found: Option<&'a Automation>,
    now: Timestamp,
) -> Result<&'a Automation, String> {
    let name = match &run.started_by {
        StartedBy::Automation { name, .. } => name.as_str(),
        StartedBy::Manual { .. } => "",
    };
    let Some(automation) = found else {
        return Err(format!(
            "automation `{name}` was deleted, so nothing is changed in its name"
        ));
    };
    if !automation.enabled {
        return Err(format!(
            "automation `{name}` is disabled, so nothing is changed in its name"
        ));
    }
    match automation.expires {
        Some(end) if end <= now => Err(format!(
            "automation `{name}` expired at {end}, so nothing is changed in its name"
        )),
        _ => Ok(automation),
    }
}

fn verdict(rules: &Exempt, ask: Ask<'_>) -> Verdict {
    match ask.subject {
        Subject::Resource(target, tags) => exempt(rules, target, tags),
        Subject::Note => Verdict::Free,
        Subject::Finding(place) => {
            let finding = &ask.run.finding;
            let own = finding.account.as_deref().unwrap_or_default();
            let accounts = [place.unwrap_or_default(), own];
            let accounts = accounts.into_iter().map(|name| account(rules, name));
            let resources = finding.resources.iter().map(|resource| {
                of_resource(rules, resource, resource.account.as_deref().unwrap_or(own))
            });
            let mut verdicts = accounts.chain(resources);
            verdicts
                .find(|verdict| *verdict != Verdict::Free)
                .unwrap_or(Verdict::Free)
        }
    }
}

fn account(rules: &Exempt, account: &str) -> Verdict {
    match rules.accounts.iter().any(|exempt| exempt == account) {
        true => Verdict::Exempt {
            reason: format!("account {account} is exempt"),
        },
        false => Verdict::Free,
    }
}

/// What holds for a resource that only the finding tells of, by the tags that it tells.
fn of_resource(rules: &Exempt, resource: &Resource, account: &str) -> Verdict {
    let tags: BTreeMap<String, String> = resource
        .tags
        .iter()
        .map(|(key, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (key.clone(), value)
        })
        .collect();
    let target = Target {
        // Only names are compared.
        kind: quench_actions::remediate::Kind::Account,
        id: resource.name.clone().unwrap_or_else(|| resource.id.clone()),
        arn: resource.id.clone(),
        account: account.to_owned(),
        region: String::new(),
    };
    match exempt(rules, &target, Ok(&tags)) {
        // Sources seldom tell tags, and what acts here could change any of them.
        Verdict::Free if tags.is_empty() && !rules.tags.is_empty() => Verdict::Undecided {
            reason: "the finding tells no tags of its resource, so nobody can tell if that is exempt by `exempt.tags`; nothing is done".to_owned(),
        },
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::trial::{finding, playbook, script};
    use quench_findings::Finding;
    use serde_json::json;

    fn verdict_on(finding: Finding, place: Option<&str>, rules: &Exempt) -> Verdict {
        let (mut run, _) = script(vec![playbook("main", Vec::new())]);
        run.finding = finding.into();
        let ask = Ask {
            run: &run,
            path: "call",
            subject: Subject::Finding(place),
            moment: Moment::Doing,
            mode: Mode::Enforce,
            touched: &Touched::default(),
        };
        verdict(rules, ask)
    }

    #[test]
    fn a_step_that_names_an_exempt_account_does_nothing_there() {
        let rules = Exempt {
            accounts: vec!["444455556666".to_owned()],
            ..Exempt::default()
        };
        assert_eq!(verdict_on(finding(), None, &rules), Verdict::Free);
        let there = verdict_on(finding(), Some("444455556666"), &rules);
        assert!(matches!(there, Verdict::Exempt { .. }), "{there:?}");
    }

    #[test]
    fn tags_that_the_finding_does_not_tell_are_no_proof_that_there_are_none() {
        let rules = Exempt {
            tags: vec!["env=prod*".to_owned()],
            ..Exempt::default()
        };
        let about = |tags: serde_json::Value| {
            let tags = tags.as_object().cloned().unwrap();
            let resource = Resource {
                id: "i-0123456789abcdef0".to_owned(),
                tags,
                ..Resource::default()
            };
            Finding {
                resources: vec![resource],
                ..finding()
            }
        };
        let silent = verdict_on(about(json!({})), None, &rules);
        assert!(matches!(silent, Verdict::Undecided { .. }), "{silent:?}");
        let test = about(json!({"env": "test"}));
        assert_eq!(verdict_on(test, None, &rules), Verdict::Free);
        let live = verdict_on(about(json!({"env": "production"})), None, &rules);
        assert!(matches!(live, Verdict::Exempt { .. }), "{live:?}");
        let unasked = about(json!({}));
        assert_eq!(verdict_on(unasked, None, &Exempt::default()), Verdict::Free);
    }
}
