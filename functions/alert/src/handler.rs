use lambda_runtime::LambdaEvent;
use quench_app::App;
use quench_app::delivery::batch;
use quench_batch::{Batch, BatchAnswer, BatchError, answer, invocation};

/// Takes in the payloads of a batch; tells the queue which messages to deliver again.
///
/// # Errors
/// A message failed that has no id.
pub async fn handle(app: &App, event: LambdaEvent<Batch>) -> Result<BatchAnswer, BatchError> {
    invocation(app, &event.context, async |app| {
        answer(event.payload, async |messages| batch(app, messages).await).await
    })
    .await
}

#[cfg(test)]
mod tests;
