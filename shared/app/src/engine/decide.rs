use super::scope::Scope;
use super::script::Script;
use super::walk::decided;
use crate::run::Event;
use jiff::Timestamp;
use quench_automations::{Playbook, Step, StepKind, WaitStep, parse_duration, templates};
use serde_json::{Map, Value, json};

/// What an `if` step's output says of the way taken.
pub(crate) const FIRST_WAY: &str = "then";
const SECOND_WAY: &str = "else";

/// Name of the number of a loop's turn, from zero.
pub(crate) const LOOP_INDEX: &str = "loop_index";

const LONGEST_QUOTE: usize = 200;

/// Decides what a step of control flow does; nothing for a step that acts on the outside world.
pub(crate) fn decide(
    step: &Step,
    script: &Script,
    scope: &Scope,
    now: Timestamp,
) -> Option<Result<Event, String>> {
    let context = scope.all();
    Some(match &step.kind {
        StepKind::If(choice) => evaluate(&choice.condition, context).map(|value| {
            let way = if truthy(&value) {
                FIRST_WAY
            } else {
                SECOND_WAY
            };
            decided(format!("took `{way}`"), json!({"taken": way}))
        }),
        StepKind::ForEach(each) => items(&each.items, each.max, context).map(|items| {
            let summary = match items.len() {
                1 => "1 item".to_owned(),
                count => format!("{count} items"),
            };
            decided(summary, json!({"items": items}))
        }),
        StepKind::Set(vars) => set(vars, context).map(|vars| {
            let names: Vec<_> = vars.keys().map(|name| format!("`{name}`")).collect();
            decided(format!("set {}", names.join(", ")), Value::Object(vars))
        }),
        StepKind::Wait(wait) => pause(wait, context, now).map(|until| Event::Waiting { until }),
        StepKind::Stop(stop) => text(&stop.reason, context).map(|reason| {
            let output = json!({"reason": reason, "failed": stop.failed});
            decided(reason, output)
        }),
        StepKind::Playbook(call) => {
            let callee = scope.inner(Map::new(), Map::new());
            let playbook = script.playbook(&call.playbook);
            parameters(playbook, &call.with, context, callee.all()).map(|params| {
                decided(
                    format!("calls `{}`", call.playbook),
                    json!({"params": params}),
                )
            })
        }
        _ => return None,
    })
}

/// Renders the values given in the caller's names and the defaults in the playbook's own, and checks them all.
///
/// What a value renders to is never rendered again, whatever it holds.
pub(crate) fn parameters(
    playbook: &Playbook,
    with: &Map<String, Value>,
    caller: &Value,
    own: &Value,
) -> Result<Map<String, Value>, String> {
    let mut values = Map::new();
    for (name, value) in with {
        values.insert(name.clone(), rendered(name, value, caller)?);
    }
    for (name, parameter) in &playbook.parameters {
        let given = values.get(name).is_some_and(|value| !value.is_null());
        if let (false, Some(default)) = (given, &parameter.default) {
            values.insert(name.clone(), rendered(name, default, own)?);
        }
    }
    playbook.bind_rendered(&values).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })
}

/// Those of a playbook's parameters that do not depend on the finding.
pub(crate) fn own_parameters(
    playbook: &Playbook,
    with: &Map<String, Value>,
    caller: &Scope,
    own: &Scope,
    params: &Map<String, Value>,
) -> Map<String, Value> {
    let is_own = |name: &str| {
        let given = with.get(name).filter(|template| {
            let value = templates::render_json(template, caller.all());
            value.is_ok_and(|value| !value.is_null())
        });
        match given {
            Some(template) => caller.context().is_own(template),
            None => {
                let parameter = playbook.parameters.get(name);
                let default = parameter.and_then(|parameter| parameter.default.as_ref());
                default.is_none_or(|template| own.context().is_own(template))
            }
        }
    };
    params
        .iter()
        .filter(|(name, _)| is_own(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether the items of a loop do not depend on the finding.
pub(crate) fn own_items(source: &str, scope: &Scope) -> bool {
    scope.context().is_own(&Value::String(expression(source)))
}

fn rendered(name: &str, value: &Value, context: &Value) -> Result<Value, String> {
    templates::render_json(value, context).map_err(|error| {
        format!(
            "parameter `{name}`: {}: {error}",
            quoted(&value.to_string())
        )
    })
}

fn set(vars: &Map<String, Value>, context: &Value) -> Result<Map<String, Value>, String> {
    vars.iter()
        .map(|(name, value)| {
            let value = templates::render_json(value, context).map_err(|error| {
                format!("variable `{name}`: {}: {error}", quoted(&value.to_string()))
            })?;
            Ok((name.clone(), value))
        })
        .collect()
}

fn items(source: &str, max: usize, context: &Value) -> Result<Vec<Value>, String> {
    match evaluate(source, context)? {
        Value::Array(items) if items.len() > max => Err(format!(
            "{} yields {} items, more than the {max} allowed; raise `max` or narrow the list",
            quoted(source),
            items.len()
        )),
        Value::Array(items) => Ok(items),
        other => Err(format!(
            "{} yields {}, not a list",
            quoted(source),
            kind_of(&other)
        )),
    }
}

fn pause(wait: &WaitStep, context: &Value, now: Timestamp) -> Result<Timestamp, String> {
    match wait {
        WaitStep::For(source) => {
            let length = text(source, context)?;
            let length = parse_duration(&length)
                .map_err(|help| format!("`{length}` is not a length of time: {help}"))?;
            Ok(crate::clock::after(now, length))
        }
        WaitStep::Until(source) => {
            let time = text(source, context)?;
            time.trim().parse().map_err(|_| {
                format!("`{time}` is not an RFC 3339 time such as `2027-01-31T08:00:00Z`")
            })
        }
    }
}

/// Gives the value of one expression, which may be written with or without its braces.
fn evaluate(source: &str, context: &Value) -> Result<Value, String> {
    templates::evaluate(&expression(source), context)
        .map_err(|error| format!("{}: {error}", quoted(source)))
}

/// An expression with its braces.
fn expression(source: &str) -> String {
    if source.contains("{{") || source.contains("{%") {
        source.to_owned()
    } else {
        format!("{{{{ {source} }}}}")
    }
}

fn text(source: &str, context: &Value) -> Result<String, String> {
    templates::render(source, context, templates::Escape::None)
        .map_err(|error| format!("{}: {error}", quoted(source)))
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn quoted(source: &str) -> String {
    match source.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("`{}…`", &source[..end]),
        None => format!("`{source}`"),
    }
}
