//! What is logged, for tests to look at.

use std::fmt;
use std::sync::{Arc, Mutex};
use tracing::dispatcher::{DefaultGuard, Dispatch};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// A line's own fields and those of the spans around it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Vec<(&'static str, String)>);

impl Line {
    /// The field of this name, which must not be told twice.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut told = self.0.iter().filter(|(known, _)| *known == name);
        let first = told.next();
        assert!(told.next().is_none(), "`{name}` is told twice: {self:?}");
        first.map(|(_, value)| value.as_str())
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }
}

/// All that this thread logs, until it is dropped.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<Line>>>,
    _listening: DefaultGuard,
    _another: Dispatch,
}

impl Log {
    pub(crate) fn listen() -> Log {
        // While there is but one listener, whether a line is of interest is decided by the thread that comes to it first.
        let another = Dispatch::new(Registry::default());
        let lines = Arc::default();
        let written = Listener(Arc::clone(&lines));
        let listener = Dispatch::new(Registry::default().with(written));
        Log {
            lines,
            _listening: tracing::dispatcher::set_default(&listener),
            _another: another,
        }
    }

    /// The lines with this message.
    pub(crate) fn lines(&self, message: &str) -> Vec<Line> {
        let lines = self.lines.lock().unwrap();
        let told = lines
            .iter()
            .filter(|line| line.get("message") == Some(message));
        told.cloned().collect()
    }
}

struct Listener(Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Line::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Line>().unwrap());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        for span in context.event_scope(event).into_iter().flatten() {
            let told = span.extensions();
            line.0.extend(told.get::<Line>().unwrap().0.iter().cloned());
        }
        self.0.lock().unwrap().push(line);
    }
}
