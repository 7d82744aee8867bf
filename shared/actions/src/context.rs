use quench_automations::templates;
use serde_json::Value;

/// What the templates of a step may speak of, as JSON objects.
///
/// Whoever causes findings can often write parts of them (a tag, a file's name), so some values are only trusted if
/// they would be the same for any finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// Everything.
    pub all: Value,
    /// What does not depend on the finding; what does is missing.
    pub own: Value,
}

impl Context {
    /// Says whether a template yields a value, the same one for any finding.
    pub fn is_own(&self, template: &Value) -> bool {
        match templates::render_json(template, &self.own) {
            Ok(own) => templates::render_json(template, &self.all).is_ok_and(|all| all == own),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_needs_the_finding_is_not_own() {
        let context = Context {
            all: json!({ "finding": { "id": "x" }, "params": { "to": "a", "who": "x" } }),
            own: json!({ "params": { "to": "a" } }),
        };
        for (template, own) in [
            (json!("fixed"), true),
            (json!(["{{ params.to }}", 7]), true),
            (json!("{{ params.who }}"), false),
            (json!(["{{ params.to }}", "{{ finding.id }}"]), false),
            (json!("{{ params.missing }}"), false),
            (json!("{{ params.who is defined }}"), false),
        ] {
            assert_eq!(context.is_own(&template), own, "{template}");
        }
    }
}
