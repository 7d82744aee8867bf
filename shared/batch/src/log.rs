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
    use serde_json::json;
    use std::sync::{Arc, Mutex};

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&written);
        let lines = Lines {
            write: move |line: &[u8]| into.lock().unwrap().extend_from_slice(line),
        };
        let subscriber = tracing_subscriber::registry()
            .with(LevelFilter::INFO)
            .with(lines);
        tracing::subscriber::with_default(subscriber, log);
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
}
