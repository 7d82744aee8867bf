use fearless_simd::Simd;

use super::blocks::Blocks;
use super::habits::{Habit, Habits, Lessons, Names};
use super::seen::{Kind, Seen};
use super::{DEEPEST, NotJson, Visits};
use crate::fold::fold_into;
use crate::index::trie::{Edge, Node, ROOT, Trie};
use crate::number::Number;

/// Reads a document from its bytes, entering only what a path leads into.
pub(crate) struct Reader<'a, S> {
    /// The instructions that the processor has.
    pub(crate) simd: S,
    pub(crate) document: &'a [u8],
    pub(crate) blocks: &'a mut Blocks,
    pub(crate) trie: &'a Trie,
    pub(crate) wants: &'a [u8],
    pub(crate) habits: &'a Habits,
    pub(crate) lessons: &'a mut Lessons,
    pub(crate) seen: &'a mut Seen,
    pub(crate) visits: &'a mut Visits,
    /// Room for names that are not in the document as such.
    pub(crate) name: &'a mut Vec<u8>,
    pub(crate) unescaped: &'a mut String,
    /// What was wrong, once a function below returned nothing.
    pub(crate) fault: Option<NotJson>,
}

impl<'a, S: Simd> Reader<'a, S> {
    /// Notes the values that the paths lead to.
    pub(crate) fn read(mut self) -> Result<(), NotJson> {
        let root = self.trie.node(ROOT);
        let start = blank(self.document, 0);
        let end = self
            .value(start, root, false, 0)
            .map(|end| blank(self.document, end));
        match (end, self.fault) {
            (Some(end), None) if end < self.document.len() => {
                Err(NotJson::new(end, "something behind the end"))
            }
            (_, Some(fault)) => Err(fault),
            _ => Ok(()),
        }
    }

    /// Keeps what is wrong out of the results of functions that are called for every value.
    #[cold]
    fn fail<T>(&mut self, at: usize, found: &'static str) -> Option<T> {
        self.fault.get_or_insert(NotJson::new(at, found));
        None
    }

    /// Reads the value at `at`, which the paths of `node` lead to and which has `depth` brackets around it; says where it
    /// ends.
    fn value(&mut self, at: usize, node: &Node, in_array: bool, depth: usize) -> Option<usize> {
        self.simd.vectorize(
            #[inline(always)]
            || self.value_here(at, node, in_array, depth),
        )
    }

    /// As [`Reader::value`]. With all that it calls for most values it is compiled for each kind of processor.
    #[inline(always)]
    fn value_here(
        &mut self,
        at: usize,
        node: &Node,
        in_array: bool,
        depth: usize,
    ) -> Option<usize> {
        let slot = node.slot();
        match self.document.get(at) {
            Some(b'"') => {
                let end = self.string_end(at)?;
                if let Some(slot) = slot {
                    self.text(slot, at + 1, end)?;
                }
                Some(end + 1)
            }
            Some(b'{') => {
                if let Some(slot) = slot {
                    self.seen.note(slot, Kind::Object);
                }
                if node.branches() {
                    self.object(at + 1, node, in_array, depth)
                } else {
                    self.bracket_end(at, depth)
                }
            }
            Some(b'[') => {
                if let Some(slot) = slot {
                    self.seen.note(slot, Kind::Array);
                }
                self.array(at + 1, node, in_array, depth)
            }
            Some(b't') => self.word(at, b"true", slot, Kind::Boolean(true)),
            Some(b'f') => self.word(at, b"false", slot, Kind::Boolean(false)),
            Some(b'n') => self.word(at, b"null", slot, Kind::Null),
            Some(b'-' | b'0'..=b'9') => match slot {
                Some(slot) => {
                    let (number, end) = self.number(at)?;
                    self.seen
                        .note_number(slot, self.wants[slot as usize], number);
                    Some(end)
                }
                None => Some(self.scalar_end(at)),
            },
            Some(_) => self.fail(at, "something else than a value"),
            None => self.fail(at, "the end where a value should be"),
        }
    }

