//! Shows what people are asked, and takes their decisions.
// Its futures nest too deeply for the optimizer's default.
#![recursion_limit = "256"]

use lambda_runtime::{LambdaEvent, run_concurrent, service_fn};
use quench_approve_function::handle;
use quench_batch::start;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let app = start().await?;
    run_concurrent(service_fn(move |event: LambdaEvent<_>| {
        let app = app.clone();
        async move { handle(&app, event).await }
    }))
    .await
}
