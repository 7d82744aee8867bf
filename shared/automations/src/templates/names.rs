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
}

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

impl Names {
    pub(super) fn roots(&self) -> Vec<(String, Shape)> {
        let mut roots = named(vec![
            ("finding", finding()),
            ("raw", Shape::Any),
            ("defender", Shape::Any),
            ("params", anything(&self.params)),
            ("steps", anything(&self.steps)),
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
        ]);
        if !self.items.is_empty() {
            roots.push(("loop_index".to_owned(), Shape::Scalar));
        }
        roots.extend(self.items.iter().map(|name| (name.clone(), Shape::Any)));
        roots
    }
}
