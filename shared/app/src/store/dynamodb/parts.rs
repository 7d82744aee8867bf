//! Bodies that are too large for the item they belong to: written beside it, before it.

use super::body::{Packed, unpack};
use super::call::{Key, Reading, Write};
use super::item::{Attribute, Fields, Item, number, text, unreadable};
use super::{DynamoDb, token};
use crate::store::StoreError;

/// Bytes of one part; an item holds 400 KB with its names and keys.
const PART: usize = 380_000;
/// Parts that are read at once: what they come to as an answer is well below what a client takes.
const AT_ONCE: usize = 12;

/// Where the parts of bodies are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) pk: String,
    /// What the sort keys begin with.
    pub(super) role: String,
}

impl Place {
    fn key(&self, token: &str, number: usize) -> Key {
        Key::new(&self.pk, format!("{}#{token}#{number:04}", self.role))
    }
}

/// The parts that an attribute stands for.
fn parts(value: &Attribute) -> Option<(&str, usize)> {
    let Attribute::Map(map) = value else {
        return None;
    };
    Some((map.get("token")?.as_text()?, map.get("parts")?.as_number()?))
}

/// Whether the body that an attribute stands for is in parts.
pub(super) fn is_apart(value: &Attribute) -> bool {
    parts(value).is_some()
}

impl DynamoDb {
    /// What to store in an item for this body: itself if it has at most `inline` bytes, else where its parts are, which
    /// are written here and go at `expires` unless told otherwise.
    ///
    /// Parts are always compressed.
    pub(super) async fn keep(
        &self,
        body: Packed,
        inline: Option<usize>,
        place: &Place,
        expires: i64,
    ) -> Result<Attribute, StoreError> {
        if inline.is_some_and(|inline| body.len() <= inline) {
            return Ok(body.into_attribute());
        }
        let token = token()?;
        let body = body.into_deflated();
        let writes: Vec<Write> = body
            .chunks(PART)
            .enumerate()
            .map(|(position, part)| {
                let mut item = place.key(&token, position).attributes();
                item.insert("data".into(), Attribute::Bytes(part.to_vec()));
                item.insert("expires".into(), number(expires));
                Write::Put { item }
            })
            .collect();
        let count = writes.len();
        self.write(writes).await?;
        Ok(Attribute::Map(Item::from([
            ("token".into(), text(token)),
            ("parts".into(), number(count)),
        ])))
    }

    /// The body that an attribute stands for; none if a part of it is gone.
    pub(super) async fn body(
        &self,
        what: &str,
        value: &Attribute,
        place: &Place,
    ) -> Result<Option<String>, StoreError> {
        let packed = self.packed(what, value, place).await?;
        packed.map(|packed| packed.text(what)).transpose()
    }

    /// The same, compressed as it is kept.
    pub(super) async fn packed(
        &self,
        what: &str,
        value: &Attribute,
        place: &Place,
    ) -> Result<Option<Packed>, StoreError> {
        let Some((token, count)) = parts(value) else {
            return Packed::read(what, value).map(Some);
        };
        let keys: Vec<Key> = (0..count).map(|number| place.key(token, number)).collect();
        let reading = Reading {
            consistent: true,
            at_once: AT_ONCE,
            attributes: Some("#sk, #data"),
        };
        let items = self.items(&keys, &reading).await?;
        let found = gather(what, token, count, &items)?;
        Ok(found.map(Packed::Deflated))
    }

    /// Removes the parts of a body that nothing stands for any more; if that fails, they go when they expire.
    pub(super) async fn discard(&self, value: &Attribute, place: &Place) {
        let Some((token, count)) = parts(value) else {
            return;
        };
        let keys = (0..count).map(|number| place.key(token, number));
        let writes = keys.map(|key| Write::Delete { key }).collect();
        if let Err(error) = self.write(writes).await {
            tracing::warn!(error = %error, "parts of what was replaced could not be removed");
        }
    }
}

/// Puts a body together from the parts of it among these items; none if one is missing.
pub(super) fn assemble(
    what: &str,
    value: &Attribute,
    items: &[Item],
) -> Result<Option<String>, StoreError> {
    let Some((token, count)) = parts(value) else {
        return unpack(what, value).map(Some);
    };
    let found = gather(what, token, count, items)?;
    found
        .map(|found| Packed::Deflated(found).text(what))
        .transpose()
}

fn gather(
    what: &str,
    token: &str,
    count: usize,
    items: &[Item],
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut found: Vec<Option<Vec<u8>>> = vec![None; count];
    for item in items {
        let fields = Fields::of(what, item);
        let mut names = fields.text("sk")?.rsplit('#');
        let (number, whose) = (names.next(), names.next());
        let number = number.and_then(|number| number.parse::<usize>().ok());
        if whose == Some(token)
            && let Some(slot) = number.and_then(|number| found.get_mut(number))
        {
            let Attribute::Bytes(data) = fields.attribute("data")? else {
                return Err(unreadable(what, "a part of it holds no bytes"));
            };
            *slot = Some(data.clone());
        }
    }
    let found: Option<Vec<_>> = found.into_iter().collect();
    Ok(found.map(|mut found| match found.len() {
        1 => found.remove(0),
        _ => found.concat(),
    }))
}
