//! A finding and a run to try actions on.

use crate::Context;
use quench_automations::templates;
use quench_findings::Finding;
use serde_json::{Value, json};

pub(crate) fn finding() -> Finding {
    serde_json::from_str(include_str!("../tests/data/finding.json")).unwrap()
}

/// The names of a step in a run for the finding, with these parameters.
pub(crate) fn names_of(finding: &Finding, params: Value) -> Value {
    let document = json!({ "raw": finding.raw, "defender": {} });
    let mut context = Value::Object(templates::context(finding, &document));
    context["params"] = params;
    context["steps"] = json!({});
    context["vars"] = json!({});
    context["run"] = json!({
        "id": "0f3c9a7be1d24c55",
        "automation": "tell-about-threats",
        "playbook": "notify-email",
        "transition": "created",
        "mode": null,
        "url": "https://quench.example.com/runs/0f3c9a7be1d24c55",
    });
    context
}

pub(crate) fn names(params: Value) -> Value {
    names_of(&finding(), params)
}

/// The same, where nothing but the finding itself depends on the finding.
pub(crate) fn context_of(finding: &Finding, params: Value) -> Context {
    let all = names_of(finding, params);
    let mut own = all.clone();
    for name in ["finding", "raw", "defender"] {
        own.as_object_mut().unwrap().remove(name);
    }
    Context { all, own }
}

pub(crate) fn context(params: Value) -> Context {
    context_of(&finding(), params)
}
