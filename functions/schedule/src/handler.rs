use lambda_runtime::{Diagnostic, LambdaEvent};
use quench_app::App;
use quench_app::intake::IntakeError;
use quench_app::schedule::{Tick, tick};
use quench_batch::invocation;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Kept back from the time that Lambda gives: to end what is begun.
const RESERVE: Duration = Duration::from_secs(5);
/// How long a call takes at most: the next one comes after a minute.
const LONGEST: Duration = Duration::from_secs(45);

/// Why a call failed.
#[derive(Debug)]
pub struct TickError(IntakeError);

impl From<TickError> for Diagnostic {
    fn from(TickError(error): TickError) -> Diagnostic {
        let error_type = if error.is_transient() {
            "Unavailable"
        } else {
            "Internal"
        };
        Diagnostic {
            error_type: error_type.into(),
            error_message: error.to_string(),
        }
    }
}

/// Does what is due, whatever the event says.
///
/// # Errors
/// Part of it failed; the next call tries again.
pub async fn handle(app: &App, event: LambdaEvent<Value>) -> Result<Tick, TickError> {
    let left = event.context.deadline().duration_since(SystemTime::now());
    let budget = left.unwrap_or(LONGEST).saturating_sub(RESERVE).min(LONGEST);
    invocation(app, &event.context, async |app| {
        tick(app, budget).await.map_err(TickError)
    })
    .await
}

#[cfg(test)]
mod tests;
