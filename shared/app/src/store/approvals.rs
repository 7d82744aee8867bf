//! What the store does for questions to people, and for runs that wait for an answer or for room.

use super::{Page, Store, StoreError, on};
use crate::approval::{Approval, ApprovalStage, ApprovalState, Asked, Choice};
use crate::run::RunState;
use jiff::Timestamp;
use std::time::Duration;

/// How long a place is taken that an automation has.
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
/// Most tokens of one person; the oldest goes for one more.
const MOST_TOKENS: usize = 16;

/// Which questions to list; what is `None` is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalFilter {
    /// About the finding of this id.
    pub finding: Option<String>,
    /// Of this playbook.
    pub playbook: Option<String>,
    /// Standing so.
    pub stage: Option<ApprovalStage>,
}

/// A token that was made for somebody, as its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Mail address of whom it was made for.
    pub to: String,
    /// SHA-256, in hexadecimal digits.
    pub hash: String,
}

impl Token {
    /// Puts it to the person whom it was made for.
    pub(super) fn add_to(&self, asked: &mut [Asked]) {
        for asked in asked.iter_mut().filter(|asked| asked.to == self.to) {
            if !asked.tokens.contains(&self.hash) {
                asked.tokens.push(self.hash.clone());
                let over = asked.tokens.len().saturating_sub(MOST_TOKENS);
                asked.tokens.drain(..over);
            }
        }
    }
}

/// What came of deciding a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Deciding {
    /// This decision stands.
    Decided(Box<Approval>),
    /// It was decided before, or will not be decided any more.
    Already(ApprovalState),
    /// It is too late.
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// The decision is about something else than the question.
    OtherPlan,
    /// There is no such question.
    Missing,
}

/// What came of asking for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reservation {
    /// It is the caller's.
    Reserved,
    /// There is none.
    Full {
        /// When there will be some, unless others are faster.
        until: Timestamp,
    },
}

impl Store {
    /// Stores a new question; false, and nothing changed, if one with its id was there already.
    ///
    /// # Errors
    /// The store fails.
    pub async fn put_approval(&self, approval: &Approval) -> Result<bool, StoreError> {
        on!(self, kept => kept.put_approval(approval).await)
    }

    /// Finds a question.
    ///
    /// # Errors
    /// The store fails.
    pub async fn approval(&self, id: &str) -> Result<Option<Approval>, StoreError> {
        on!(self, kept => kept.approval(id).await)
    }

    /// Finds the question that a token with this digest was made for.
    ///
    /// # Errors
    /// The store fails.
    pub async fn approval_of_token(&self, hash: &str) -> Result<Option<Approval>, StoreError> {
        on!(self, kept => kept.approval_of_token(hash).await)
    }

    /// Lists the questions whose ids begin so, by id; none if that is not hex digits, of either case.
    ///
    /// # Errors
    /// The store fails.
    pub async fn approvals_by_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Approval>, StoreError> {
        on!(self, kept => kept.approvals_by_prefix(prefix, limit).await)
    }

    /// Lists questions, newest first, by where they are written down to stand.
    ///
    /// # Errors
    /// The store fails.
    pub async fn approvals(
        &self,
        filter: &ApprovalFilter,
        page: Page,
    ) -> Result<Vec<Approval>, StoreError> {
        on!(self, kept => kept.approvals(filter, page).await)
    }

    /// Notes the digests of tokens that were made for people who are asked, before those are told; false, and nothing
    /// noted, if the question is not pending or not there.
    ///
    /// # Errors
    /// The store fails.
    pub async fn add_tokens(&self, id: &str, tokens: &[Token]) -> Result<bool, StoreError> {
        on!(self, kept => kept.add_tokens(id, tokens).await)
    }

    /// Notes that somebody was told of a question.
    ///
    /// # Errors
    /// The store fails.
    pub async fn note_told(&self, id: &str, to: &str, at: Timestamp) -> Result<(), StoreError> {
        on!(self, kept => kept.note_told(id, to, at).await)
    }

    /// Decides a question, if it is pending, not expired and about what has this hash.
    ///
    /// The run does not hear of it by this: it is woken next, and [`Store::note_heard`] says that it was.
    ///
    /// # Errors
    /// The store fails.
    pub async fn decide_approval(
        &self,
        id: &str,
        plan_hash: &str,
        choice: Choice,
        by: &str,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<Deciding, StoreError> {
        let state = choice.state(by, reason, now);
        on!(self, kept => kept.decide_approval(id, plan_hash, &state, now).await)
    }

    /// Has a question that nobody decided in time be expired for good; yields it as it stands then.
    ///
    /// # Errors
    /// The store fails.
    pub async fn expire_approval(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Approval>, StoreError> {
        on!(self, kept => kept.expire_approval(id, now).await)
    }

    /// Has a question be superseded, unless it was denied; yields it as it stands then.
    ///
    /// # Errors
    /// The store fails.
    pub async fn supersede_approval(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Approval>, StoreError> {
        on!(self, kept => kept.supersede_approval(id, now).await)
    }

    /// Lists questions that were decided no later than `decided` and whose runs may not have heard of it, oldest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn unheard_approvals(
        &self,
        decided: Timestamp,
        limit: u32,
    ) -> Result<Vec<Approval>, StoreError> {
        on!(self, kept => kept.unheard_approvals(decided, limit).await)
    }

    /// Notes that the run has heard how its question was decided.
    ///
    /// # Errors
    /// The store fails.
    pub async fn note_heard(&self, id: &str) -> Result<(), StoreError> {
        on!(self, kept => kept.note_heard(id).await)
    }

    /// Makes a run that waits due now, and one that a worker holds as soon as it would wait; true if it is unfinished.
    ///
    /// # Errors
    /// The store fails.
    pub async fn wake_run(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        on!(self, kept => kept.wake_run(id, now).await)
    }

    /// Takes one of the `limit` places that an automation has within any hour. Whoever has one under the same key for
    /// less than an hour has that one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn reserve(
        &self,
        automation: &str,
        key: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        on!(self, kept => kept.reserve(automation, key, limit, now).await)
    }
}

/// Whether a question can be decided.
pub(super) enum Judged {
    Open,
    Closed(Deciding),
}

pub(super) fn judge(approval: &Approval, plan_hash: &str, now: Timestamp) -> Judged {
    match approval.standing(now) {
        ApprovalState::Pending if approval.plan_hash == plan_hash => Judged::Open,
        ApprovalState::Pending => Judged::Closed(Deciding::OtherPlan),
        ApprovalState::Expired { at } => Judged::Closed(Deciding::Expired { at }),
        state => Judged::Closed(Deciding::Already(state)),
    }
}

/// The time that has to be an hour ago for one more place to be had; none if one is to be had now.
///
/// `taken` are the times, in their order, at which the places were taken that still are.
pub(super) fn room(taken: &[Timestamp], limit: u32, now: Timestamp) -> Option<Timestamp> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if taken.len() < limit {
        return None;
    }
    // As many have to go as are too many; where there is never any room, it is asked again.
    Some(taken.get(taken.len() - limit).copied().unwrap_or(now))
}

impl RunState {
    /// The same, but going on now if it waits.
    pub(super) fn woken(self, now: Timestamp) -> RunState {
        match self {
            RunState::Waiting { until, reason } => RunState::Waiting {
                until: until.min(now),
                reason,
            },
            state => state,
        }
    }
}
