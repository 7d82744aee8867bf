use super::ask::{hash, is_token};
use super::{Approval, ApprovalState, Choice};
use crate::app::App;
use crate::delivery::enqueue;
use crate::store::{Deciding, StoreError};
use jiff::Timestamp;
use quench_actions::remediate::Risk;
use std::time::Duration;

/// Most characters of a reason that are kept.
const LONGEST_REASON: usize = 1000;

/// How somebody shows who decides.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// By the token of a link, which was made for one person.
    Link {
        /// The token.
        token: &'a str,
    },
    /// By a login: who that is, and which question is meant.
    Login {
        /// Who.
        by: &'a str,
        /// Id of the approval.
        approval: &'a str,
    },
}

/// Why a question is not decided, or not shown.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    /// There is no such question, or no such link.
    #[error(
        "there is no such approval: the link is wrong, or what it leads to was removed long ago"
    )]
    Unknown,
    /// Somebody has decided already.
    #[error("{}", already(.0))]
    Already(ApprovalState),
    /// It is too late.
    #[error("the approval expired at {}, so it is not done", time(*.at))]
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// What it was about changed.
    #[error("what it was about changed at {}: nothing is done upon this approval, and if anything is still to be done, a new one is asked for", time(*.at))]
    Superseded {
        /// When that was found.
        at: Timestamp,
    },
    /// Whoever asked for the run may not agree to it.
    #[error("you started this run yourself, so that somebody else has to decide")]
    Requester,
    /// The risk is high, and a link proves no login.
    #[error(
        "the risk is high, so that deciding takes a login: use `quench approvals approve {id}` or `quench approvals deny {id}`, or send `POST /approvals/{id}/decision` with a token that has the scope `approvals:decide`"
    )]
    LoginNeeded {
        /// Id of the approval.
        id: String,
    },
    /// The decision is about something else than the question.
    #[error("what you decided about is not what is asked: look at it again")]
    OtherPlan,
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refused {
    /// What went wrong, in one word, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Refused::Unknown => "UnknownApproval",
            Refused::Already(_) => "AlreadyDecided",
            Refused::Expired { .. } => "Expired",
            Refused::Superseded { .. } => "Superseded",
            Refused::Requester => "OwnRequest",
            Refused::LoginNeeded { .. } => "LoginNeeded",
            Refused::OtherPlan => "OtherPlan",
            Refused::Store(error) if error.is_transient() => "Unavailable",
            Refused::Store(_) => "Internal",
        }
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn already(state: &ApprovalState) -> String {
    let (word, by, at, reason) = match state {
        ApprovalState::Approved { by, at, reason } => ("approved", by, at, reason),
        ApprovalState::Denied { by, at, reason } => ("denied", by, at, reason),
        ApprovalState::Pending
        | ApprovalState::Expired { .. }
        | ApprovalState::Superseded { .. } => return "it was decided already".to_owned(),
    };
    let told = format!("it was {word} already, by {by} at {}", time(*at));
    match reason {
        Some(reason) => format!("{told}: {reason}"),
        None => told,
    }
}

/// What somebody says to a question.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// What.
    pub choice: Choice,
    /// Hash of what was shown.
    pub plan_hash: &'a str,
    /// Why, in their words.
    pub reason: Option<&'a str>,
}

/// Finds the question that a link leads to, and for whom the link was made. Nothing changes by it.
///
/// # Errors
/// [`Refused::Unknown`], or the store fails.
pub async fn show(app: &App, token: &str) -> Result<(Approval, String), Refused> {
    if !is_token(token) {
        return Err(Refused::Unknown);
    }
    let hash = hash(token);
    let found = app.store.approval_of_token(&hash).await?;
    let person = |approval: &Approval| {
        let mut people = approval.asked.iter();
        people
            .find(|asked| asked.tokens.contains(&hash))
            .map(|asked| asked.to.clone())
    };
    let found = found.and_then(|approval| Some((person(&approval)?, approval)));
    let (to, approval) = found.ok_or(Refused::Unknown)?;
    Ok((approval, to))
}

/// Why a person could not decide a question as it stands.
///
/// # Errors
/// That is the answer.
pub fn may_decide(
    approval: &Approval,
    by: &str,
    by_link: bool,
    now: Timestamp,
) -> Result<(), Refused> {
    match approval.standing(now) {
        ApprovalState::Pending => {}
        ApprovalState::Expired { at } => return Err(Refused::Expired { at }),
        ApprovalState::Superseded { at } => return Err(Refused::Superseded { at }),
        state => return Err(Refused::Already(state)),
    }
    if let Some(requester) = &approval.requester
        && is_same(requester, by)
    {
        return Err(Refused::Requester);
    }
    if by_link && approval.risk == Some(Risk::High) {
        return Err(Refused::LoginNeeded {
            id: approval.id.clone(),
        });
    }
    Ok(())
}

