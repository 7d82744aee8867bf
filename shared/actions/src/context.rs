use crate::aws::is_region;
use crate::cloud::is_account;
use quench_automations::templates;
use serde_json::{Value, json};

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

    /// Says whether a template yields a value, the same one for any finding of the same account and region, both of which
    /// have the form of ones.
    pub fn is_placed(&self, template: &Value) -> bool {
        let finding = &self.all["finding"];
        let is = |name: &str, check: fn(&str) -> bool| finding[name].as_str().is_some_and(check);
        let mut place = json!({});
        for (name, check) in [
            ("account", is_account as fn(&str) -> bool),
            ("region", is_region),
        ] {
            if is(name, check) {
                place[name] = finding[name].clone();
            }
        }
        let mut placed = self.clone();
        if let Some(names) = placed.own.as_object_mut() {
            names.insert("finding".to_owned(), place);
        }
        placed.is_own(template)
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

    #[test]
    fn a_place_is_the_account_and_the_region_of_the_finding_where_they_are_such() {
        let context = |account: &str| Context {
            all: json!({
                "finding": { "account": account, "region": "eu-central-1", "title": "x" },
                "params": { "to": "a" },
            }),
            own: json!({ "params": { "to": "a" } }),
        };
        for (template, placed) in [
            ("fixed", true),
            ("{{ params.to }}", true),
            (
                "arn:aws:lambda:{{ finding.region }}:{{ finding.account }}:function:x",
                true,
            ),
            ("{{ finding.title }}", false),
            ("{% if finding.title %}a{% endif %}", false),
        ] {
            let is = context("111122223333").is_placed(&json!(template));
            assert_eq!(is, placed, "{template}");
        }
        assert!(!context("1:function:evil").is_placed(&json!("{{ finding.account }}")));
    }
}
