//! Does, every minute, what has become due.

use lambda_runtime::{LambdaEvent, run_concurrent, service_fn};
use quench_batch::start;
use quench_schedule_function::handle;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let app = start().await?;
    run_concurrent(service_fn(move |event: LambdaEvent<_>| {
        let app = app.clone();
        async move { handle(&app, event).await }
    }))
    .await
}