    /// Reads the members of the object whose brace is just before `at`.
    #[inline(always)]
    fn object(&mut self, at: usize, node: &Node, in_array: bool, depth: usize) -> Option<usize> {
        let (document, trie) = (self.document, self.trie);
        let habits = self.habits.of(node);
        let object = self.visits.enter();
        let mut turn = 0;
        let mut at = blank(document, at);
        if document.get(at) == Some(&b'}') {
            return Some(at + 1);
        }
        loop {
            let edge;
            (at, edge) = match habits.get(turn) {
                Some(habit) if habit.is_at(document, at) => {
                    turn += 1;
                    (at + habit.length, habit.edge(trie))
                }
                _ => self.name(at, node, habits, &mut turn)?,
            };
            let mut first = document.get(at);
            if first.is_some_and(|first| *first <= b' ') {
                at = blank(document, at);
                first = document.get(at);
            }
            at = match (edge, first) {
                // By far the most common, so they are not left to functions.
                (None, Some(b'"')) if let Some(end) = self.blocks.next_quote(document, at + 1) => {
                    end + 1
                }
                (None, _) => self.skip(at, depth + 1)?,
                (Some(edge), first) => match (edge.only_named(), first) {
                    (Some(child), Some(b'"'))
                        if let Some(end) = self.blocks.next_quote(document, at + 1) =>
                    {
                        self.visits.visit(child, object);
                        self.deeper(at, depth)?;
                        if let Some(slot) = trie.node(child).slot() {
                            self.text(slot, at + 1, end)?;
                        }
                        end + 1
                    }
                    _ => self.member(at, edge, object, in_array, depth)?,
                },
            };
            let mut behind = document.get(at);
            if behind.is_some_and(|behind| *behind <= b' ') {
                at = blank(document, at);
                behind = document.get(at);
            }
            match behind {
                Some(b',') => at += 1,
                Some(b'}') => return Some(at + 1),
                _ => return self.fail(at, "something else than a comma or the end of the object"),
            }
        }
    }

    /// Reads the name that begins at `at`, or behind blanks there, and was perhaps not expected: where it ends, colon
    /// included, and what it leads to. `turn` becomes the number of the name that is expected next.
    fn name(
        &mut self,
        at: usize,
        node: &Node,
        habits: &Names,
        turn: &mut usize,
    ) -> Option<(usize, Option<&'a Edge>)> {
        let at = blank(self.document, at);
        if let Some((ahead, habit)) = habits.ahead(*turn, self.document, at) {
            *turn = ahead + 1;
            return Some((at + habit.length, habit.edge(self.trie)));
        }
        if self.document.get(at) != Some(&b'"') {
            return self.fail(at, "something else than a name");
        }
        let end = self.string_end(at)?;
        let name = &self.document[at + 1..end];
        let unusual = (self.blocks.wide() && !name.is_ascii())
            || (self.blocks.escapes() && name.contains(&b'\\'));
        let edge = if unusual {
            self.unescape(at + 1, end)?;
            self.name.clear();
            fold_into(self.unescaped, self.name);
            self.trie.edge(node, self.name)
        } else {
            self.unexpected_name(node, name, habits, turn)
        };
        let colon = blank(self.document, end + 1);
        if self.document.get(colon) != Some(&b':') {
            return self.fail(colon, "something else than a colon");
        }
        Some((colon + 1, edge))
    }

