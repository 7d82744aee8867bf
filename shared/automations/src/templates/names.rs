use quench_findings::{Kind, Severity, Source, Status, Transition};
use std::collections::BTreeSet;

/// The names a template may use where it stands; those of the finding and of the run are always among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Parameters of the playbook: `params.<name>`.
    pub params: BTreeSet<String>,
    /// Steps that may have been done before: `steps.<id>`.
    pub steps: BTreeSet<String>,
    /// Variables that may have been set before: `vars.<name>`.
    pub vars: BTreeSet<String>,
    /// Item names of the loops around it, the outermost first; where there is one, `loop_index` is known, too.
    pub items: Vec<String>,
    /// Those of the steps that remediate or ask, whose fields are known.
    pub deeds: BTreeSet<String>,
    /// Whether the finding may not choose what the template yields: then its account and region alone are known.
    pub placed: bool,
}

/// What later steps may read of a step that remediates or asks; what does not apply to its outcome is missing.
const DEED: [&str; 13] = [
    "ok",
    "error",
    "outcome",
    "reason",
    "by",
    "approved_by",
    "remediation",
    "resource",
    "account",
    "region",
    "risk",
    "verified",
    "plan_hash",
];

/// What is known of a value before it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing.
    Any,
    /// Text, a number, true, false or null.
    Scalar,
    /// A mapping with these fields and no others.
    Fields(Vec<(String, Shape)>),
    /// A list.
    List(Box<Shape>),
}

impl Shape {
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Fields(fields) => fields
                .iter()
                .find_map(|(field, shape)| (field == name).then_some(shape)),
            _ => None,
        }
    }

    pub(super) fn field_names(&self) -> Vec<&str> {
        match self {
            Self::Fields(fields) => fields.iter().map(|(name, _)| name.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// What one item of it is, if it is gone through.
    pub(super) fn item(&self) -> Self {
        match self {
            Self::List(item) => (**item).clone(),
            Self::Fields(_) => Self::Scalar,
            Self::Any | Self::Scalar => Self::Any,
        }
    }
}

fn scalars(names: &[&str]) -> Vec<(String, Shape)> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), Shape::Scalar))
        .collect()
}

fn named(fields: Vec<(&str, Shape)>) -> Vec<(String, Shape)> {
    fields
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), shape))
        .collect()
}

fn anything<'a>(names: impl IntoIterator<Item = &'a String>) -> Shape {
    Shape::Fields(
        names
            .into_iter()
            .map(|name| (name.clone(), Shape::Any))
            .collect(),
    )
}

fn deed() -> Shape {
    let mut fields = scalars(&DEED);
    let change = Shape::Fields(named(vec![
        ("path", Shape::Scalar),
        ("before", Shape::Any),
        ("after", Shape::Any),
    ]));
    fields.extend(named(vec![
        ("changes", Shape::List(Box::new(change))),
        ("warnings", Shape::List(Box::new(Shape::Scalar))),
        ("content", Shape::Any),
    ]));
    Shape::Fields(fields)
}

/// The shape of `finding`; [`super::finding_context`] builds values of it.
pub(super) fn finding() -> Shape {
    let mut resource = scalars(&["id", "type", "name", "account", "region"]);
    resource.push(("tags".to_owned(), Shape::Any));
    let resource = Shape::Fields(resource);
    let mut fields = scalars(&[
        "id",
        "kind",
        "source",
        "type",
        "title",
        "description",
        "severity",
        "status",
        "account",
        "region",
        "scope",
        "first_seen",
        "last_seen",
        "updated",
        "parent",
        "sample",
        "item",
    ]);
    fields.extend(named(vec![
        ("resources", Shape::List(Box::new(resource.clone()))),
        ("resource", resource),
        (
            "compliance",
            Shape::Fields(scalars(&["standard", "control"])),
        ),
        ("remediation", Shape::Fields(scalars(&["text", "url"]))),
        (
            "links",
            Shape::List(Box::new(Shape::Fields(scalars(&["title", "url"])))),
        ),
    ]));
    Shape::Fields(fields)
}

