use std::net::IpAddr;

use fearless_simd::Simd;

use super::edges::Edges;
use super::screen::{Screen, few};
use super::{
    Filed, Further, Glance, Group, Index, SEVERAL, WORDS, hash, judge, key, look, mark, pivot,
};
use crate::conditions::{Asked, Code, Conditions};
use crate::document::Document;
use crate::document::directory::{Directory, Form};
use crate::document::seen::{Seen, SeenValue};
use crate::document::traits::{self, Trait, Traits};
use crate::four;
use crate::matches::Matches;
use crate::near;
use crate::network::Network;
use crate::test::{Found, List, Reading, Test};

/// What was found out in the document at hand, by position.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Which document a note was made in, and the note in the lowest bit.
    notes: Vec<u32>,
    /// One bit for many positions: whether any of them has a note.
    any: [u64; 16],
    /// Twice the number of the document at hand.
    document: u32,
}

impl Notes {
    /// Begins a document, for so many positions.
    pub(crate) fn clear(&mut self, positions: usize) {
        // Numbers of documents are never used again, unless they run out.
        if self.document >= u32::MAX - 3 {
            self.notes.clear();
            self.document = 0;
        }
        self.document += 2;
        self.any = [0; 16];
        if self.notes.len() < positions {
            self.notes.resize(positions, 0);
        }
    }

    #[inline(always)]
    fn get(&self, position: usize) -> Option<bool> {
        // Most have none, and this is nearer at hand.
        if self.any[position / 64 % 16] >> (position % 64) & 1 == 0 {
            return None;
        }
        let note = self.notes[position];
        (note & !1 == self.document).then_some(note & 1 == 1)
    }

    #[inline(always)]
    fn set(&mut self, position: usize, note: bool) {
        self.any[position / 64 % 16] |= 1 << (position % 64);
        self.notes[position] = self.document | u32::from(note);
    }
}

/// What the values of a document are looked up by, and what was found; room that is used again.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    probes: Vec<Probe>,
    /// Where a pivot, or a list of several, lies, and the probe that found it.
    hits: Vec<(u32, u32)>,
    due: Vec<Due>,
    /// Groups of which the pivot holds.
    groups: Vec<Part>,
    /// Sets that may hold: where the glance at each lies, and where the set itself does.
    sets: Vec<(u32, u32)>,
    /// Room for what passed a screen.
    places: Vec<u32>,
}

/// The first sets of a group.
#[derive(Debug, Clone, Copy)]
struct Part {
    group: Group,
    count: u32,
}

/// One look into the table.
#[derive(Debug, Clone, Copy)]
struct Probe {
    hash: u64,
    /// Position of the value among all that were seen.
    value: u32,
    /// Where in the text the gram lies; or one of the two below.
    at: u32,
}

/// The value itself was looked up.
const VALUE: u32 = u32::MAX;

/// All values of the slot were looked up together.
const SLOT: u32 = u32::MAX - 1;

/// Probes that are made before it is time to follow them up.
const BATCH: usize = 1024;

/// Sets that are judged by traits of some slots: of more, all are noted at once.
const FEW: u32 = 8;

/// Words of records in a line of memory.
const LINE: u32 = 16;

/// A pivot that was found.
#[derive(Debug, Clone, Copy)]
struct Due {
    pivot: u32,
    value: u32,
    at: u32,
}

/// Finds the rules that the values of one document match.
///
/// The table and the pivots with the sets of many rules are too large for the nearer caches. So each of them is visited for
/// many values at a time: then the processor waits for several of them at once.
pub(crate) struct Search<'a, S> {
    /// The instructions that the processor has.
    pub(crate) simd: S,
    pub(crate) index: &'a Index,
    pub(crate) conditions: &'a Conditions,
    pub(crate) document: &'a [u8],
    /// The document parsed, if names in it are ambiguous. Then `seen` holds more values than the paths lead to, and
    /// whatever holds of it is asked of this once more.
    pub(crate) exact: Option<Document<'a>>,
    pub(crate) seen: &'a Seen,
    pub(crate) directory: &'a mut Directory,
    /// Noted once they are needed.
    pub(crate) traits: &'a mut Traits,
    pub(crate) batch: &'a mut Batch,
    /// Pivots that need not be looked at again.
    pub(crate) done: &'a mut Notes,
    /// Conditions that were asked, and whether they hold, to the letter of the rules for names.
    pub(crate) asked: &'a mut Notes,
    pub(crate) buffer: &'a mut Vec<u8>,
    pub(crate) matches: &'a mut Matches,
}

