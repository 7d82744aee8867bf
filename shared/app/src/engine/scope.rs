use super::decide::LOOP_INDEX;
use crate::run::{Run, StartedBy};
use quench_automations::{Step, templates};
use serde_json::{Map, Value, json};

/// What the templates of one playbook may speak of, kept as one JSON object.
#[derive(Debug, Clone)]
pub(crate) struct Scope(Value);

/// Names that a called playbook sees as its caller does.
const SHARED: [&str; 4] = ["finding", "raw", "defender", "run"];

impl Scope {
    /// The scope of the run's own playbook, before its parameters are bound.
    pub(crate) fn outermost(run: &Run, url: Option<&str>) -> Self {
        let mut document = run.finding.document();
        let automation = match &run.started_by {
            StartedBy::Automation { name, .. } => Some(name),
            StartedBy::Manual { .. } => None,
        };
        let mut scope = Self(json!({
            "finding": templates::finding_context(&run.finding),
            "raw": document["raw"].take(),
            "defender": document["defender"].take(),
            "run": {
                "id": run.id,
                "automation": automation,
                "playbook": run.playbook,
                "transition": run.transition,
                "mode": run.mode,
                "url": url,
            },
        }));
        scope.enter(Map::new());
        scope
    }

    /// The scope of a playbook that is called from here.
    pub(crate) fn inner(&self, params: Map<String, Value>) -> Self {
        let shared = SHARED.map(|name| (name.to_owned(), self.0[name].clone()));
        let mut scope = Self(shared.into_iter().collect());
        scope.enter(params);
        scope
    }

    /// Begins a playbook with these parameters.
    pub(crate) fn enter(&mut self, params: Map<String, Value>) {
        self.0["params"] = Value::Object(params);
        self.0["steps"] = json!({});
        self.0["vars"] = json!({});
    }

    pub(crate) fn context(&self) -> &Value {
        &self.0
    }

    pub(crate) fn name(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Gives a name its meaning, or takes it away.
    pub(crate) fn set_name(&mut self, name: &str, value: Option<Value>) {
        let names = self.0.as_object_mut().expect("a scope is an object");
        match value {
            Some(value) => names.insert(name.to_owned(), value),
            None => names.shift_remove(name),
        };
    }

    /// Names the item of a turn of a loop.
    pub(crate) fn turn(&mut self, name: &str, items: &[Value], index: usize) {
        self.set_name(name, Some(items[index].clone()));
        self.set_name(LOOP_INDEX, Some(json!(index)));
    }

    /// Makes an outcome known as `steps.<id>`.
    pub(crate) fn set_step(&mut self, step: &Step, outcome: Value) {
        self.0["steps"][&step.id] = outcome;
    }

    pub(crate) fn set_vars(&mut self, vars: Map<String, Value>) {
        for (name, value) in vars {
            self.0["vars"][name] = value;
        }
    }

    pub(crate) fn take_vars(&mut self) -> Value {
        self.0["vars"].take()
    }
}

/// What later steps read of a step: its output's fields, `ok` and `error`.
pub(crate) fn outcome(error: Option<&str>, output: Value) -> Value {
    let mut fields = match output {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    fields.insert("ok".to_owned(), json!(error.is_none()));
    fields.insert("error".to_owned(), json!(error));
    Value::Object(fields)
}
