use serde_json::Value;

use crate::document::Document;
use crate::fold::same;

/// Documents that are read from text never nest deeper; `serde_json` stops there.
const DEEPEST: usize = 128;

/// A way into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    pub(crate) segments: Vec<Segment>,
}

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Segment {
    /// Name of an object's member.
    pub(crate) name: String,
    /// Position in an array, where the segment is a number and not quoted.
    pub(crate) index: Option<usize>,
}

/// What is wrong with the path of a condition.
///
/// ```
/// use quench_matching::{Condition, ConditionFault, InvalidPath, Operator, check};
///
/// let condition = Condition {
///     field: "tags..env".to_owned(),
///     operator: Operator::Exists,
///     value: true.into(),
///     value_type: None,
/// };
/// let invalid = check(&condition).expect_err("two dots in a row");
/// let fault = InvalidPath::EmptySegment { path: "tags..env".to_owned(), position: 6 };
/// assert_eq!(invalid.faults, [ConditionFault::Path(fault)]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPath {
    /// Nothing is left to look up.
    #[error("the field is empty; name one, such as `severity`")]
    Empty,
    /// Two dots in a row, or one at an end.
    #[error(
        "path `{path}` has an empty segment at character {position}; drop the dot, or quote the name as in `['a.b']`"
    )]
    EmptySegment {
        /// The path as it was written.
        path: String,
        /// Counted in characters, from one.
        position: usize,
    },
    /// A quote or bracket that is not closed, or something else between or after brackets.
    #[error(
        "path `{path}`: expected {expected} at character {position}; write names with special characters as in `tags['aws:tag/x']`"
    )]
    Unexpected {
        /// The path as it was written.
        path: String,
        /// What would have been right there.
        expected: &'static str,
        /// Counted in characters, from one.
        position: usize,
    },
    /// More segments than any document has levels.
    #[error("path `{path}` has more than {DEEPEST} segments, deeper than any document; shorten it")]
    TooLong {
        /// The path as it was written.
        path: String,
    },
}

impl Path {
    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.segments.iter().map(|segment| segment.name.capacity());
        self.segments.capacity() * size_of::<Segment>() + names.sum::<usize>()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, InvalidPath> {
        Parser {
            text,
            chars: text.chars().collect(),
            at: 0,
        }
        .path()
    }

    /// Visits every value the path leads to, in document order, until `visit` returns true; says whether it did.
    ///
    /// A name is looked up exactly, or, where there is no member of exactly that name, regardless of case. An array is
    /// entered element by element, unless the segment is a number: then it picks that element.
    pub(crate) fn resolve<'a>(
        &self,
        document: Document<'a>,
        mut visit: impl FnMut(&'a Value) -> bool,
    ) -> bool {
        // A stack of our own: a document that was not read from text may nest without bound.
        let mut open = match document {
            Document::Value(value) => vec![(value, 0)],
            Document::Members(members) => {
                let mut open = Vec::new();
                if let Some(segment) = self.segments.first() {
                    let exact = members.iter().find(|(name, _)| *name == segment.name);
                    let exact = exact.map(|(_, member)| *member);
                    segment.enter(exact, members.iter().copied(), 1, &mut open);
                }
                open
            }
        };
        while let Some((value, depth)) = open.pop() {
            let Some(segment) = self.segments.get(depth) else {
                if visit(value) {
                    return true;
                }
                continue;
            };
            match value {
                Value::Object(members) => {
                    let exact = members.get(&segment.name);
                    let members = members.iter().map(|(name, member)| (&**name, member));
                    segment.enter(exact, members, depth + 1, &mut open);
                }
                Value::Array(elements) => match segment.index {
                    Some(index) => {
                        open.extend(elements.get(index).map(|element| (element, depth + 1)))
                    }
                    None => open.extend(elements.iter().rev().map(|element| (element, depth))),
                },
                _ => {}
            }
        }
        false
    }
}

impl Segment {
    /// Opens the members of an object that it leads to, the first of them on top: the one of exactly its name, or else those
    /// whose names are the same but for case.
    fn enter<'a, 'n>(
        &self,
        exact: Option<&'a Value>,
        members: impl Iterator<Item = (&'n str, &'a Value)>,
        depth: usize,
        open: &mut Vec<(&'a Value, usize)>,
    ) {
        if let Some(member) = exact {
            open.push((member, depth));
            return;
        }
        let start = open.len();
        let same = members.filter(|(name, _)| same(name, &self.name));
        open.extend(same.map(|(_, member)| (member, depth)));
        open[start..].reverse();
    }
}

/// Visits what is not an array in `value`: itself, or the elements of the array and of arrays within it.
pub(crate) fn elements<'a>(value: &'a Value, mut visit: impl FnMut(&'a Value) -> bool) -> bool {
    if !value.is_array() {
        return visit(value);
    }
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(elements) => open.extend(elements.iter().rev()),
            _ => {
                if visit(value) {
                    return true;
                }
            }
        }
    }
    false
}