impl<'a, S: Simd> Search<'a, S> {
    pub(crate) fn run(&mut self) {
        let always = self.index.always;
        self.group(always, always.count);
        let seen = self.seen;
        for (position, value) in (0..).zip(&seen.values) {
            let looks = self.index.slots[value.slot as usize].looks & !look::SCALE;
            if looks != 0 {
                self.value(position, value, looks);
            }
        }
        self.follow_up();
    }

    #[inline(always)]
    fn value(&mut self, position: u32, value: &SeenValue, looks: u16) {
        const COMMON: u16 = look::TEXT | look::PARTS;
        let slot = value.slot;
        if looks & look::TEXT != 0 && value.has_text() {
            self.probe(slot, value.hash, key::TEXT, position, VALUE);
        }
        if looks & look::PARTS != 0 {
            self.parts(position, value);
        }
        if looks & !COMMON != 0 {
            self.further(position, value, looks);
        }
    }

    /// All that is looked up less often than texts.
    #[inline(never)]
    fn further(&mut self, position: u32, value: &SeenValue, looks: u16) {
        let slot = value.slot;
        if looks & (look::PRESENT | look::THRESHOLDS) != 0 && self.seen.is_latest(position, slot) {
            if looks & look::PRESENT != 0 {
                self.probe(slot, 0, key::PRESENT, position, SLOT);
            }
            if looks & look::THRESHOLDS != 0 {
                self.thresholds(slot);
            }
        }
        const READ: u16 = look::NUMBER | look::BOOLEAN | look::NULL | look::RANK | look::NETWORKS;
        if looks & READ != 0
            && let Some(found) = self.seen.found(value, self.document)
        {
            self.read(position, slot, found, looks);
        }
    }

    /// Looks up a value as something else than text.
    fn read(&mut self, value: u32, slot: u32, found: Found<'a>, looks: u16) {
        if looks & look::NUMBER != 0
            && let Some(number) = found.number(Reading::Any)
        {
            self.probe(slot, key::of_number(number), key::NUMBER, value, VALUE);
        }
        if looks & look::BOOLEAN != 0
            && let Some(boolean) = found.boolean()
        {
            self.probe(slot, u64::from(boolean), key::BOOLEAN, value, VALUE);
        }
        if looks & look::NULL != 0 {
            self.probe(slot, 0, key::NULL, value, VALUE);
        }
        if looks & look::RANK != 0
            && let Some(rank) = found.severity()
        {
            for least in 0..=rank {
                self.probe(slot, u64::from(least), key::RANK, value, VALUE);
            }
        }
        if looks & look::NETWORKS != 0
            && let Some(address) = found.address()
        {
            self.networks(value, slot, address);
        }
    }

    /// Goes through the sets of which the pivot compares the numbers of a slot.
    fn thresholds(&mut self, slot: u32) {
        let index = self.index;
        let Some(details) = &index.slots[slot as usize].details else {
            return;
        };
        index.describe_slot(slot, self.seen, self.document, self.traits);
        let (lowest, highest) = self.traits.reach(slot);
        for (thresholds, reached) in [(&details.rising, highest), (&details.falling, lowest)] {
            let count = thresholds.bounds.partition_point(|bound| *bound <= reached) as u32;
            let group = thresholds.sets;
            if self.exact.is_none() {
                self.group(group, count);
                continue;
            }
            // What was seen reaches them, but perhaps not what the paths lead to.
            for (at, code) in (0..count).zip(&thresholds.codes) {
                if self.holds_exactly(*code) {
                    self.batch.sets.push(group.set(at));
                }
            }
        }
    }

