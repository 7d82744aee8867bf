use serde_json::Value;

use super::seen::{Kind, Seen};
use super::{DEEPEST, Visits};
use crate::fold::fold_into;
use crate::index::trie::{Children, ROOT, Trie};
use crate::number::Number;

/// Walks a parsed document, entering only what a path leads into.
pub(crate) struct Walker<'a> {
    pub(crate) trie: &'a Trie,
    pub(crate) wants: &'a [u8],
    pub(crate) seen: &'a mut Seen,
    pub(crate) visits: &'a mut Visits,
    /// Room for folded names.
    pub(crate) name: &'a mut String,
}

/// A value, the node whose paths lead to it, and whether it is an element.
type Place<'v> = (&'v Value, u32, bool);

impl Walker<'_> {
    /// Notes the values that the paths lead to.
    pub(crate) fn walk(&mut self, document: &Value) {
        self.value((document, ROOT, false), 0);
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
        let Some(slot) = self.trie.slot(node) else {
            return;
        };
        let wanted = self.wants[slot as usize];
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(boolean) => Kind::Boolean(*boolean),
            Value::Number(number) => match Number::of_json(number) {
                Some(number) => Kind::Number(number),
                // There, but not to be compared.
                None => Kind::Array,
            },
            Value::String(text) => return self.seen.note_text(slot, wanted, text),
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        };
        self.seen.note_scalar(slot, wanted, kind);
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
                let positions = if in_array { &[] } else { trie.positions(node) };
                for (index, element) in elements.iter().enumerate() {
                    go(self, (element, node, true));
                    for (_, child) in positions.iter().filter(|(position, _)| *position == index) {
                        go(self, (element, *child, false));
                    }
                }
            }
            Value::Object(members) if self.trie.branches(node) => {
                let object = self.visits.enter();
                for (name, member) in members {
                    let children = if name.is_ascii() {
                        self.trie.children(node, name.as_bytes())
                    } else {
                        self.name.clear();
                        fold_into(name, self.name);
                        self.trie.children(node, self.name.as_bytes())
                    };
                    let Some(Children { named, positional }) = children else {
                        continue;
                    };
                    for child in named.into_iter().chain(positional.filter(|_| !in_array)) {
                        self.visits.visit(child, object);
                        go(self, (member, child, false));
                    }
                }
            }
            _ => {}
        }
    }
}