    /// What a name leads to that was not expected at this turn: ASCII and as the document spells it.
    fn unexpected_name(
        &mut self,
        node: &Node,
        name: &[u8],
        habits: &Names,
        turn: &mut usize,
    ) -> Option<&'a Edge> {
        let Some(habit) = Habit::of(name) else {
            return self.trie.edge(node, name);
        };
        if let Some((known, habit)) = habits.find(*turn, &habit) {
            *turn = known + 1;
            return habit.edge(self.trie);
        }
        let edge = self.trie.edge(node, name);
        self.lessons.learn(node, habits, habit, edge);
        edge
    }

    /// Reads a member of an object for all that its name leads to.
    fn member(
        &mut self,
        at: usize,
        edge: &Edge,
        object: u32,
        in_array: bool,
        depth: usize,
    ) -> Option<usize> {
        let mut behind = None;
        // Within an array a number picks elements and is no name.
        let positional = edge.positional().filter(|_| !in_array);
        for child in edge.named().into_iter().chain(positional) {
            self.visits.visit(child, object);
            let depth = self.deeper(at, depth)?;
            behind = Some(self.value(at, self.trie.node(child), false, depth)?);
        }
        match behind {
            None => self.skip(at, depth + 1),
            behind => behind,
        }
    }

    /// Reads the elements of the array whose bracket is just before `at`.
    #[inline(always)]
    fn array(&mut self, at: usize, node: &Node, in_array: bool, depth: usize) -> Option<usize> {
        let positions = if in_array { &[] } else { node.positions() };
        let mut at = blank(self.document, at);
        if self.document.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        let depth = self.deeper(at, depth)?;
        for element in 0.. {
            let behind = self.value(at, node, true, depth)?;
            for (position, child) in positions {
                if *position == element {
                    self.value(at, self.trie.node(*child), false, depth)?;
                }
            }
            self.seen.digest_many(self.wants, self.document);
            at = blank(self.document, behind);
            match self.document.get(at) {
                Some(b',') => at = blank(self.document, at + 1),
                Some(b']') => return Some(at + 1),
                _ => break,
            }
        }
        self.fail(at, "something else than a comma or the end of the array")
    }

    #[inline(always)]
    fn deeper(&mut self, at: usize, depth: usize) -> Option<usize> {
        if depth == DEEPEST {
            self.fail(at, "more than 128 levels")
        } else {
            Some(depth + 1)
        }
    }

    /// Finds out what the inside of a string stands for.
    fn unescape(&mut self, start: usize, end: usize) -> Option<()> {
        self.unescaped.clear();
        match unescape(&self.document[start..end], self.unescaped) {
            Ok(()) => Some(()),
            Err((at, found)) => self.fail(start + at, found),
        }
    }

    /// Notes the text from `start` to `end`.
    #[inline(always)]
    fn text(&mut self, slot: u32, start: usize, end: usize) -> Option<()> {
        if self.blocks.escapes() | self.blocks.wide() {
            return self.uncommon_text(slot, start, end);
        }
        self.seen.note_ascii(slot, start, end);
        Some(())
    }

    #[inline(never)]
    fn uncommon_text(&mut self, slot: u32, start: usize, end: usize) -> Option<()> {
        let wanted = self.wants[slot as usize];
        let bytes = &self.document[start..end];
        if self.blocks.escapes() && memchr::memchr(b'\\', bytes).is_some() {
            self.unescape(start, end)?;
            self.seen.note_text(slot, wanted, self.unescaped);
        } else if self.blocks.wide() && !bytes.is_ascii() {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return self.fail(start, "bytes that are no UTF-8");
            };
            self.seen.note_wide(slot, wanted, text, start, end);
        } else {
            self.seen.note_ascii(slot, start, end);
        }
        Some(())
    }

    fn word(&mut self, at: usize, word: &[u8], slot: Option<u32>, kind: Kind) -> Option<usize> {
        if !self.document[at..].starts_with(word) {
            return self.fail(at, "something else than a value");
        }
        match (slot, kind) {
            (Some(slot), Kind::Boolean(boolean)) => {
                self.seen
                    .note_boolean(slot, self.wants[slot as usize], boolean);
            }
            (Some(slot), kind) => self.seen.note(slot, kind),
            (None, _) => {}
        }
        Some(at + word.len())
    }

    /// Reads a number as JSON spells it.
    fn number(&mut self, at: usize) -> Option<(Number, usize)> {
        let end = self.scalar_end(at);
        let token = &self.document[at..end];
        let unsigned = token.strip_prefix(b"-").unwrap_or(token);
        let digits = unsigned
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if unsigned.len() > 1 && unsigned[0] == b'0' && digits > 1 {
            return self.fail(at, "a number with a leading zero");
        }
        if digits == unsigned.len() && (1..=18).contains(&digits) {
            let whole = unsigned
                .iter()
                .fold(0i64, |whole, digit| whole * 10 + i64::from(digit - b'0'));
            let whole = if unsigned.len() < token.len() {
                -whole
            } else {
                whole
            };
            return Some((Number::Whole(whole.into()), end));
        }
        let number = Number::of_short_decimal(token)
            .or_else(|| std::str::from_utf8(token).ok().and_then(Number::of_text));
        match number {
            Some(number) => Some((number, end)),
            None => self.fail(at, "a number that is misspelt or out of range"),
        }
    }

    /// Passes over the value at `at`, which has `depth` brackets around it: strings must end and brackets must balance,
    /// more is not asked of it.
    #[inline(always)]
    fn skip(&mut self, at: usize, depth: usize) -> Option<usize> {
        match self.document.get(at) {
            Some(b'"') => Some(self.string_end(at)? + 1),
            Some(b'{' | b'[') => self.bracket_end(at, depth),
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Some(self.scalar_end(at)),
            Some(_) => self.fail(at, "something else than a value"),
            None => self.fail(at, "the end where a value should be"),
        }
    }

    /// Where the string that begins at `at` has its other quote.
    #[inline(always)]
    fn string_end(&mut self, at: usize) -> Option<usize> {
        match self.blocks.next_quote(self.document, at + 1) {
            None => self.fail(at, "a string that does not end"),
            end => end,
        }
    }

    #[inline(always)]
    fn bracket_end(&mut self, at: usize, depth: usize) -> Option<usize> {
        match self.blocks.behind_close(self.document, at + 1, depth) {
            None => self.fail(at, "a bracket that is not closed"),
            end => end,
        }
    }

    /// Where the number or word that begins at `at` has its end.
    #[inline(always)]
    fn scalar_end(&self, at: usize) -> usize {
        if let Some(eight) = self.document.get(at..).and_then(<[u8]>::first_chunk)
            && let ends = scalar_ends(u64::from_le_bytes(*eight))
            && ends != 0
        {
            return at + ends.trailing_zeros() as usize / 8;
        }
        self.far_scalar_end(at)
    }

    #[inline(never)]
    fn far_scalar_end(&self, at: usize) -> usize {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | ..=b' ');
        let rest = &self.document[at..];
        at + rest.iter().position(ends).unwrap_or(rest.len())
    }
}