    /// Sees to it that the traits are noted that the sets are judged by which are to be gone through.
    #[inline]
    fn describe(&mut self) {
        if self.traits.all_noted {
            return;
        }
        let Batch { groups, sets, .. } = &*self.batch;
        let count: u32 = groups.iter().map(|part| part.count).sum();
        if count > FEW || !sets.is_empty() {
            self.index.describe(self.seen, self.document, self.traits);
            return;
        }
        for Part { group, count } in groups {
            for at in 0..*count {
                self.index
                    .describe_set(group.set(at), self.seen, self.document, self.traits);
            }
        }
    }

    fn networks(&mut self, value: u32, slot: u32, address: IpAddr) {
        let index = self.index;
        if let Some(details) = &index.slots[slot as usize].details {
            for (v6, prefix) in &details.networks {
                if let Some(hash) = Network::block_hash_around(address, *v6, *prefix) {
                    self.probe(slot, hash, key::NETWORK, value, VALUE);
                }
            }
        }
    }

    /// Looks up the beginnings, the ends and the grams of a text.
    #[inline(never)]
    fn parts(&mut self, value: u32, seen_value: &SeenValue) {
        let (index, seen, slot) = (self.index, self.seen, seen_value.slot);
        let text = seen.folded(seen_value);
        let bytes = seen.folded_and_behind(seen_value);
        let Some(details) = &index.slots[slot as usize].details else {
            return;
        };
        let mut kept = std::mem::take(&mut self.batch.places);
        kept.resize(Screen::STRETCH, 0);
        let Some(places) = kept.first_chunk_mut() else {
            return;
        };
        if let Some(prefixes) = &details.prefixes {
            self.edges(prefixes, key::PREFIX, value, seen_value, places);
        }
        if let Some(suffixes) = &details.suffixes {
            self.edges(suffixes, key::SUFFIX, value, seen_value, places);
        }
        let all = details.short_screens.iter();
        for screen in all.chain(&details.four_screen).chain(&details.eight_screen) {
            let length = screen.length();
            let mut start = 0;
            while start + length <= text.len() {
                let grams = (text.len() - start - length + 1).min(Screen::STRETCH);
                let count = screen.places(self.simd.level(), &bytes[start..], grams, places);
                for at in &places[..count] {
                    let at = start + *at as usize;
                    let gram = few(&text[at..][..length]);
                    self.probe(slot, gram, key::gram(length), value, at as u32);
                }
                start += Screen::STRETCH;
            }
        }
        self.batch.places = kept;
    }

    /// Looks up the beginnings of a text, or its ends.
    #[inline(always)]
    fn edges(
        &mut self,
        edges: &Edges,
        purpose: u32,
        value: u32,
        seen_value: &SeenValue,
        places: &mut [u32; Screen::STRETCH],
    ) {
        let seen = self.seen;
        let text = seen.folded(seen_value).len();
        let bytes = seen.folded_and_behind(seen_value);
        let mut count = edges.short_lengths(text, bytes, places);
        let mut long = edges.long_lengths(text).chunks(Screen::STRETCH);
        loop {
            for length in &places[..count] {
                let length = *length as usize;
                let hash = seen.hash_of_part(seen_value, edges.start(text, length), length);
                self.probe(seen_value.slot, hash, purpose, value, VALUE);
            }
            let Some(lengths) = long.next() else {
                break;
            };
            count = edges.passing(lengths, text, bytes, places);
        }
    }

    #[inline(always)]
    fn probe(&mut self, slot: u32, hash: u64, purpose: u32, value: u32, at: u32) {
        let hash = hash::bind(hash, slot, purpose);
        self.index.table.fetch(self.simd.level(), hash);
        self.batch.probes.push(Probe { hash, value, at });
        if self.batch.probes.len() == BATCH {
            self.follow_up();
        }
    }

