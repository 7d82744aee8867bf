//! The contract that every remediation keeps, tried on fresh resources that are as they should not be.

use crate::proxy::{Trouble, is_write};
use crate::world::{ACCOUNT, World};
use jiff::Timestamp;
use quench_actions::remediate::{
    Effect, Entry, Fault, Goal, Plan, Remediation, Target, Verified, apply, plan, tags, undo,
    verify,
};
use quench_emulator::REGION;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// What is tried.
pub(crate) struct Case<'a> {
    pub(crate) world: &'a World,
    pub(crate) name: &'static str,
    pub(crate) account: &'a str,
    pub(crate) parameters: Value,
    /// The calls of applying and of undoing that change something.
    pub(crate) applies: &'a [&'a str],
    pub(crate) undoes: &'a [&'a str],
    /// A resource that is not there; none where it always is.
    pub(crate) missing: Option<&'a str>,
    /// When every plan of the case is made: what a plan says of time is then the same in all of them.
    pub(crate) at: Timestamp,
}

impl<'a> Case<'a> {
    pub(crate) fn new(world: &'a World, name: &'static str) -> Self {
        Self {
            world,
            name,
            account: ACCOUNT,
            parameters: json!({}),
            applies: &[],
            undoes: &[],
            missing: None,
            at: now(),
        }
    }

    pub(crate) fn remediation(&self) -> Remediation {
        self.name.parse().unwrap()
    }

    pub(crate) fn target(&self, resource: &str) -> Target {
        let accepts = self.remediation().facts().accepts;
        Target::read(resource, accepts, self.account, REGION).unwrap()
    }

    pub(crate) fn given(&self) -> Map<String, Value> {
        self.parameters.as_object().unwrap().clone()
    }

    pub(crate) async fn plan(&self, resource: &str) -> Result<Plan, Fault> {
        let (aws, target) = (&self.world.aws, self.target(resource));
        plan(aws, self.remediation(), &target, &self.given(), self.at).await
    }

    pub(crate) async fn apply(&self, plan: &Plan, entry: Entry) -> Result<Effect, Fault> {
        apply(&self.world.aws, plan, entry, now()).await
    }

    pub(crate) async fn undo(&self, plan: &Plan) -> Result<Effect, Fault> {
        undo(&self.world.aws, plan, now()).await
    }

