use crate::call::{
    finding, finding::WriteBack, http, http::Http, lambda, lambda::Lambda, ssm, ssm::Ssm,
    step_functions, step_functions::StepFunctions, webhook, webhook::Webhook,
};
use crate::notify::{email, email::Email, slack, slack::Slack, teams, teams::Teams};
use crate::{ActionError, Attempt, Context, Mailer, Outside, Performed};
use quench_automations::templates::RenderError;
use quench_automations::{OnUnknown, StepKind};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

/// What a step will do, rendered and checked; its JSON and `Debug` hold no secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sends mail.
    Email(Email),
    /// Posts to Slack.
    Slack(Slack),
    /// Posts to Teams.
    Teams(Teams),
    /// Posts signed data.
    Webhook(Webhook),
    /// Makes an HTTP request.
    Http(Http),
    /// Runs a runbook.
    Ssm(Ssm),
    /// Invokes a function.
    Lambda(Lambda),
    /// Starts a state machine.
    StepFunctions(StepFunctions),
    /// Writes back to the finding.
    Finding(WriteBack),
}

impl Action {
    /// Says whether doing it again under the same key leaves the world as doing it once.
    #[must_use]
    pub fn is_idempotent(&self, outside: &Outside) -> bool {
        match self {
            Self::Email(_) => matches!(outside.mailer, Mailer::Outbox(_)),
            Self::Slack(_) | Self::Teams(_) => false,
            // Receivers deduplicate by `webhook-id`, which is the same at every attempt.
            Self::Webhook(_) => true,
            Self::Http(http) => http.is_repeatable(),
            // The token, the name or what the finding says already keeps it from being done twice.
            Self::Ssm(_) | Self::Finding(_) => true,
            Self::Lambda(_) => false,
            // An express one, which knows no names, can be started without waiting alone.
            Self::StepFunctions(step) => !step.detached,
        }
    }

    /// What follows where the step does not say what shall follow on doubt.
    #[must_use]
    pub fn default_on_unknown(&self) -> OnUnknown {
        match self {
            Self::Http(http) if !http.is_repeatable() => OnUnknown::Fail,
            Self::Lambda(_) => OnUnknown::Fail,
            Self::StepFunctions(step) if step.detached => OnUnknown::Fail,
            _ => OnUnknown::Repeat,
        }
    }
}

/// Renders a step's templates and checks all that can be checked without the outside world.
///
/// None for the kinds that steer a run and do nothing outside.
///
/// # Errors
/// Always [`ActionError::Permanent`].
pub fn prepare(kind: &StepKind, context: &Context) -> Result<Option<Action>, ActionError> {
    Ok(Some(match kind {
        StepKind::Email(step) => Action::Email(email::prepare(step, context)?),
        StepKind::Slack(step) => Action::Slack(slack::prepare(step, &context.all)?),
        StepKind::Teams(step) => Action::Teams(teams::prepare(step, &context.all)?),
        StepKind::Webhook(step) => Action::Webhook(webhook::prepare(step, &context.all)?),
        StepKind::Http(step) => Action::Http(http::prepare(step, context)?),
        StepKind::Ssm(step) => Action::Ssm(ssm::prepare(step, context)?),
        StepKind::Lambda(step) => Action::Lambda(lambda::prepare(step, context)?),
        StepKind::StepFunctions(step) => {
            Action::StepFunctions(step_functions::prepare(step, context)?)
        }
        StepKind::Finding(step) => Action::Finding(finding::prepare(step, context)?),
        StepKind::If(_)
        | StepKind::ForEach(_)
        | StepKind::Set(_)
        | StepKind::Wait(_)
        | StepKind::Stop(_)
        | StepKind::Playbook(_)
        | StepKind::Remediate(_)
        | StepKind::Approve(_) => return Ok(None),
    }))
}

/// Does it, once; again only where it was refused, and a secret that was shown has been changed meanwhile.
///
/// # Errors
/// By what is known of the effect; see [`ActionError`].
pub async fn perform(
    action: &Action,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    let deadline = Instant::now() + attempt.timeout;
    let done = try_once(action, outside, attempt).await;
    if !matches!(done, Err(ActionError::Permanent { .. })) {
        return done;
    }
    let changed = timeout_at(deadline, outside.has_changed_secret(action)).await;
    let left = deadline.saturating_duration_since(Instant::now());
    if !changed.unwrap_or(false) || left.is_zero() {
        return done;
    }
    let again = Attempt {
        timeout: left,
        ..attempt.clone()
    };
    try_once(action, outside, &again).await
}

async fn try_once(
    action: &Action,
    outside: &Outside,
    attempt: &Attempt,
) -> Result<Performed, ActionError> {
    match action {
        Action::Email(email) => email::perform(email, outside, attempt).await,
        Action::Slack(slack) => slack::perform(slack, outside, attempt).await,
        Action::Teams(teams) => teams::perform(teams, outside, attempt).await,
        Action::Webhook(webhook) => webhook::perform(webhook, outside, attempt).await,
        Action::Http(http) => http::perform(http, outside, attempt).await,
        Action::Ssm(ssm) => ssm::perform(ssm, outside, attempt).await,
        Action::Lambda(lambda) => lambda::perform(lambda, outside, attempt).await,
        Action::StepFunctions(step) => step_functions::perform(step, outside, attempt).await,
        Action::Finding(finding) => finding::perform(finding, outside, attempt).await,
    }
}

/// The error of a step's text, named as it is in the playbook.
pub(crate) fn unrendered(part: &str) -> impl Fn(RenderError) -> ActionError {
    move |error| ActionError::permanent(format!("`{part}`: {error}"))
}