    /// Finds the pivots of all probes, and asks what is left of their sets.
    #[inline(never)]
    fn follow_up(&mut self) {
        let (index, level) = (self.index, self.simd.level());
        let Batch {
            probes, hits, due, ..
        } = &mut *self.batch;
        if hits.len() < probes.len() {
            hits.resize(probes.len(), (0, 0));
        }
        let mut count = 0;
        for (position, probe) in (0..).zip(probes.iter()) {
            // Which are found cannot be foreseen, so there is no branch.
            let found = index.table.one_above(probe.hash);
            hits[count] = (found.wrapping_sub(1), position);
            count += usize::from(found != 0);
        }
        for (found, _) in &hits[..count] {
            // Sets lie behind their pivot.
            near::fetch(level, &index.records, *found as usize);
            near::fetch(level, &index.records, *found as usize + 16);
        }
        for (found, position) in hits[..count].iter().copied() {
            let Probe { value, at, .. } = probes[position as usize];
            let records = &index.records[found as usize..];
            if let [SEVERAL, count, behind @ ..] = records {
                let several = behind[..*count as usize].iter();
                due.extend(several.map(|pivot| {
                    near::fetch(level, &index.records, *pivot as usize);
                    Due {
                        pivot: *pivot,
                        value,
                        at,
                    }
                }));
            } else {
                due.push(Due {
                    pivot: found,
                    value,
                    at,
                });
            }
        }
        probes.clear();
        for position in 0..self.batch.due.len() {
            let due = self.batch.due[position];
            self.pivot(due);
        }
        self.batch.due.clear();
        if !self.batch.groups.is_empty() || !self.batch.sets.is_empty() {
            self.describe();
            self.simd.vectorize(
                #[inline(always)]
                || self.groups(),
            );
        }
    }

    /// Goes through the groups that were kept, and asks what is left of their sets.
    #[inline(always)]
    fn groups(&mut self) {
        self.glance();
        for position in 0..self.batch.sets.len() {
            let (glance, filed) = self.batch.sets[position];
            self.set(glance, filed);
        }
        self.batch.sets.clear();
    }

    /// Keeps the first sets of a group to go through.
    #[inline(always)]
    fn group(&mut self, group: Group, count: u32) {
        if count > 0 {
            self.batch.groups.push(Part { group, count });
            if count > LINE / WORDS {
                self.fetch_glances(group, count);
            }
        }
    }

    /// Has the glances of a group brought near, but for the first, which are where its pivot is.
    #[inline(never)]
    fn fetch_glances(&self, group: Group, count: u32) {
        /// Lines that are worth it; the processor fetches by itself what follows.
        const FEW: usize = 4;
        let (records, level) = (&self.index.records, self.simd.level());
        let behind = group.first + WORDS * count;
        for at in (group.first..behind)
            .step_by(LINE as usize)
            .skip(1)
            .take(FEW)
        {
            near::fetch(level, records, at as usize);
        }
    }

    /// Finds the sets that may hold.
    #[inline(always)]
    fn glance(&mut self) {
        let (records, traits) = (self.index.records.as_slice(), self.traits.all());
        let Batch { groups, sets, .. } = &mut *self.batch;
        let mut found = sets.len();
        let most: usize = groups.iter().map(|part| part.count as usize).sum();
        sets.resize(found + most, (0, 0));
        let room = sets.as_mut_slice();
        for Part { group, count } in groups.drain(..) {
            let glances = &records[group.first as usize..];
            let glances: &[Glance] = &glances.as_chunks().0[..count as usize];
            let (mut glance, behind) = (group.first, WORDS * group.count);
            for [one, from_one, two, from_two] in glances {
                let beside = beside(traits, *one, *from_one) | beside(traits, *two, *from_two);
                // Which ones may hold cannot be foreseen, so there is no branch.
                room[found] = (glance, glance + behind);
                found += usize::from(beside == 0);
                glance += WORDS;
            }
        }
        sets.truncate(found);
        for (_, filed) in sets {
            near::fetch(self.simd.level(), records, *filed as usize);
        }
    }

