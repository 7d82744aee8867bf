use serde::Serializer;
use serde::ser::SerializeMap;
use serde_json::Value;
use std::fmt;
use std::io::Write;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Starts the log: one JSON object a line on standard output.
///
/// `AWS_LAMBDA_LOG_LEVEL`, which the function's logging configuration sets, says from which level on; by default `info`.
pub(crate) fn start() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok();
    let level = level.and_then(|level| level.parse().ok());
    let lines = Lines {
        write: |line: &[u8]| {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(line).and_then(|()| out.flush());
        },
    };
    let subscriber = tracing_subscriber::registry()
        .with(level.unwrap_or(LevelFilter::INFO))
        .with(lines);
    // Whoever has set another one up before, a test say, keeps it.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes events with their own fields and those of all spans around them, all on the outermost level.
///
/// `level` and `timestamp` have the names and forms by which Lambda filters ("Using JSON structured logs" in its
/// Developer Guide).
struct Lines<W> {
    write: W,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&[u8]) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let spans: Vec<_> = context.event_scope(event).into_iter().flatten().collect();
        let around: Vec<_> = spans.iter().map(|span| span.extensions()).collect();
        let around = around.iter().filter_map(|told| told.get::<Fields>());
        let level = event.metadata().level().as_str();
        if let Ok(line) = line(level, &own, around) {
            (self.write)(&line);
        }
    }
}

/// Writes an event; of fields of one name, the innermost counts.
fn line<'a>(
    level: &str,
    own: &'a Fields,
    around: impl Iterator<Item = &'a Fields>,
) -> serde_json::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(512);
    let mut json = serde_json::Serializer::new(&mut line);
    let mut map = json.serialize_map(None)?;
    map.serialize_entry("timestamp", &jiff::Timestamp::now())?;
    map.serialize_entry("level", level)?;
    if let Some(message) = own.get("message") {
        map.serialize_entry("message", message)?;
    }
    let mut told = vec!["timestamp", "level", "message"];
    for (name, value) in std::iter::once(own)
        .chain(around)
        .flat_map(|fields| &fields.0)
    {
        if !told.contains(name) {
            map.serialize_entry(name, value)?;
            told.push(name);
        }
    }
    map.end()?;
    line.push(b'\n');
    Ok(line)
}

#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        let mut fields = self.0.iter();
        fields.find_map(|(known, value)| (*known == name).then_some(value))
    }

    fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        // The runtime's own span, in the manner of the other fields.
        let name = match name {
            "requestId" => "lambda.request_id",
            "xrayTraceId" => "lambda.trace_id",
            "tenantId" => "lambda.tenant_id",
            name => name,
        };
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quench_app::delivery::{Delivery, batch, run_batch};
    use quench_app::{App, Config, Page, RunFilter, catalog};
    use quench_automations::{Library, SourceFile, load};
    use serde_json::json;
    use std::sync::{Arc, Mutex};
    use tempfile::TempDir;
    use tracing::Dispatch;

    const RULES: &str = "\
playbook: note
triggers: [alert]
steps:
  - id: end
    stop: { reason: noted }
---
playbook: break
triggers: [alert]
steps:
  - id: end
    stop: { reason: broken, failed: true }
---
automation: all
trigger: alert
run:
  - playbook: note
  - playbook: break
