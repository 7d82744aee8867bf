use serde_json::Value;

use super::seen::{Kind, Seen};
use super::{DEEPEST, Document, Visits};
use crate::fold::fold_into;
use crate::index::trie::{ROOT, Trie};
use crate::number::Number;

/// Walks a parsed document, entering only what a path leads into.
pub(crate) struct Walker<'a> {
    pub(crate) trie: &'a Trie,
    pub(crate) wants: &'a [u8],
    pub(crate) seen: &'a mut Seen,
    pub(crate) visits: &'a mut Visits,
    /// Room for folded names.
    pub(crate) name: &'a mut Vec<u8>,
    /// Whether names in several cases are told apart where all rules spell a name alike, so that it is not ambiguous.
    pub(crate) careful: bool,
}

/// A value, the node whose paths lead to it, and whether it is an element.
type Place<'v> = (&'v Value, u32, bool);

impl Walker<'_> {
    /// Notes the values that the paths lead to.
    pub(crate) fn walk(&mut self, document: Document<'_>) {
        match document {
            Document::Value(value) => self.value((value, ROOT, false), 0),
            Document::Members(members) => {
                let object = self.visits.enter();
                let has = |name: &str| members.iter().any(|(other, _)| *other == name);
                for (name, member) in members {
                    self.member(name, member, (ROOT, object, false), has, |walker, place| {
                        walker.value(place, 1);
                    });
                }
            }
        }
    }

    fn value(&mut self, place: Place<'_>, depth: usize) {
        if depth < DEEPEST {
            self.note(place);
            self.below(place, |walker, place| walker.value(place, depth + 1));
            return;
        }
        // A document that was not read from text may nest without bound: no longer on the stack of the thread.
        let mut open = vec![place];
        while let Some(place) = open.pop() {
            self.note(place);
            self.below(place, |_, place| open.push(place));
        }
    }

    fn note(&mut self, (value, node, _): Place<'_>) {
        let Some(slot) = self.trie.node(node).slot() else {
            return;
        };
        let wanted = self.wants[slot as usize];
        match value {
            Value::Null => self.seen.note(slot, Kind::Null),
            Value::Bool(boolean) => self.seen.note_boolean(slot, wanted, *boolean),
            Value::Number(number) => match Number::of_json(number) {
                Some(number) => self.seen.note_number(slot, wanted, number),
                // There, but not to be compared.
                None => self.seen.note(slot, Kind::Array),
            },
            Value::String(text) => self.seen.note_text(slot, wanted, text),
            Value::Array(_) => self.seen.note(slot, Kind::Array),
            Value::Object(_) => self.seen.note(slot, Kind::Object),
        }
    }

    /// Calls `go` with every place within a value that a path leads to.
    fn below<'v>(
        &mut self,
        (value, node, in_array): Place<'v>,
        mut go: impl FnMut(&mut Self, Place<'v>),
    ) {
        match value {
            Value::Array(elements) => {
                let trie = self.trie;
                let positions = if in_array {
                    &[]
                } else {
                    trie.node(node).positions()
                };
                for (index, element) in elements.iter().enumerate() {
                    go(self, (element, node, true));
                    for (_, child) in positions.iter().filter(|(position, _)| *position == index) {
                        go(self, (element, *child, false));
                    }
                }
            }
            Value::Object(members) if self.trie.node(node).branches() => {
                let object = self.visits.enter();
                let has = |name: &str| members.contains_key(name);
                for (name, member) in members {
                    self.member(name, member, (node, object, in_array), has, &mut go);
                }
            }
            _ => {}
        }
    }

    /// Calls `go` with a member of an object, for every path that leads to it. The object is told by its node, its number
    /// and whether it is an element; `has` says whether it has a member of exactly some name.
    #[inline(always)]
    fn member<'v>(
        &mut self,
        name: &str,
        member: &'v Value,
        (node, object, in_array): (u32, u32, bool),
        has: impl Fn(&str) -> bool,
        mut go: impl FnMut(&mut Self, Place<'v>),
    ) {
        let trie = self.trie;
        let node = trie.node(node);
        // How long a name is lies nearer at hand than the name.
        if !node.has_length(name.len()) {
            return;
        }
        let edge = if name.is_ascii() {
            trie.edge(node, name.as_bytes())
        } else {
            self.name.clear();
            fold_into(name, self.name);
            trie.edge(node, self.name)
        };
        let Some(edge) = edge else {
            return;
        };
        let spelled = if self.careful {
            let spelled = trie.spelled(edge);
            spelled.and_then(|spelled| std::str::from_utf8(spelled).ok())
        } else {
            None
        };
        // A name that is there as rules spell it hides those that are the same but for case.
        if spelled.is_some_and(|spelled| spelled != name && has(spelled)) {
            return;
        }
        let positional = edge.positional().filter(|_| !in_array);
        for child in edge.named().into_iter().chain(positional) {
            if spelled.is_none() {
                self.visits.visit(child, object);
            }
            go(self, (member, child, false));
        }
    }
}