    /// Asks what is left of the sets of a pivot, if it holds and was not done with before.
    #[inline(always)]
    fn pivot(&mut self, due: Due) {
        let index = self.index;
        let start = due.pivot as usize;
        let records = &index.records[start..];
        let Some((head, behind)) = records.split_first_chunk::<{ pivot::WORDS }>() else {
            return;
        };
        let (slot, how) = (
            head[pivot::SLOT] & pivot::SLOT_BITS,
            head[pivot::SLOT] >> 28,
        );
        // The table keeps half of a hash, so what it finds may even belong to another slot or purpose.
        if self.seen.values[due.value as usize].slot != slot {
            return;
        }
        let ordinal = head[pivot::ORDINAL] as usize;
        // Only a slot with several values, or a text with several places, leads to a pivot twice.
        let repeats = due.at != SLOT && (due.at != VALUE || self.seen.has_several(slot));
        if repeats && self.done.get(ordinal).is_some() {
            return;
        }
        let words = (head[pivot::LENGTH] as usize).div_ceil(4);
        let right = self.confirm(head, &behind[..words], due)
            && self.holds_so_exactly(Code(head[pivot::CODE]));
        if right {
            let group = Group {
                first: due.pivot + (pivot::WORDS + words) as u32,
                count: head[pivot::COUNT],
            };
            self.group(group, group.count);
        }
        // Another value, or another place in this one, may yet confirm what was wrong, unless all were asked.
        let asked_all = how == pivot::ASK && due.at != VALUE;
        if repeats && (right || asked_all) {
            self.done.set(ordinal, right);
        }
    }

    /// Whether a pivot that was looked up holds of the value, or of all values of the slot.
    #[inline(always)]
    fn confirm(&mut self, head: &[u32; pivot::WORDS], needle: &[u32], due: Due) -> bool {
        let seen = self.seen;
        let value = &seen.values[due.value as usize];
        let length = head[pivot::LENGTH] as usize;
        let how = head[pivot::SLOT] >> 28;
        if how == pivot::ASK {
            let code = Code(head[pivot::CODE]);
            return if due.at == VALUE {
                self.passes(code, value)
            } else {
                self.holds(code)
            };
        }
        if !value.has_text() {
            return false;
        }
        let text = seen.folded(value);
        let part = match how {
            pivot::EQUALS => (text.len() == length).then_some(text),
            pivot::STARTS => text.get(..length),
            pivot::ENDS => text.len().checked_sub(length).map(|start| &text[start..]),
            _ => due
                .at
                .checked_sub(head[pivot::NEEDLE_AT])
                .and_then(|start| text.get(start as usize..start as usize + length)),
        };
        part.is_some_and(|part| is_needle(part, needle))
    }

    /// Whether one value passes, whatever the path leads to.
    fn passes(&mut self, code: Code, value: &SeenValue) -> bool {
        passes(
            self.conditions,
            self.seen,
            self.document,
            self.buffer,
            code,
            value,
        )
    }

    /// Asks what is left of a set, given where the glance at it lies, and where it lies itself.
    #[inline(always)]
    fn set(&mut self, glance: u32, filed: u32) {
        let records = self.index.records.as_slice();
        let glance = records[glance as usize..].first_chunk();
        let filed = records[filed as usize..].first_chunk();
        if let (Some(glance), Some(filed)) = (glance, filed)
            && self.holds_all(glance, filed)
        {
            self.matches.add(filed[0]);
        }
    }

    /// Whether all conditions of a set hold, of which the first two may.
    #[inline(always)]
    fn holds_all(&mut self, [one, from_one, two, from_two]: &Glance, filed: &Filed) -> bool {
        let [_, code_one, code_two, _] = filed;
        let further = self.index.further(filed);
        further
            .iter()
            .all(|[judge, from, _]| beside(self.traits.all(), *judge, *from) == 0)
            && self.one_holds(&[*one, *from_one, *code_one])
            && self.one_holds(&[*two, *from_two, *code_two])
            && further.iter().all(|asked| self.one_holds(asked))
    }

    /// Whether a condition of a set holds of which the trait lies in the range.
    #[inline(always)]
    fn one_holds(&mut self, [judge, from, code]: &Further) -> bool {
        let exact = self.exact.is_some();
        let position = judge & judge::POSITION;
        let mark = code & mark::ANY;
        // The codes of conditions on no text have their upper bit set.
        let code = Code(code & !mark::ANY);
        match mark {
            mark::EQUALS => {
                let slot = traits::slot(position);
                (!exact && self.seen.slot(slot).is_known_to_equal(code.0))
                    || self.equals(code, slot, *from)
            }
            mark::SURE => !exact || self.holds_exactly(code),
            mark::TOLD => (!exact && self.traits.is_known(position)) || self.holds(code),
            mark::HAS => self.has(code, traits::slot(position), *from, judge >> judge::SHIFT),
            mark::NONE => true,
            _ => self.holds(code),
        }
    }