";

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let (subscriber, written) = written(LevelFilter::INFO);
        tracing::dispatcher::with_default(&subscriber, log);
        read(&written)
    }

    /// What is written while some work is done, all of it on this thread.
    async fn lines_of(level: LevelFilter, work: impl Future<Output = ()>) -> Vec<Value> {
        // While there is but one listener, whether a line is of interest is decided by the thread that comes to it first.
        let _another = Dispatch::new(tracing_subscriber::registry());
        let (subscriber, written) = written(level);
        let listening = tracing::dispatcher::set_default(&subscriber);
        work.await;
        drop(listening);
        read(&written)
    }

    type Written = Arc<Mutex<Vec<u8>>>;

    fn written(level: LevelFilter) -> (Dispatch, Written) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&written);
        let lines = Lines {
            write: move |line: &[u8]| into.lock().unwrap().extend_from_slice(line),
        };
        let subscriber = tracing_subscriber::registry().with(level).with(lines);
        (Dispatch::new(subscriber), written)
    }

    fn read(written: &Written) -> Vec<Value> {
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_holds_its_own_fields_and_those_around_it() {
        let mut lines = lines(|| {
            let outer = tracing::info_span!("invoke", requestId = "r-1", run.id = "outer");
            let _outer = outer.enter();
            let inner = tracing::info_span!("work", step = tracing::field::Empty);
            inner.record("step", 2);
            let _inner = inner.enter();
            tracing::warn!(
                run.id = "abc",
                tries = 3,
                good = false,
                "it \"failed\"\nonce"
            );
        });
        let mut line = lines.remove(0);
        assert!(lines.is_empty());
        let at = line["timestamp"].take();
        let at: jiff::Timestamp = at.as_str().unwrap().parse().unwrap();
        assert!(at.duration_since(jiff::Timestamp::now()).as_secs().abs() < 60);
        assert_eq!(
            line,
            json!({
                "timestamp": null,
                "level": "WARN",
                "message": "it \"failed\"\nonce",
                "step": 2,
                "lambda.request_id": "r-1",
                "run.id": "abc",
                "tries": 3,
                "good": false,
            })
        );
    }

    #[test]
    fn what_is_below_the_level_is_not_written() {
        let lines = lines(|| {
            tracing::debug!("nobody asked");
            tracing::info!("somebody did");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["message"], "somebody did");
    }

    fn message(body: &[u8]) -> Delivery {
        Delivery {
            id: "m".to_owned(),
            body: body.to_vec(),
            sent: None,
            received: 1,
        }
    }

    #[tokio::test]
    async fn lines_of_an_intake_and_of_runs_tell_the_ids_at_every_level() {
        let folder = TempDir::new().unwrap();
        let app = App::open(Config::local(folder.path())).await.unwrap();
        let files = [SourceFile {
            path: "rules.yaml".into(),
            text: RULES.into(),
        }];
        let definitions = load(&files, &Library::default()).unwrap();
        catalog::apply(&app, definitions).await.unwrap();
        let payload = include_bytes!("../../../functions/runner/tests/data/finding.json");
        let taken = lines_of(LevelFilter::INFO, async {
            assert_eq!(batch(&app, vec![message(payload)]).await, []);
        })
        .await;
        let runs = app.store.runs(&RunFilter::default(), Page::default()).await;
        let runs = runs.unwrap();
        let run = |playbook: &str| {
            let mut runs = runs.iter();
            runs.find(|run| run.playbook == playbook).unwrap()
        };
        let (note, broken) = (run("note"), run("break"));
        let told: Vec<_> = taken
            .iter()
            .map(|line| (&line["message"], &line["run.id"], &line["finding.id"]))
            .collect();
        let finding = json!(note.finding.id);
        assert_eq!(
            told,
            [
                (&json!("started a run"), &json!(note.id), &finding),
                (&json!("started a run"), &json!(broken.id), &finding),
                (&json!("took a finding in"), &json!(null), &finding),
            ]
        );
        let mut told = Vec::new();
        for (level, run) in [(LevelFilter::INFO, note), (LevelFilter::WARN, broken)] {
            let lines = lines_of(level, async {
                let message = message(run.id.as_bytes());
                assert_eq!(run_batch(&app, vec![message]).await, []);
            });
            told.extend(lines.await);
        }
        for line in &mut told {
            assert!(line["timestamp"].take().is_string());
        }
        assert_eq!(
            told,
            [
                json!({
                    "timestamp": null,
                    "level": "INFO",
                    "message": "run finished",
                    "run.id": note.id,
                    "run.playbook": "note",
                    "run.state": "stopped",
                    "finding.id": finding,
                }),
                json!({
                    "timestamp": null,
                    "level": "WARN",
                    "message": "run failed",
                    "run.id": broken.id,
                    "run.playbook": "break",
                    "run.state": "failed",
                    "reason": "broken",
                    "finding.id": finding,
                }),
            ]
        );
    }
}