fn as_index(name: &str) -> Option<usize> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}

struct Parser<'a> {
    text: &'a str,
    chars: Vec<char>,
    at: usize,
}

impl Parser<'_> {
    fn path(mut self) -> Result<Path, InvalidPath> {
        let mut segments = Vec::new();
        if self.chars.first() == Some(&'$') && matches!(self.chars.get(1), None | Some('.' | '[')) {
            self.at = 1;
            if self.peek() == Some('.') {
                self.at = 2;
            }
        }
        if self.chars.iter().all(|c| c.is_whitespace()) || self.at == self.chars.len() {
            return Err(InvalidPath::Empty);
        }
        // Whether a name must follow: at the start, and after a dot.
        let mut name_due = true;
        while let Some(c) = self.peek() {
            match c {
                '[' => {
                    segments.extend(self.bracket()?);
                    name_due = false;
                }
                '.' if name_due => return Err(self.empty_segment()),
                '.' => {
                    self.at += 1;
                    name_due = true;
                }
                _ if !name_due => return Err(self.unexpected("`.` or `[`")),
                '\'' | '"' => {
                    segments.push(Segment {
                        name: self.quoted(c)?,
                        index: None,
                    });
                    name_due = false;
                }
                _ => {
                    segments.push(self.bare()?);
                    name_due = false;
                }
            }
        }
        if name_due {
            return Err(self.empty_segment());
        }
        match segments.len() {
            0 => Err(InvalidPath::Empty),
            1..=DEEPEST => Ok(Path { segments }),
            _ => Err(InvalidPath::TooLong {
                path: self.text.to_owned(),
            }),
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn bare(&mut self) -> Result<Segment, InvalidPath> {
        let start = self.at;
        while let Some(c) = self.peek() {
            match c {
                '.' | '[' => break,
                ']' => return Err(self.unexpected("`[` before `]`")),
                _ => self.at += 1,
            }
        }
        let name: String = self.chars[start..self.at].iter().collect();
        let index = as_index(&name);
        Ok(Segment { name, index })
    }

    /// `['name']`, `["name"]`, `[0]`, or `[*]`, which says what happens anyway.
    fn bracket(&mut self) -> Result<Option<Segment>, InvalidPath> {
        self.at += 1;
        let segment = match self.peek() {
            Some(quote @ ('\'' | '"')) => Some(Segment {
                name: self.quoted(quote)?,
                index: None,
            }),
            Some('*') => {
                self.at += 1;
                None
            }
            _ => {
                let start = self.at;
                while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    self.at += 1;
                }
                let name: String = self.chars[start..self.at].iter().collect();
                let Some(index) = as_index(&name) else {
                    return Err(self.unexpected("a quoted name, a number or `*`"));
                };
                Some(Segment {
                    name,
                    index: Some(index),
                })
            }
        };
        if self.peek() != Some(']') {
            return Err(self.unexpected("`]`"));
        }
        self.at += 1;
        Ok(segment)
    }

    /// A name between quotes; a backslash takes the next character as it is.
    fn quoted(&mut self, quote: char) -> Result<String, InvalidPath> {
        self.at += 1;
        let mut name = String::new();
        loop {
            let Some(mut c) = self.peek() else {
                return Err(self.unexpected("the closing quote"));
            };
            self.at += 1;
            if c == quote {
                return Ok(name);
            }
            if c == '\\' {
                c = self
                    .peek()
                    .ok_or_else(|| self.unexpected("a character after `\\`"))?;
                self.at += 1;
            }
            name.push(c);
        }
    }

    fn empty_segment(&self) -> InvalidPath {
        InvalidPath::EmptySegment {
            path: self.text.to_owned(),
            position: self.at + 1,
        }
    }

    fn unexpected(&self, expected: &'static str) -> InvalidPath {
        InvalidPath::Unexpected {
            path: self.text.to_owned(),
            expected,
            position: self.at + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found(path: &str, document: &Value) -> Vec<Value> {
        let mut found = Vec::new();
        Path::parse(path)
            .expect("a path")
            .resolve(document.into(), |value| {
                found.push(value.clone());
                false
            });
        found
    }

    /// Writes a path so that it reads back the same, quoting names where they need it.
    fn written(path: &Path) -> String {
        let mut text = String::new();
        for (position, segment) in path.segments.iter().enumerate() {
            let plain = !segment.name.is_empty()
                && segment.name != "$"
                && !segment.name.contains(['.', '[', ']', '\'', '"'])
                && (segment.index.is_some() || as_index(&segment.name).is_none());
            if plain {
                if position > 0 {
                    text.push('.');
                }
                text.push_str(&segment.name);
            } else {
                let quoted = segment.name.replace('\\', "\\\\").replace('\'', "\\'");
                text.push_str(&format!("['{quoted}']"));
            }
        }
        text
    }

    fn names(path: &str) -> Vec<String> {
        let path = Path::parse(path).expect("a path");
        path.segments
            .into_iter()
            .map(|segment| segment.name)
            .collect()
    }

    #[test]
    fn paths_are_read_in_all_their_spellings() {
        assert_eq!(names("a.b"), ["a", "b"]);
        assert_eq!(names("$.a.b"), ["a", "b"]);
        assert_eq!(names("$['a']['b']"), ["a", "b"]);
        assert_eq!(names("$.['a'].b"), ["a", "b"]);
        assert_eq!(names("a['b.c']"), ["a", "b.c"]);
        assert_eq!(names("a.\"b.c\".d"), ["a", "b.c", "d"]);
        assert_eq!(names(r"a['it\'s']"), ["a", "it's"]);
        assert_eq!(names("tags.aws:tag/x"), ["tags", "aws:tag/x"]);
        assert_eq!(
            names("ExtendedProperties['Client IP address']"),
            ["ExtendedProperties", "Client IP address"]
        );
        assert_eq!(
            names("ExtendedProperties.Client IP address"),
            ["ExtendedProperties", "Client IP address"]
        );
        assert_eq!(names("a[0].b"), ["a", "0", "b"]);
        assert_eq!(names("a[*].b"), ["a", "b"]);
        assert_eq!(names("$schema"), ["$schema"]);
        assert_eq!(names("['']"), [""]);
    }

    #[test]
    fn wrong_paths_are_refused_with_the_place() {
        for (path, position) in [("a..b", 3), (".a", 1), ("a.", 3), ("$..a", 3)] {
            match Path::parse(path) {
                Err(InvalidPath::EmptySegment { position: at, .. }) => {
                    assert_eq!(at, position, "{path}")
                }
                other => panic!("{path}: {other:?}"),
            }
        }
        for path in [
            "a[", "a[b]", "a['b", "a['b'", "a]b", "a['b']c", "a[-1]", r"a['b\",
        ] {
            assert!(
                matches!(Path::parse(path), Err(InvalidPath::Unexpected { .. })),
                "{path}"
            );
        }
        for path in ["", "$", "$.", "  ", "[*]"] {
            assert_eq!(Path::parse(path), Err(InvalidPath::Empty), "{path}");
        }
        assert!(matches!(
            Path::parse(&["a"; 129].join(".")),
            Err(InvalidPath::TooLong { .. })
        ));
    }

    #[test]
    fn the_exact_name_goes_before_other_spellings() {
        let document = json!({"Name": 1, "name": 2, "NAME": 3});
        assert_eq!(found("name", &document), [2]);
        assert_eq!(found("nAME", &document).len(), 3);
        assert_eq!(found("ſource", &json!({"SOURCE": 1})), [1]);
    }

    #[test]
    fn arrays_are_entered_at_every_level() {
        let document = json!({"a": [{"b": 1}, [{"b": [2, 3]}], {"c": 4}, 5]});
        assert_eq!(found("a.b", &document), [json!(1), json!([2, 3])]);
    }

    #[test]
    fn a_number_picks_an_element_or_names_a_member() {
        let document = json!({"a": [{"b": 1}, {"b": 2}], "m": {"1": "one"}});
        assert_eq!(found("a.1.b", &document), [2]);
        assert_eq!(found("a[1].b", &document), [2]);
        assert_eq!(found("a[2].b", &document), Vec::<Value>::new());
        assert_eq!(found("m.1", &document), ["one"]);
        assert_eq!(found("a['1'].b", &document), Vec::<Value>::new());
    }

    #[test]
    fn a_document_of_any_depth_is_walked() {
        let mut document = json!(1);
        for _ in 0..200_000 {
            document = Value::Array(vec![document]);
        }
        let mut count = 0;
        elements(&document, |_| {
            count += 1;
            false
        });
        assert!(
            !Path::parse("a")
                .expect("a path")
                .resolve((&document).into(), |_| true)
        );
        assert_eq!(count, 1);
        // Dropping it would overflow the stack: that recursion is not ours.
        let mut rest = document;
        while let Value::Array(mut inner) = rest {
            rest = inner.pop().unwrap_or(Value::Null);
        }
    }

    proptest! {
        #[test]
        fn a_path_reads_back_as_written(parts in prop::collection::vec(("\\PC{0,6}", any::<bool>()), 1..5)) {
            let segments: Vec<Segment> = parts
                .into_iter()
                .map(|(name, plain)| Segment { index: if plain { as_index(&name) } else { None }, name })
                .collect();
            let path = Path { segments };
            let written = written(&path);
            if !written.trim().is_empty() {
                prop_assert_eq!(Path::parse(&written), Ok(path), "{}", written);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[a.$\\[\\]'\"\\\\0*]{0,12}") {
            let _ = Path::parse(&text);
        }
    }
}
