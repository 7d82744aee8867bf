//! Takes in security alerts that a queue delivers.

use lambda_runtime::{LambdaEvent, run_concurrent, service_fn, tracing};
use quench_alert_function::handle;
use quench_app::{App, Config};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    tracing::init_default_subscriber();
    let app = open()
        .await
        .inspect_err(|error| tracing::error!(error = %error, "the function cannot start"))?;
    run_concurrent(service_fn(move |event: LambdaEvent<_>| {
        let app = app.clone();
        async move { handle(&app, event.payload).await }
    }))
    .await
}

async fn open() -> Result<App, lambda_runtime::Error> {
    Ok(App::open(Config::from_env()?).await?)
}
