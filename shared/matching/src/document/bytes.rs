use super::blocks::{Block, Survey, behind_close, next_quote};
use super::seen::{Kind, Seen};
use super::{DEEPEST, NotJson, Visits};
use crate::fold::fold_into;
use crate::index::trie::{Children, ROOT, Trie};
use crate::number::Number;

/// Reads a document from its bytes, entering only what a path leads into.
pub(crate) struct Reader<'a> {
    pub(crate) document: &'a [u8],
    pub(crate) blocks: &'a [Block],
    pub(crate) survey: Survey,
    pub(crate) trie: &'a Trie,
    pub(crate) wants: &'a [u8],
    pub(crate) seen: &'a mut Seen,
    pub(crate) visits: &'a mut Visits,
    /// Room for names that are not in the document as such.
    pub(crate) name: &'a mut String,
    pub(crate) unescaped: &'a mut String,
}

impl Reader<'_> {
    /// Notes the values that the paths lead to.
    pub(crate) fn read(&mut self) -> Result<(), NotJson> {
        let start = self.blank(0);
        let end = self.value(start, ROOT, false, 0)?;
        let end = self.blank(end);
        if end < self.document.len() {
            return Err(NotJson::new(end, "something behind the end"));
        }
        Ok(())
    }

    /// Reads the value at `at`, which the paths of `node` lead to, and says where it ends.
    fn value(
        &mut self,
        at: usize,
        node: u32,
        in_array: bool,
        depth: usize,
    ) -> Result<usize, NotJson> {
        let slot = self.trie.slot(node);
        match self.document.get(at) {
            Some(b'"') => {
                let end = self.string_end(at)?;
                if let Some(slot) = slot {
                    self.text(slot, at + 1, end)?;
                }
                Ok(end + 1)
            }
            Some(b'{') => {
                if let Some(slot) = slot {
                    self.seen.note(slot, Kind::Object);
                }
                if self.trie.branches(node) {
                    self.object(at + 1, node, in_array, depth)
                } else {
                    self.bracket_end(at)
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
                        .note_scalar(slot, self.wants[slot as usize], Kind::Number(number));
                    Ok(end)
                }
                None => Ok(self.scalar_end(at)),
            },
            Some(_) => Err(NotJson::new(at, "something else than a value")),
            None => Err(NotJson::new(at, "the end where a value should be")),
        }
    }

    /// Reads the members of the object whose brace is just before `at`.
    fn object(
        &mut self,
        at: usize,
        node: u32,
        in_array: bool,
        depth: usize,
    ) -> Result<usize, NotJson> {
        let object = self.visits.enter();
        let mut at = self.blank(at);
        if self.document.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        loop {
            if self.document.get(at) != Some(&b'"') {
                return Err(NotJson::new(at, "something else than a name"));
            }
            let end = self.string_end(at)?;
            let children = self.children(node, at + 1, end)?;
            at = self.blank(end + 1);
            if self.document.get(at) != Some(&b':') {
                return Err(NotJson::new(at, "something else than a colon"));
            }
            at = self.blank(at + 1);
            let mut behind = None;
            if let Some(Children { named, positional }) = children {
                // Within an array a number picks elements and is no name.
                for child in named.into_iter().chain(positional.filter(|_| !in_array)) {
                    self.visits.visit(child, object);
                    behind = Some(self.value(at, child, false, self.deeper(at, depth)?)?);
                }
            }
            at = match behind {
                Some(behind) => behind,
                None => self.skip(at)?,
            };
            at = self.blank(at);
            match self.document.get(at) {
                Some(b',') => at = self.blank(at + 1),
                Some(b'}') => return Ok(at + 1),
                _ => {
                    return Err(NotJson::new(
                        at,
                        "something else than a comma or the end of the object",
                    ));
                }
            }
        }
    }

    /// Reads the elements of the array whose bracket is just before `at`.
    fn array(
        &mut self,
        at: usize,
        node: u32,
        in_array: bool,
        depth: usize,
    ) -> Result<usize, NotJson> {
        let trie = self.trie;
        let positions = if in_array { &[] } else { trie.positions(node) };
        let mut at = self.blank(at);
        if self.document.get(at) == Some(&b']') {
            return Ok(at + 1);
        }
        let depth = self.deeper(at, depth)?;
        for element in 0.. {
            let behind = self.value(at, node, true, depth)?;
            for (position, child) in positions {
                if *position == element {
                    self.value(at, *child, false, depth)?;
                }
            }
            at = self.blank(behind);
            match self.document.get(at) {
                Some(b',') => at = self.blank(at + 1),
                Some(b']') => return Ok(at + 1),
                _ => break,
            }
        }
        Err(NotJson::new(
            at,
            "something else than a comma or the end of the array",
        ))
    }

    fn deeper(&self, at: usize, depth: usize) -> Result<usize, NotJson> {
        if depth == DEEPEST {
            Err(NotJson::new(at, "more than 128 levels"))
        } else {
            Ok(depth + 1)
        }
    }

    /// What the name from `start` to `end` leads to.
    #[inline]
    fn children(
        &mut self,
        node: u32,
        start: usize,
        end: usize,
    ) -> Result<Option<Children>, NotJson> {
        let name = &self.document[start..end];
        if (self.survey.wide && !name.is_ascii()) || (self.survey.escapes && name.contains(&b'\\'))
        {
            return self.unusual_children(node, start, end);
        }
        Ok(self.trie.children(node, name))
    }

    fn unusual_children(
        &mut self,
        node: u32,
        start: usize,
        end: usize,
    ) -> Result<Option<Children>, NotJson> {
        self.unescaped.clear();
        unescape(&self.document[start..end], self.unescaped)
            .map_err(|(at, found)| NotJson::new(start + at, found))?;
        self.name.clear();
        fold_into(self.unescaped, self.name);
        Ok(self.trie.children(node, self.name.as_bytes()))
    }

    /// Notes the text from `start` to `end`.
    #[inline]
    fn text(&mut self, slot: u32, start: usize, end: usize) -> Result<(), NotJson> {
        let wanted = self.wants[slot as usize];
        let bytes = &self.document[start..end];
        if self.survey.escapes && memchr::memchr(b'\\', bytes).is_some() {
            self.unescaped.clear();
            unescape(bytes, self.unescaped)
                .map_err(|(at, found)| NotJson::new(start + at, found))?;
            self.seen.note_text(slot, wanted, self.unescaped);
        } else if self.survey.wide && !bytes.is_ascii() {
            let text = std::str::from_utf8(bytes).expect("the document was checked to be UTF-8");
            self.seen.note_wide(slot, wanted, text, start, end);
        } else {
            self.seen
                .note_ascii(slot, wanted, self.document, start, end);
        }
        Ok(())
    }

    fn word(
        &mut self,
        at: usize,
        word: &[u8],
        slot: Option<u32>,
        kind: Kind,
    ) -> Result<usize, NotJson> {
        if !self.document[at..].starts_with(word) {
            return Err(NotJson::new(at, "something else than a value"));
        }
        if let Some(slot) = slot {
            self.seen.note_scalar(slot, self.wants[slot as usize], kind);
        }
        Ok(at + word.len())
    }

    /// Reads a number as JSON spells it.
    fn number(&self, at: usize) -> Result<(Number, usize), NotJson> {
        let end = self.scalar_end(at);
        let token = &self.document[at..end];
        let unsigned = token.strip_prefix(b"-").unwrap_or(token);
        let digits = unsigned
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if unsigned.len() > 1 && unsigned[0] == b'0' && digits > 1 {
            return Err(NotJson::new(at, "a number with a leading zero"));
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
            return Ok((Number::Whole(whole.into()), end));
        }
        std::str::from_utf8(token)
            .ok()
            .and_then(Number::of_text)
            .map(|number| (number, end))
            .ok_or_else(|| NotJson::new(at, "a number that is misspelt or out of range"))
    }

    /// Passes over the value at `at`: strings must end and brackets must balance, more is not asked of it.
    #[inline]
    fn skip(&self, at: usize) -> Result<usize, NotJson> {
        match self.document.get(at) {
            Some(b'"') => Ok(self.string_end(at)? + 1),
            Some(b'{' | b'[') => self.bracket_end(at),
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => Ok(self.scalar_end(at)),
            Some(_) => Err(NotJson::new(at, "something else than a value")),
            None => Err(NotJson::new(at, "the end where a value should be")),
        }
    }

    /// Where the string that begins at `at` has its other quote.
    #[inline]
    fn string_end(&self, at: usize) -> Result<usize, NotJson> {
        next_quote(self.blocks, at + 1).ok_or(NotJson::new(at, "a string that does not end"))
    }

    fn bracket_end(&self, at: usize) -> Result<usize, NotJson> {
        behind_close(self.blocks, at + 1).ok_or(NotJson::new(at, "a bracket that is not closed"))
    }

    #[inline]
    fn scalar_end(&self, at: usize) -> usize {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        let rest = &self.document[at..];
        at + rest.iter().position(ends).unwrap_or(rest.len())
    }

    #[inline]
    fn blank(&self, mut at: usize) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.document.get(at) {
            at += 1;
        }
        at
    }
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