    async fn holds(&self, plan: &Plan, goal: Goal) {
        let until = Instant::now() + Duration::from_secs(10);
        let verified = verify(&self.world.aws, plan, goal, until).await.unwrap();
        assert!(matches!(verified, Verified::Holds { .. }), "{verified:?}");
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// What a plan says, with what a test cannot know replaced.
pub(crate) fn told(plan: &Plan, replaced: &[(&str, &str)]) -> String {
    let told = json!({
        "target": plan.target.to_string(),
        "risk": plan.risk,
        "changes": plan.changes,
        "nothing_to_do": plan.nothing_to_do,
        "warnings": plan.warnings,
    });
    let mut text = serde_json::to_string_pretty(&told).unwrap();
    for (from, to) in replaced {
        text = text.replace(from, to);
    }
    text
}

/// Holds a remediation to the contract. `make` makes a resource that wants mending, a new one each time or the same one
/// again; `look` reads all that AWS tells of it. Yields the first plan and the resource.
pub(crate) async fn keeps(
    case: &Case<'_>,
    make: impl AsyncFn() -> String,
    look: impl AsyncFn(&str) -> String,
) -> (Plan, String) {
    let proxy = &case.world.proxy;
    let mut called = BTreeSet::new();
    proxy.calls();
    let resource = make().await;
    let before = look(&resource).await;
    let planned = case.plan(&resource).await.unwrap();
    called.extend(proxy.calls());
    assert!(!called.iter().any(|call| is_write(call)), "{called:?}");
    assert!(
        !planned.changes.is_empty() && planned.nothing_to_do.is_none(),
        "{planned:?}"
    );
    let again = case.plan(&resource).await.unwrap();
    assert_eq!(
        again.hash, planned.hash,
        "a plan upon the same state is another one"
    );
    let journalled = serde_json::to_string(&planned).unwrap();
    let planned: Plan = serde_json::from_str(&journalled).unwrap();

    nothing_is_done_on_errors(case, &planned).await;
    same(
        &look(&resource).await,
        &before,
        "an error changed something",
    );

    proxy.calls();
    assert_eq!(case.apply(&planned, Entry::First).await, Ok(Effect::Done));
    let calls = proxy.calls();
    let writes: Vec<&String> = calls.iter().filter(|call| is_write(call)).collect();
    assert_eq!(writes, case.applies);
    called.extend(calls);
    case.holds(&planned, Goal::After).await;
    let after = look(&resource).await;
    assert_ne!(after, before, "applying changed nothing");

    // A crash after the effect: whoever comes next knows nothing of it.
    proxy.calls();
    for entry in [Entry::First, Entry::Again] {
        assert_eq!(case.apply(&planned, entry).await, Ok(Effect::Already));
    }
    let next = case.plan(&resource).await.unwrap();
    assert!(
        next.nothing_to_do.is_some() && next.changes.is_empty(),
        "{next:?}"
    );
    assert_eq!(case.apply(&next, Entry::First).await, Ok(Effect::Already));
    assert_eq!(proxy.writes(), [""; 0]);
    assert_eq!(look(&resource).await, after);

    assert_eq!(case.undo(&planned).await, Ok(Effect::Done));
    let calls = proxy.calls();
    let writes: Vec<&String> = calls.iter().filter(|call| is_write(call)).collect();
    assert_eq!(writes, case.undoes);
    called.extend(calls);
    case.holds(&planned, Goal::Before).await;
    same(
        &look(&resource).await,
        &before,
        "undoing did not restore it",
    );
    proxy.calls();
    assert_eq!(case.undo(&planned).await, Ok(Effect::Already));
    assert_eq!(proxy.writes(), [""; 0]);

    crashes_are_outlived(case, &make, &look).await;
    if let Some(missing) = case.missing {
        let missing = case.plan(missing).await;
        assert!(matches!(missing, Err(Fault::Missing { .. })), "{missing:?}");
    }
    proxy.calls();
    tags(&case.world.aws, &planned.target).await.unwrap();
    called.extend(proxy.calls());
    needs_what_it_says(case, &planned, called);
    (planned, resource)
}

/// Says where two long answers differ, and only there.
#[track_caller]
fn same(seen: &str, expected: &str, otherwise: &str) {
    let lines = || {
        seen.lines()
            .zip(expected.lines())
            .filter(|(seen, expected)| seen != expected)
    };
    let differing: Vec<_> = lines().take(5).collect();
    assert!(seen == expected, "{otherwise}: {differing:#?}");
}

async fn nothing_is_done_on_errors(case: &Case<'_>, planned: &Plan) {
    let proxy = &case.world.proxy;
    proxy.calls();
    proxy.fail(Trouble::Denied, 0);
    let denied = case.apply(planned, Entry::First).await.unwrap_err();
    let Fault::Denied { action, .. } = &denied else {
        panic!("it is not denied: {denied:?}");
    };
    assert_eq!(action, case.applies[0], "{denied}");
    proxy.fail_all(Trouble::Denied);
    let denied = tags(&case.world.aws, &planned.target).await;
    let is_told = matches!(&denied, Err(Fault::Denied { .. }));
    assert!(
        is_told || planned.target.kind == quench_actions::remediate::Kind::Account,
        "{denied:?}"
    );
    let denied = case.plan(&planned.target.arn).await;
    assert!(matches!(denied, Err(Fault::Denied { .. })), "{denied:?}");
    proxy.fail(Trouble::Throttled, 0);
    let throttled = case.apply(planned, Entry::First).await.unwrap_err();
    let is_told = matches!(
        &throttled,
        Fault::Transient {
            throttled: true,
            ..
        }
    );
    assert!(is_told, "{throttled:?}");
    let action = quench_actions::ActionError::from(throttled);
    assert!(matches!(
        action,
        quench_actions::ActionError::Transient { .. }
    ));
    proxy.mend();
    let mut altered = planned.clone();
    altered.after = json!({ "else": true });
    assert_eq!(
        case.apply(&altered, Entry::First).await,
        Err(Fault::Altered)
    );
}

/// Applying and undoing break off after each write, before and after its effect; the next one ends it.
async fn crashes_are_outlived(
    case: &Case<'_>,
    make: &impl AsyncFn() -> String,
    look: &impl AsyncFn(&str) -> String,
) {
    let proxy = &case.world.proxy;
    for trouble in [Trouble::Down, Trouble::CutAfter] {
        for step in 0..case.applies.len().max(case.undoes.len()) {
            let resource = make().await;
            let before = look(&resource).await;
            let planned = case.plan(&resource).await.unwrap();
            if step < case.applies.len() {
                proxy.fail(trouble, step);
                let broken = case.apply(&planned, Entry::First).await;
                proxy.mend();
                // A client repeats by itself what may be done twice.
                let expected = match trouble {
                    Trouble::Down => matches!(broken, Err(Fault::Transient { .. })),
                    _ => matches!(broken, Err(Fault::Unknown { .. }) | Ok(Effect::Done)),
                };
                assert!(expected, "{broken:?}");
            }
            // What was broken off can be undone as well as ended.
            let undone = case.undo(&planned).await.unwrap();
            assert!(step > 0 || trouble != Trouble::Down || undone == Effect::Already);
            case.holds(&planned, Goal::Before).await;
            same(
                &look(&resource).await,
                &before,
                "undoing a part did not restore it",
            );
            if step < case.applies.len() {
                proxy.fail(trouble, step);
                let _ = case.apply(&planned, Entry::First).await;
                proxy.mend();
            }
            case.apply(&planned, Entry::Again).await.unwrap();
            case.holds(&planned, Goal::After).await;
            if step < case.undoes.len() {
                proxy.fail(trouble, step);
                let _ = case.undo(&planned).await;
                proxy.mend();
            }
            case.undo(&planned).await.unwrap();
            case.holds(&planned, Goal::Before).await;
            same(
                &look(&resource).await,
                &before,
                "undoing twice did not restore it",
            );
        }
    }
}

/// The permissions that it declares are those that it uses, and tags are read with no others.
fn needs_what_it_says(case: &Case<'_>, planned: &Plan, mut called: BTreeSet<String>) {
    called.remove("sts:GetCallerIdentity");
    let permissions = case.remediation().facts().permissions.iter();
    let declared: BTreeSet<String> = permissions
        .filter(|permission| permission.is_needed_for(planned.target.kind))
        .map(|permission| permission.action.to_owned())
        // It is needed where rules have tags or groups are made, and not called.
        .filter(|action| action != "ec2:CreateTags")
        .collect();
    assert_eq!(declared, called);
}