/// Whether a path of names leads to a plain field of the finding that may be null.
pub(super) fn may_be_null(path: &str) -> bool {
    const ALWAYS: [&str; 6] = ["id", "kind", "source", "title", "severity", "sample"];
    let mut parts = path.split('.');
    if parts.next() != Some("finding") {
        return false;
    }
    let whole = finding();
    let mut shape = &whole;
    let mut depth = 0;
    let mut last = "";
    for part in parts {
        match shape.field(part) {
            Some(field) => shape = field,
            None => return false,
        }
        depth += 1;
        last = part;
    }
    *shape == Shape::Scalar && !(depth == 1 && ALWAYS.contains(&last))
}

/// What a path of names is called and the only words it can have, where there are such.
pub(super) fn words(path: &str) -> Option<(&'static str, Vec<&'static str>)> {
    Some(match path {
        "finding.severity" => (
            "severity",
            Severity::ALL.iter().map(|one| one.as_str()).collect(),
        ),
        "finding.status" => (
            "status",
            Status::ALL.iter().map(|one| one.as_str()).collect(),
        ),
        "finding.kind" => ("kind", Kind::ALL.iter().map(|one| one.as_str()).collect()),
        "finding.source" => (
            "source",
            Source::ALL.iter().map(|one| one.as_str()).collect(),
        ),
        "run.transition" => (
            "transition",
            Transition::ALL.iter().map(|one| one.as_str()).collect(),
        ),
        _ => return None,
    })
}

impl Names {
    pub(super) fn roots(&self) -> Vec<(String, Shape)> {
        let steps = self.steps.iter().map(|id| match self.deeds.contains(id) {
            true => (id.clone(), deed()),
            false => (id.clone(), Shape::Any),
        });
        let mut roots = named(match self.placed {
            true => vec![("finding", Shape::Fields(scalars(&["account", "region"])))],
            false => vec![
                ("finding", finding()),
                ("raw", Shape::Any),
                ("defender", Shape::Any),
            ],
        });
        roots.extend(named(vec![
            ("params", anything(&self.params)),
            ("steps", Shape::Fields(steps.collect())),
            ("vars", anything(&self.vars)),
            (
                "run",
                Shape::Fields(scalars(&[
                    "id",
                    "automation",
                    "playbook",
                    "transition",
                    "mode",
                    "url",
                ])),
            ),
        ]));
        if !self.items.is_empty() {
            roots.push(("loop_index".to_owned(), Shape::Scalar));
        }
        roots.extend(self.items.iter().map(|name| (name.clone(), Shape::Any)));
        roots
    }
}

/// Every path of names that leads to something within the finding.
#[cfg(test)]
pub(super) fn paths() -> Vec<String> {
    fn below(path: &str, shape: &Shape, paths: &mut Vec<String>) {
        paths.push(path.to_owned());
        if let Shape::Fields(fields) = shape {
            for (name, field) in fields {
                below(&format!("{path}.{name}"), field, paths);
            }
        }
    }
    let mut paths = Vec::new();
    below("finding", &finding(), &mut paths);
    paths
}

#[cfg(test)]
mod tests {
    use super::{Shape, finding};
    use crate::templates::finding_context;
    use serde_json::{Value, json};

    fn same(shape: &Shape, value: &Value, at: &str) {
        match (shape, value) {
            (Shape::Fields(fields), Value::Object(object)) => {
                let mut known: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
                let mut there: Vec<&str> = object.keys().map(String::as_str).collect();
                known.sort_unstable();
                there.sort_unstable();
                assert_eq!(known, there, "{at}");
                for (name, field) in fields {
                    same(field, &object[name], &format!("{at}.{name}"));
                }
            }
            (Shape::List(item), Value::Array(values)) => {
                for value in values {
                    same(item, value, &format!("{at}[]"));
                }
            }
            (Shape::Scalar, plain) => assert!(!plain.is_array() && !plain.is_object(), "{at}"),
            (Shape::Any, _) => {}
            (shape, value) => panic!("{at}: {shape:?} is not the shape of {value}"),
        }
    }

    #[test]
    fn the_shape_that_is_checked_is_the_one_that_is_built() {
        let bare = json!({ "id": "1", "kind": "alert", "source": "scc", "title": "t", "severity": "low", "raw": {} });
        let mut full = bare.clone();
        full["resources"] = json!([{ "id": "r", "name": "n", "tags": { "a": "b" } }]);
        full["links"] = json!([{ "title": "t", "url": "https://example.com" }]);
        full["remediation"] = json!({ "text": "do" });
        for given in [bare, full] {
            same(
                &finding(),
                &finding_context(&serde_json::from_value(given).unwrap()),
                "finding",
            );
        }
    }
}
