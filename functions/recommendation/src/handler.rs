use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::Diagnostic;
use quench_app::App;
use quench_app::delivery::{Delivery, batch};

/// Why a whole batch has to be delivered again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// A message failed that the queue could not be told of.
    #[error("a message without `messageId` failed: {reason}")]
    NamelessMessage {
        /// Why it failed.
        reason: String,
    },
}

impl From<HandlerError> for Diagnostic {
    fn from(error: HandlerError) -> Diagnostic {
        let HandlerError::NamelessMessage { .. } = &error;
        Diagnostic {
            error_type: "NamelessMessage".into(),
            error_message: error.to_string(),
        }
    }
}

/// Takes in the payloads of a batch; tells the queue which messages to deliver again.
///
/// # Errors
/// A message failed that has no id.
pub async fn handle(app: &App, event: SqsEvent) -> Result<SqsBatchResponse, HandlerError> {
    let messages = event.records.into_iter().map(|record| Delivery {
        id: record.message_id.unwrap_or_default(),
        body: record.body.unwrap_or_default().into_bytes(),
    });
    let failed = batch(app, messages.collect()).await;
    // An empty id in the answer would be taken for an invalid answer, with the same effect but without the reason.
    if let Some(nameless) = failed.iter().find(|failed| failed.id.is_empty()) {
        let reason = nameless.reason.clone();
        return Err(HandlerError::NamelessMessage { reason });
    }
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed.into_iter().map(|failed| failed.id));
    Ok(response)
}

#[cfg(test)]
mod tests;