/// The upper bit of each of eight bytes that ends a number or a word: a comma, a closing bracket, or a blank. Bytes behind
/// the first such may be marked in error.
#[inline(always)]
fn scalar_ends(eight: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // The upper bit of each byte that is less than another.
    let below = |bytes: u64, bound: u8| bytes.wrapping_sub(u64::from(bound) * EACH) & !bytes;
    let commas = below(eight ^ (u64::from(b',') * EACH), 1);
    // `]` and `}` differ in one bit.
    let brackets = below((eight | (0x20 * EACH)) ^ (u64::from(b'}') * EACH), 1);
    (commas | brackets | below(eight, b' ' + 1)) & (0x80 * EACH)
}

/// The first place at or behind `at` that has no blank.
#[inline(always)]
fn blank(document: &[u8], mut at: usize) -> usize {
    while let Some(byte) = document.get(at)
        && *byte <= b' '
        && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    {
        at += 1;
    }
    at
}

/// Appends what the inside of a JSON string stands for; an error says where and what is wrong.
fn unescape(mut rest: &[u8], text: &mut String) -> Result<(), (usize, &'static str)> {
    let length = rest.len();
    loop {
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        let place = length - rest.len() + plain;
        text.push_str(
            std::str::from_utf8(&rest[..plain]).map_err(|_| (place, "bytes that are no UTF-8"))?,
        );
        rest = &rest[plain..];
        let [_, escape, behind @ ..] = rest else {
            return if rest.is_empty() {
                Ok(())
            } else {
                Err((place, "an escape that does not end"))
            };
        };
        rest = behind;
        text.push(match escape {
            b'"' | b'\\' | b'/' => *escape as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (c, behind) =
                    unicode(rest).ok_or((place, "an escape that stands for no character"))?;
                rest = behind;
                c
            }
            _ => return Err((place, "an escape that JSON does not have")),
        });
    }
}

/// The character of `\u`, or of two of them that make a pair, and what comes behind.
fn unicode(rest: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = four_digits(rest)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let (second, rest) = four_digits(rest.strip_prefix(b"\\u")?)?;
    if !(0xDC00..0xE000).contains(&second) {
        return None;
    }
    Some((
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))?,
        rest,
    ))
}

fn four_digits(rest: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = rest.split_at_checked(4)?;
    let value = digits.iter().try_fold(0, |value, digit| {
        Some(value * 16 + (*digit as char).to_digit(16)?)
    })?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_or_word_ends_where_a_plain_look_ends_it(bytes in prop::array::uniform8(prop_oneof![
            any::<u8>(), prop::sample::select(&b",]} \t0129.e-["[..])
        ])) {
            let plain = bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | ..=b' '));
            let ends = scalar_ends(u64::from_le_bytes(bytes));
            prop_assert_eq!((ends != 0).then(|| ends.trailing_zeros() as usize / 8), plain);
        }

        #[test]
        fn strings_are_unescaped_as_serde_json_does(inside in "([a-zé\u{1F600}/]|\\\\[\"\\\\/bfnrtux]|\\\\u[0dD][8-9c-fC-F0][0-9a-f]{2}){0,12}") {
            let expected = serde_json::from_str::<String>(&format!("\"{inside}\""));
            let mut text = String::new();
            let result = unescape(inside.as_bytes(), &mut text);
            match expected {
                Ok(expected) => {
                    prop_assert_eq!(result, Ok(()));
                    prop_assert_eq!(text, expected);
                }
                Err(_) => prop_assert!(result.is_err(), "{}", inside),
            }
        }
    }
}
