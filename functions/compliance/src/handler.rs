use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use quench_app::App;
use quench_app::delivery::batch;
use quench_batch::{BatchError, answer};

/// Takes in the payloads of a batch; tells the queue which messages to deliver again.
///
/// # Errors
/// A message failed that has no id.
pub async fn handle(app: &App, event: SqsEvent) -> Result<SqsBatchResponse, BatchError> {
    answer(event, async |messages| batch(app, messages).await).await
}

#[cfg(test)]
mod tests;