    /// Whether any value of a slot is the text of a condition, given the lower half of its hash.
    fn equals(&mut self, code: Code, slot: u32, hash: u32) -> bool {
        let seen = self.seen;
        // One value is as near at hand as the note would be; many are gone through once.
        let ordinal =
            (self.exact.is_some() || seen.has_several(slot)).then(|| self.conditions.ordinal(code));
        if let Some(holds) = ordinal.and_then(|ordinal| self.asked.get(ordinal)) {
            return holds;
        }
        let holds = if self.looks_up_texts(slot) {
            self.finds(code, slot, Form::Text, hash)
        } else {
            let mut gone_through = 0;
            let all = seen.of(slot).inspect(|_| gone_through += 1);
            let mut alike = all.filter(|value| value.hash as u32 == hash);
            let holds = alike.any(|value| self.passes(code, value));
            self.directory.went_through(slot, Form::Text, gone_through);
            holds
        };
        let holds = holds && self.holds_so_exactly(code);
        if holds {
            seen.set_known_to_equal(slot, code.0);
        }
        if let Some(ordinal) = ordinal {
            self.asked.set(ordinal, holds);
        }
        holds
    }

    /// Whether texts of a slot can be looked up.
    #[inline]
    fn looks_up_texts(&mut self, slot: u32) -> bool {
        let seen = self.seen;
        self.directory
            .looks_up(slot, Form::Text, seen, |value| seen.text_hash(value))
    }

    /// As [`Search::looks_up_texts`], of numbers.
    #[inline]
    fn looks_up_numbers(&mut self, slot: u32) -> bool {
        let (seen, document) = (self.seen, self.document);
        self.directory.looks_up(slot, Form::Number, seen, |value| {
            let found = seen.found(&seen.values[value as usize], document)?;
            found.number(Reading::Any).map(key::of_number)
        })
    }

    /// Whether any value of a slot passes, of those that are looked up by such a hash.
    fn finds(&mut self, code: Code, slot: u32, form: Form, hash: u32) -> bool {
        let (seen, conditions, document) = (self.seen, self.conditions, self.document);
        let buffer = &mut *self.buffer;
        let mut alike = self.directory.alike(slot, form, hash);
        alike.any(|value| {
            let value = &seen.values[value as usize];
            passes(conditions, seen, document, buffer, code, value)
        })
    }

    /// Whether any value of a slot passes.
    fn any_passes(&mut self, code: Code, slot: u32) -> bool {
        let (seen, conditions) = (self.seen, self.conditions);
        let form = match conditions.asked(code) {
            Asked::Other(Test::In(List::Texts(texts))) => {
                if self.looks_up_texts(slot) {
                    let mut hashes = texts.iter().map(|text| hash::text(text.as_bytes()));
                    return hashes.any(|hash| self.finds(code, slot, Form::Text, hash as u32));
                }
                Form::Text
            }
            Asked::Other(Test::In(List::Numbers(numbers, _))) => {
                if self.looks_up_numbers(slot) {
                    let mut keys = numbers.iter().map(|number| key::of_number(*number));
                    return keys.any(|key| self.finds(code, slot, Form::Number, key as u32));
                }
                Form::Number
            }
            _ => return seen.of(slot).any(|value| self.passes(code, value)),
        };
        let mut gone_through = 0;
        let mut all = seen.of(slot).inspect(|_| gone_through += 1);
        let passes = all.any(|value| self.passes(code, value));
        self.directory.went_through(slot, form, gone_through);
        passes
    }

    /// Whether any value of a slot has the text of a condition, given four bytes of that and where in it they lie.
    fn has(&mut self, code: Code, slot: u32, four: u32, offset: u32) -> bool {
        let ordinal = self.conditions.ordinal(code);
        if let Some(has) = self.asked.get(ordinal) {
            return has;
        }
        let (simd, seen) = (self.simd, self.seen);
        let has = seen.of(slot).any(|value| {
            let (text, behind) = (seen.folded(value), seen.folded_and_behind(value));
            four::find(simd, text, behind, four)
                .is_some_and(|at| self.has_at(code, value, at, offset) || self.passes(code, value))
        });
        let has = has && self.holds_so_exactly(code);
        self.asked.set(ordinal, has);
        has
    }

