use lambda_runtime::Context;
use quench_app::{App, Host};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

/// Has an invocation worked on: within the time that Lambda gives it, and counted.
///
/// On AWS what was counted is written to standard output as one line of metrics, under the name that the function is
/// deployed by: so two systems in one account and region are told apart.
pub async fn invocation<T>(app: &App, context: &Context, work: impl AsyncFnOnce(&App) -> T) -> T {
    let begun = Instant::now();
    let app = app.for_invocation(time_left(context, SystemTime::now()));
    // Boxed, or the futures of a function would nest deeper than the compiler goes.
    let done = Box::pin(work(&app)).await;
    app.metrics.duration(begun.elapsed());
    if let Host::Aws { .. } = app.config.host {
        write(
            &app.metrics
                .line(&context.env_config.function_name, app.clock.now()),
        );
    }
    done
}

/// How much time Lambda leaves; `None` where it does not say.
fn time_left(context: &Context, now: SystemTime) -> Option<Duration> {
    (context.deadline > 0).then(|| context.deadline().duration_since(now).unwrap_or_default())
}

fn write(line: &str) {
    let mut out = std::io::stdout().lock();
    // Metrics that cannot be written must not fail what they measure.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_ends_at_the_deadline() {
        let mut context = Context::default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(time_left(&context, now), None);
        context.deadline = 1_010_500;
        let left = Duration::from_millis(10_500);
        assert_eq!(time_left(&context, now), Some(left));
        let late = now + Duration::from_secs(60);
        assert_eq!(time_left(&context, late), Some(Duration::ZERO));
    }
}
