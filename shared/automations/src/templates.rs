//! Text with `{{ … }}` in it: rendering, evaluation to JSON, and checks before anything is stored.
//!
//! The language is minijinja's, made strict and small. An undefined name is an error; null prints as nothing, true and
//! false as `true` and `false`, lists and mappings as JSON. There are no includes, imports, macros or captures, and no
//! way to print a value unescaped.
//!
//! Filters: those of [`FILTERS`]. Made here: `truncate(length=80, end="…")`, `date(format="%Y-%m-%d %H:%M UTC")` for
//! RFC 3339 times, `tojson(indent=0)`, `default(value=none, empty=false)` which also stands in for null,
//! `get("a.b.0", otherwise=none)` for paths that may be missing, such as into `raw`, or into `steps` for a step that the
//! run may have passed by, and `string`. Test made here: `finding.severity is at_least("high")`.

mod check;
mod context;
mod destination;
mod environment;
mod escape;
mod filters;
mod names;
mod writer;

pub use check::{TemplateFault, check, faults, is_expression};
pub use context::{context, finding_context};
pub use environment::{FILTERS, FUNCTIONS, TESTS};
pub use escape::Escape;
pub use names::Names;

use minijinja::value::Serde;
use minijinja::{Error, ErrorKind, Value as Item};
use serde_json::Value;
use writer::Bounded;

/// Longest template that is accepted, in bytes.
pub const SOURCE_LIMIT: usize = 64 * 1024;
/// Longest text that a template may yield, in bytes.
pub const OUTPUT_LIMIT: usize = 256 * 1024;
/// Largest value that an expression may yield, in bytes of JSON: more than the largest payload that is taken in.
pub const VALUE_LIMIT: usize = 2 * 1024 * 1024;

/// Why a template yields nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A name or a field of it has no value here.
    #[error("{0}")]
    Undefined(String),
    /// The template is not one.
    #[error("template is not valid: {0}")]
    Invalid(String),
    /// It takes too much time, depth or room.
    #[error("template exceeds its limit: {0}")]
    Limit(String),
    /// A filter or an operation cannot work on its value.
    #[error("template cannot be rendered: {0}")]
    Failed(String),
}

/// Renders a template to text, every printed value escaped for where the text goes.
///
/// # Errors
/// Undefined names, faults of syntax, values that a filter cannot work on, and exceeded limits.
pub fn render(source: &str, context: &Value, escape: Escape) -> Result<String, RenderError> {
    render_items(source, &Item::from(Serde(context)), escape)
}

/// Evaluates a template: one `{{ expression }}` and nothing around it yields the value itself, anything else text.
///
/// # Errors
/// As [`render`].
pub fn evaluate(source: &str, context: &Value) -> Result<Value, RenderError> {
    evaluate_items(source, &Item::from(Serde(context)))
}

/// Evaluates every text in a JSON value and leaves the rest, names of fields included, as it is.
///
/// # Errors
/// As [`render`].
pub fn render_json(value: &Value, context: &Value) -> Result<Value, RenderError> {
    let context = Item::from(Serde(context));
    evaluate_within(value, &context)
}

fn evaluate_within(value: &Value, context: &Item) -> Result<Value, RenderError> {
    Ok(match value {
        Value::String(source) => evaluate_items(source, context)?,
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| evaluate_within(item, context))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), evaluate_within(field, context)?)))
                .collect::<Result<_, RenderError>>()?,
        ),
        plain => plain.clone(),
    })
}

fn render_items(source: &str, context: &Item, escape: Escape) -> Result<String, RenderError> {
    if !check::has_tags(source) {
        return Ok(source.to_owned());
    }
    let destination = destination::with(source, escape)?;
    let mut out = Bounded::new(OUTPUT_LIMIT);
    let template = destination.environment.get_template(source);
    let rendered = template.and_then(|template| {
        template
            .render_captured_to(context.clone(), &mut out)
            .map(|_| ())
    });
    match rendered {
        Ok(()) => Ok(out.into_text()),
        Err(_) if out.is_full() => Err(RenderError::Limit(format!(
            "more than {} KiB of text",
            OUTPUT_LIMIT / 1024
        ))),
        Err(error) => Err(render_error(&error)),
    }
}

fn evaluate_items(source: &str, context: &Item) -> Result<Value, RenderError> {
    let Some(expression) = check::expression(source) else {
        return render_items(source, context, Escape::None).map(Value::String);
    };
    let item = destination::of(Escape::None)
        .environment
        .compile_expression(expression)
        .and_then(|compiled| compiled.eval(context.clone()))
        .map_err(|error| render_error(&error))?;
    if item.is_undefined() {
        return Err(RenderError::Undefined(format!(
            "`{expression}` is undefined"
        )));
    }
    let mut out = Bounded::new(VALUE_LIMIT);
    match serde_json::to_writer(&mut out, &item) {
        Ok(()) => serde_json::from_str(&out.into_text())
            .map_err(|error| RenderError::Failed(error.to_string())),
        Err(_) if out.is_full() => Err(RenderError::Limit(format!(
            "more than {} KiB of JSON",
            VALUE_LIMIT / 1024
        ))),
        Err(error) => Err(RenderError::Failed(error.to_string())),
    }
}

fn render_error(error: &Error) -> RenderError {
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.kind() {
        ErrorKind::UndefinedError => RenderError::Undefined(detail),
        ErrorKind::SyntaxError
        | ErrorKind::BadEscape
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownMethod => RenderError::Invalid(detail),
        ErrorKind::OutOfFuel => RenderError::Limit("too many operations".to_owned()),
        _ => RenderError::Failed(detail),
    }
}

#[cfg(test)]
mod tests;