    /// Whether a value has the text of a condition where it has four bytes of that first. If not, it may have it further
    /// behind, or not be ASCII, which alone is as long as its folding.
    fn has_at(&self, code: Code, value: &SeenValue, at: usize, offset: u32) -> bool {
        let Asked::Text(_, expected) = self.conditions.asked(code) else {
            return false;
        };
        let there = at
            .checked_sub(offset as usize)
            .and_then(|start| self.seen.folded(value).get(start..start + expected.len()));
        there.is_some_and(|there| there.eq_ignore_ascii_case(expected.as_bytes()))
    }

    fn holds(&mut self, code: Code) -> bool {
        let ordinal = self.conditions.ordinal(code);
        if let Some(holds) = self.asked.get(ordinal) {
            return holds;
        }
        let seen = self.seen;
        let slot = self.conditions.slot(code);
        let holds = match self.conditions.asked(code) {
            // What was not seen is not there; what was seen may yet be none of what the path leads to.
            Asked::Other(Test::Exists(false)) => {
                !seen.has(slot) || (self.exact.is_some() && self.holds_exactly(code))
            }
            Asked::Other(Test::Exists(true)) => seen.has(slot) && self.holds_so_exactly(code),
            _ => self.any_passes(code, slot) && self.holds_so_exactly(code),
        };
        self.asked.set(ordinal, holds);
        holds
    }

    /// Whether a condition holds that does of what was seen. It must be one that some value fulfils, by itself: then it
    /// cannot hold of fewer values if it does not of all that were seen.
    #[inline(always)]
    fn holds_so_exactly(&mut self, code: Code) -> bool {
        self.exact.is_none() || self.holds_exactly(code)
    }

    fn holds_exactly(&mut self, code: Code) -> bool {
        let Some(document) = self.exact else {
            return false;
        };
        let ordinal = self.conditions.ordinal(code);
        if let Some(holds) = self.asked.get(ordinal) {
            return holds;
        }
        let holds = self.conditions.holds_in(code, document);
        self.asked.set(ordinal, holds);
        holds
    }
}

/// Whether one value passes a condition; `buffer` is room for a folded expectation.
#[inline]
fn passes(
    conditions: &Conditions,
    seen: &Seen,
    document: &[u8],
    buffer: &mut Vec<u8>,
    code: Code,
    value: &SeenValue,
) -> bool {
    match conditions.asked(code) {
        Asked::Text(operator, expected) => seen
            .plain(value, document)
            .is_some_and(|text| operator.holds(expected, text, buffer)),
        // A text need not be looked at from end to end for that.
        Asked::Other(Test::In(List::Texts(texts))) => seen
            .folded_text(value)
            .is_some_and(|text| List::has_text(texts, text)),
        Asked::Other(Test::NotIn(List::Texts(texts))) => seen
            .folded_text(value)
            .is_some_and(|text| !List::has_text(texts, text)),
        Asked::Other(test) => seen
            .found(value, document)
            .is_some_and(|found| test.holds(found)),
    }
}

/// Zero if the trait that a condition is about may lie in its range.
#[inline(always)]
fn beside(traits: &[Trait], judge: u32, from: u32) -> u32 {
    let (position, bits) = (judge & judge::POSITION, judge >> judge::SHIFT);
    traits[position as usize].beside(from, bits)
}

/// Whether a folded text is a needle of the same length.
#[inline(always)]
fn is_needle(text: &[u8], needle: &[u32]) -> bool {
    let (fours, rest) = text.as_chunks::<4>();
    let (words, last) = needle.split_at(fours.len().min(needle.len()));
    let differs = fours.iter().zip(words).fold(0, |differs, (four, word)| {
        differs | (u32::from_le_bytes(*four) ^ word)
    });
    differs == 0 && last.first().is_none_or(|word| few(rest) as u32 == *word)
}