/// Decides a question, once and for all, and has its run go on.
///
/// # Errors
/// Each reason not to is one of [`Refused`]. Where the store fails the decision may have been written down; then asking
/// again tells so, and the sweep has the run go on.
pub async fn decide(
    app: &App,
    proof: Proof<'_>,
    decision: Decision<'_>,
) -> Result<Approval, Refused> {
    let (approval, by, by_link) = match proof {
        Proof::Link { token } => {
            let (approval, to) = show(app, token).await?;
            (approval, to, true)
        }
        Proof::Login { by, approval } => {
            let found = app.store.approval(approval).await?;
            (found.ok_or(Refused::Unknown)?, by.to_owned(), false)
        }
    };
    let now = app.clock.now();
    may_decide(&approval, &by, by_link, now)?;
    let reason = decision.reason.map(kept).filter(|text| !text.is_empty());
    let decided = app
        .store
        .decide_approval(
            &approval.id,
            decision.plan_hash,
            decision.choice,
            &by,
            reason.as_deref(),
            now,
        )
        .await?;
    let decided = match decided {
        Deciding::Decided(approval) => *approval,
        Deciding::Already(ApprovalState::Superseded { at }) => {
            return Err(Refused::Superseded { at });
        }
        Deciding::Already(state) => return Err(Refused::Already(state)),
        Deciding::Expired { at } => return Err(Refused::Expired { at }),
        Deciding::OtherPlan => return Err(Refused::OtherPlan),
        Deciding::Missing => return Err(Refused::Unknown),
    };
    tracing::info!(
        approval.id = decided.id,
        run.id = decided.run,
        approved = decision.choice == Choice::Approve,
        by_link,
        "an approval was decided"
    );
    // The decision stands, whether the run hears of it now or by the sweep.
    if let Err(error) = tell_run(app, &decided).await {
        tracing::warn!(
            approval.id = decided.id,
            run.id = decided.run,
            error = %error,
            "a run has not heard yet how its approval was decided"
        );
    }
    Ok(decided)
}

/// Has the run of a decided question go on, and notes that it does.
async fn tell_run(app: &App, approval: &Approval) -> Result<(), StoreError> {
    let now = app.clock.now();
    if app.store.wake_run(&approval.run, now).await? {
        enqueue(app, &approval.run, Duration::ZERO, now).await?;
    }
    app.store.note_heard(&approval.id).await
}

/// Has runs go on that have not heard how their questions were decided, as whoever decided broke off; yields how many.
///
/// # Errors
/// The store fails.
pub(crate) async fn tell_runs(
    app: &App,
    decided: Timestamp,
    limit: u32,
) -> Result<usize, StoreError> {
    let unheard = app.store.unheard_approvals(decided, limit).await?;
    for approval in &unheard {
        tell_run(app, approval).await?;
    }
    Ok(unheard.len())
}

/// A reason as it is kept: without what steers screens, and not too long.
fn kept(reason: &str) -> String {
    let plain = |letter: &char| *letter == '\n' || !letter.is_control();
    let text: String = reason.trim().chars().filter(plain).collect();
    text.chars().take(LONGEST_REASON).collect()
}

/// Whether two names may be of one person. Who starts a run is told as the door knows it: a mail address with an id, the
/// ARN of a session, the name of an account of the machine; perhaps on behalf of somebody.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (names(one), names(other));
    one.iter()
        .any(|name| other.iter().any(|known| are_one(name, known)))
}

/// Names that stand for one person: an account of a machine may be the first part of a mail address.
fn are_one(one: &str, other: &str) -> bool {
    let account = |name: &str, address: &str| {
        !name.contains('@')
            && address
                .split_once('@')
                .is_some_and(|(first, _)| first == name)
    };
    one == other || account(one, other) || account(other, one)
}

/// All names that a text tells somebody by, in lower case.
fn names(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let mut names = vec![text.trim().to_owned()];
    for part in text.split(" for ") {
        names.push(part.trim().to_owned());
        // `anna@example.com (1234)`
        if let Some((name, id)) = part
            .trim()
            .strip_suffix(')')
            .and_then(|part| part.rsplit_once(" ("))
        {
            names.extend([name.trim().to_owned(), id.trim().to_owned()]);
        }
        // `arn:aws:sts::111122223333:assumed-role/operator/anna@example.com`
        if part.starts_with("arn:")
            && let Some((_, session)) = part.trim().rsplit_once('/')
        {
            names.push(session.to_owned());
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_started_a_run_is_known_by_any_of_his_names() {
        for (requester, decider) in [
            ("anna@example.com", "Anna@Example.com"),
            ("anna@example.com (1234)", "anna@example.com"),
            ("anna@example.com (1234)", "1234"),
            ("anna@example.com (1234)", "anna@example.com (1234)"),
            ("invocation for anna@example.com", "anna@example.com"),
            (
                "bert@example.com (7) for anna@example.com",
                "anna@example.com (1234)",
            ),
            (
                "bert@example.com (7) for anna@example.com",
                "bert@example.com",
            ),
            (
                "arn:aws:sts::111122223333:assumed-role/operator/anna@example.com",
                "anna@example.com",
            ),
            (
                "arn:aws:iam::111122223333:user/staff/anna",
                "anna@example.com",
            ),
            ("anna", "anna@example.com"),
            ("anna@example.com", "anna"),
        ] {
            assert!(is_same(requester, decider), "{requester} {decider}");
        }
        for (requester, decider) in [
            ("anna@example.com", "bert@example.com"),
            ("anna@example.com (1234)", "bert@example.com (5678)"),
            ("anna", "annabel@example.com"),
            ("anna@example.com", "anna@example.org"),
            ("invocation", "anna@example.com"),
            (
                "arn:aws:sts::111122223333:assumed-role/operator/bert",
                "anna@example.com",
            ),
            ("", "anna"),
            ("", ""),
        ] {
            assert!(!is_same(requester, decider), "{requester} {decider}");
        }
    }

    #[test]
    fn a_reason_is_kept_readable_and_short() {
        assert_eq!(
            kept("  not \u{1b}[2Jtoday\nnor tomorrow "),
            "not [2Jtoday\nnor tomorrow"
        );
        assert_eq!(kept(&"x".repeat(5000)).len(), LONGEST_REASON);
    }
}
