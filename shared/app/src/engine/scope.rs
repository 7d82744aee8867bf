use super::decide::LOOP_INDEX;
use crate::run::{Run, StartedBy};
use quench_actions::Context;
use quench_automations::{Step, templates};
use serde_json::{Map, Value, json};

/// What the templates of one playbook may speak of.
#[derive(Debug, Clone)]
pub(crate) struct Scope(Context);

/// What a name stands for, if anything; and the same if it does not depend on the finding.
pub(crate) type Meaning = (Option<Value>, Option<Value>);

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
        let own = json!({
            "run": {
                "id": run.id,
                "automation": automation,
                "playbook": run.playbook,
                "transition": run.transition,
                "mode": run.mode,
                "url": url,
            },
        });
        let all = json!({
            "finding": templates::finding_context(&run.finding),
            "raw": document["raw"].take(),
            "defender": document["defender"].take(),
            "run": own["run"],
        });
        let mut scope = Self(Context { all, own });
        scope.enter(Map::new(), Map::new());
        scope
    }

    /// The scope of a playbook that is called from here; `own` are those of its parameters that do not depend on the
    /// finding.
    pub(crate) fn inner(&self, params: Map<String, Value>, own: Map<String, Value>) -> Self {
        let shared = |names: &Value| {
            let shared = SHARED.iter().filter_map(|name| {
                let value = names.get(*name)?;
                Some(((*name).to_owned(), value.clone()))
            });
            shared.collect()
        };
        let mut scope = Self(Context {
            all: shared(&self.0.all),
            own: shared(&self.0.own),
        });
        scope.enter(params, own);
        scope
    }

    /// Begins a playbook with these parameters, of which `own` do not depend on the finding.
    pub(crate) fn enter(&mut self, params: Map<String, Value>, own: Map<String, Value>) {
        for (names, params) in [(&mut self.0.all, params), (&mut self.0.own, own)] {
            names["params"] = Value::Object(params);
            names["steps"] = json!({});
            names["vars"] = json!({});
        }
    }

    pub(crate) fn context(&self) -> &Context {
        &self.0
    }

    pub(crate) fn all(&self) -> &Value {
        &self.0.all
    }

    pub(crate) fn name(&self, name: &str) -> Meaning {
        let meaning = |names: &Value| names.get(name).cloned();
        (meaning(&self.0.all), meaning(&self.0.own))
    }

    /// Gives a name its meaning, or takes it away.
    pub(crate) fn set_name(&mut self, name: &str, meaning: Meaning) {
        for (names, value) in [(&mut self.0.all, meaning.0), (&mut self.0.own, meaning.1)] {
            let names = names.as_object_mut().expect("a scope is an object");
            match value {
                Some(value) => names.insert(name.to_owned(), value),
                None => names.shift_remove(name),
            };
        }
    }

    /// Names the item of a turn of a loop; `own` says that the items do not depend on the finding.
    pub(crate) fn turn(&mut self, name: &str, items: &[Value], own: bool, index: usize) {
        let item = Some(items[index].clone());
        self.set_name(name, (item.clone(), item.filter(|_| own)));
        let index = Some(json!(index));
        self.set_name(LOOP_INDEX, (index.clone(), index));
    }

    /// Makes an outcome known as `steps.<id>`.
    pub(crate) fn set_step(&mut self, step: &Step, outcome: Value) {
        self.set_step_of(step, outcome.clone(), outcome);
    }

    /// Makes an outcome known as `steps.<id>`, of which `own` does not depend on the finding.
    pub(crate) fn set_step_of(&mut self, step: &Step, outcome: Value, own: Value) {
        self.0.all["steps"][&step.id] = outcome;
        self.0.own["steps"][&step.id] = own;
    }

    /// Sets variables as the templates say, whose values are known.
    pub(crate) fn set_vars(&mut self, templates: &Map<String, Value>, vars: Map<String, Value>) {
        let own = self.own(templates, &vars);
        for (names, vars) in [(&mut self.0.all, vars), (&mut self.0.own, own)] {
            let known = names["vars"]
                .as_object_mut()
                .expect("variables are an object");
            for name in templates.keys() {
                known.shift_remove(name);
            }
            known.extend(vars);
        }
    }

    /// Takes the variables, and those of them that do not depend on the finding.
    pub(crate) fn take_vars(&mut self) -> (Value, Value) {
        (self.0.all["vars"].take(), self.0.own["vars"].take())
    }

    /// The values whose templates do not depend on the finding.
    pub(crate) fn own(
        &self,
        templates: &Map<String, Value>,
        values: &Map<String, Value>,
    ) -> Map<String, Value> {
        let own = values.iter().filter(|(name, _)| {
            let template = templates.get(*name);
            template.is_none_or(|template| self.0.is_own(template))
        });
        own.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
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
