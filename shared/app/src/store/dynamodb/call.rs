mod request;

pub(super) use request::Request;

use super::DynamoDb;
use super::item::{Attribute, Item, text};
use crate::store::StoreError;
use quench_actions::aws::{AwsError, Repeat, Service};
use request::{Names, Sent};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How often what a batch left undone is asked for again.
const ROUNDS: u32 = 8;
/// The pause before the second round; it doubles.
const PAUSE: Duration = Duration::from_millis(50);
/// Most items that one `BatchGetItem` takes.
const GET: usize = 100;
/// Most items that one `BatchWriteItem` takes.
const WRITE: usize = 25;
/// Most bytes of items, as they are on the wire, that one batch is to hold; DynamoDB takes 16 MB.
const BATCH_BYTES: usize = 8 << 20;

/// Where an item is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    pub(super) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Key {
        Key {
            pk: pk.into(),
            sk: sk.into(),
        }
    }

    pub(super) fn attributes(&self) -> Item {
        Item::from([("pk".into(), text(&self.pk)), ("sk".into(), text(&self.sk))])
    }

    pub(super) fn of(item: &Item) -> Option<Key> {
        Some(Key {
            pk: item.get("pk")?.as_text()?.to_owned(),
            sk: item.get("sk")?.as_text()?.to_owned(),
        })
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Text<'a> {
            #[serde(rename = "S")]
            text: &'a str,
        }
        let parts = [("pk", &self.pk), ("sk", &self.sk)];
        out.collect_map(parts.map(|(name, text)| (name, Text { text })))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Key, D::Error> {
        let item = Item::deserialize(from)?;
        Key::of(&item).ok_or_else(|| de::Error::custom("it is no key"))
    }
}

/// Why a call did nothing.
#[derive(Debug)]
pub(super) enum Refused {
    /// Its condition does not hold for the item as it is; none if there is none.
    Condition(Option<Item>),
    /// It failed.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        Refused::Store(error)
    }
}

/// What DynamoDB answers, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Answer {
    pub(super) item: Option<Item>,
    pub(super) attributes: Option<Item>,
    pub(super) items: Vec<Item>,
    pub(super) count: u64,
    pub(super) last_evaluated_key: Option<Item>,
    responses: HashMap<String, Vec<Item>>,
    unprocessed_keys: HashMap<String, Left>,
    unprocessed_items: HashMap<String, Vec<Write>>,
    #[cfg(test)]
    consumed_capacity: Option<serde_json::Value>,
}

/// Keys that a batch left undone.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Left {
    keys: Vec<Key>,
}

impl DynamoDb {
    /// Calls DynamoDB.
    pub(super) async fn call(&self, request: Request) -> Result<Answer, Refused> {
        let sent = Sent {
            table: &self.table,
            request: &request,
        };
        self.raw(request.operation, &sent).await
    }

    /// Calls DynamoDB with a request that has no condition.
    pub(super) async fn plain(&self, request: Request) -> Result<Answer, StoreError> {
        let answer = self.call(request).await;
        answer.map_err(|refused| self.unconditional(refused))
    }

    /// Why something was refused that has no condition.
    fn unconditional(&self, refused: Refused) -> StoreError {
        match refused {
            Refused::Store(error) => error,
            Refused::Condition(_) => StoreError::Permanent {
                reason: format!("the table `{}` asks for what nobody asked", self.table),
            },
        }
    }

    async fn raw(&self, operation: &'static str, body: &impl Serialize) -> Result<Answer, Refused> {
        let answer = self
            .aws
            .json_as(Service::DynamoDb, operation, body, Repeat::Safe);
        match answer.await {
            Ok(answer) => {
                // An answer may have no body at all.
                let answer = Option::<Answer>::unwrap_or_default(answer);
                #[cfg(test)]
                self.spent.note(operation, &answer);
                Ok(answer)
            }
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
                let told = error
                    .service_error()
                    .and_then(|error| error.body.get("Item"))
                    .filter(|item| item.is_object());
                // Written out and read again: reading it from a `Value` would be that code a second time in every function.
                let item = told.map(|item| serde_json::from_slice(item.to_string().as_bytes()));
                let item = item.transpose();
                Err(Refused::Condition(
                    item.map_err(|error| StoreError::unreadable("item", &error))?,
                ))
            }
            Err(error) => Err(Refused::Store(self.fault(&error))),
        }
    }

    fn fault(&self, error: &AwsError) -> StoreError {
        let (table, region) = (&self.table, self.aws.region());
        if error.is_transient() {
            let reason = match error.is_throttled() {
                true => format!("the table `{table}` in `{region}` has too much to do: {error}"),
                false => format!("the table `{table}` in `{region}` cannot be used now: {error}"),
            };
            return StoreError::Transient { reason };
        }
        let reason = match error.code() {
            Some("ResourceNotFoundException") => format!(
                "there is no table `{table}` in `{region}`, or it lacks an index: check `QUENCH_TABLE` and `AWS_REGION`, and that the stack is deployed ({error})"
            ),
            Some("AccessDeniedException" | "UnrecognizedClientException") => format!(
                "the table `{table}` in `{region}` may not be used so: check the role that this runs with ({error})"
            ),
            _ => format!("the table `{table}` in `{region}` failed: {error}"),
        };
        StoreError::Permanent { reason }
    }

    /// Reads an item as it is now.
    pub(super) async fn item(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.plain(Request::get(key)).await?.item)
    }

    /// Reads items, in no order; those that are not there are left out. No key may be asked for twice.
    pub(super) async fn items(
        &self,
        keys: &[Key],
        reading: &Reading,
    ) -> Result<Vec<Item>, StoreError> {
        let (found, undone) = self.items_as_far(keys, reading).await?;
        match undone.is_empty() {
            true => Ok(found),
            false => Err(self.overloaded()),
        }
    }

    /// As [`DynamoDb::items`], and the keys that were left undone again and again, of which nothing is known.
    async fn items_as_far(
        &self,
        keys: &[Key],
        reading: &Reading,
    ) -> Result<(Vec<Item>, Vec<Key>), StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut undone = Vec::new();
        for keys in keys.chunks(reading.at_once.min(GET)) {
            let mut left = Cow::Borrowed(keys);
            let mut round = 0;
            while !left.is_empty() {
                if self.pause(round).await.is_err() {
                    undone.extend(left.into_owned());
                    break;
                }
                round += 1;
                let asked = BatchRead {
                    keys: &left,
                    consistent_read: reading.consistent,
                    projection_expression: reading.attributes,
                    expression_attribute_names: reading.attributes.map(|names| Names::of([names])),
                };
                let mut answer = self.batch("BatchGetItem", asked).await?;
                found.extend(answer.responses.remove(&*self.table).unwrap_or_default());
                let more = answer.unprocessed_keys.remove(&*self.table);
                left = more.map_or_else(Vec::new, |left| left.keys).into();
            }
        }
        Ok((found, undone))
    }

    /// Reads items in the order of their keys; those that are not there are left out. No key may be asked for twice.
    pub(super) async fn items_in_order(
        &self,
        keys: &[Key],
        reading: &Reading,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = by_key(self.items(keys, reading).await?);
        Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
    }

    /// Reads items for several who ask at once, each of whom hears of his own alone.
    pub(super) async fn each_item(
        &self,
        keys: &[Key],
        reading: &Reading,
    ) -> Vec<Result<Option<Item>, StoreError>> {
        if let [key] = keys {
            return vec![self.item(key).await];
        }
        let mut asked = keys.to_vec();
        asked.sort_unstable();
        asked.dedup();
        let (found, undone) = match self.items_as_far(&asked, reading).await {
            Ok((found, undone)) => (by_key(found), undone),
            Err(error) => return keys.iter().map(|_| Err(error.clone())).collect(),
        };
        let answer = |key| match undone.contains(key) {
            true => Err(self.overloaded()),
            false => Ok(found.get(key).cloned()),
        };
        keys.iter().map(answer).collect()
    }

    /// Puts and deletes items without any condition, in no order.
    pub(super) async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let sized = |write: Write| {
            let bytes = write.size();
            (write, bytes)
        };
        let mut writes = writes.into_iter().map(sized).peekable();
        while writes.peek().is_some() {
            let (mut batch, mut size) = (Vec::new(), 0);
            while let Some((write, bytes)) =
                writes.next_if(|(_, bytes)| batch.is_empty() || size + bytes <= BATCH_BYTES)
            {
                size += bytes;
                batch.push(write);
                if batch.len() == WRITE {
                    break;
                }
            }
            let mut round = 0;
            while !batch.is_empty() {
                self.pause(round).await?;
                round += 1;
                let mut answer = self.batch("BatchWriteItem", &batch).await?;
                let undone = answer.unprocessed_items.remove(&*self.table);
                batch = undone.unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Calls DynamoDB with something for the table that has no condition.
    async fn batch(
        &self,
        operation: &'static str,
        asked: impl Serialize,
    ) -> Result<Answer, StoreError> {
        let batch = BatchCall {
            request_items: BTreeMap::from([(&*self.table, asked)]),
            #[cfg(test)]
            return_consumed_capacity: "TOTAL",
        };
        let answer = self.raw(operation, &batch).await;
        answer.map_err(|refused| self.unconditional(refused))
    }

    fn overloaded(&self) -> StoreError {
        StoreError::Transient {
            reason: format!(
                "the table `{}` in `{}` has too much to do: it leaves parts of batches undone",
                self.table,
                self.aws.region()
            ),
        }
    }

    async fn pause(&self, round: u32) -> Result<(), StoreError> {
        match round {
            0 => Ok(()),
            ROUNDS.. => Err(self.overloaded()),
            _ => {
                tokio::time::sleep(PAUSE * 2_u32.pow(round - 1)).await;
                Ok(())
            }
        }
    }
}

fn by_key(items: Vec<Item>) -> HashMap<Key, Item> {
    let items = items.into_iter();
    items
        .filter_map(|item| Some((Key::of(&item)?, item)))
        .collect()
}

/// How items are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Whether all that was written before must be seen.
    pub(super) consistent: bool,
    /// How many are asked for at once: large ones are not to outgrow an answer.
    pub(super) at_once: usize,
    /// Which attributes, each as `#name`; all if none.
    pub(super) attributes: Option<&'static str>,
}

/// A batch for one table.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchCall<'a, T> {
    request_items: BTreeMap<&'a str, T>,
    #[cfg(test)]
    return_consumed_capacity: &'static str,
}

/// What a batch reads.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchRead<'a> {
    keys: &'a [Key],
    consistent_read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    projection_expression: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression_attribute_names: Option<Names<'static>>,
}

/// A write of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Write {
    #[serde(rename = "PutRequest", rename_all = "PascalCase")]
    Put { item: Item },
    #[serde(rename = "DeleteRequest", rename_all = "PascalCase")]
    Delete { key: Key },
}

impl Write {
    /// About how many bytes it takes on the wire.
    fn size(&self) -> usize {
        match self {
            Write::Put { item } => 30 + size(item),
            Write::Delete { key } => 60 + key.pk.len() + key.sk.len(),
        }
    }
}

/// About how many bytes an item takes on the wire.
pub(super) fn size(item: &Item) -> usize {
    let attributes = item.iter();
    let sizes = attributes.map(|(name, value)| name.len() + 4 + size_of(value));
    sizes.sum::<usize>() + 2
}

fn size_of(value: &Attribute) -> usize {
    let size = match value {
        Attribute::Text(text) | Attribute::Number(text) => text.len() + 2,
        Attribute::Bytes(bytes) => bytes.len().div_ceil(3) * 4 + 2,
        Attribute::List(values) => values.iter().map(size_of).sum::<usize>() + values.len() + 2,
        Attribute::Map(item) => size(item),
        Attribute::Texts(texts) | Attribute::Numbers(texts) | Attribute::Blobs(texts) => {
            texts.iter().map(|text| text.len() + 3).sum::<usize>() + 2
        }
        Attribute::Flag(_) | Attribute::Null(_) => 5,
    };
    size + 6
}

/// What the calls of a test come to.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Spent(std::sync::Mutex<Bill>);

/// Calls that were answered with yes, and what DynamoDB charges for them.
#[cfg(test)]
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bill {
    pub(super) calls: Vec<&'static str>,
    pub(super) read: f64,
    pub(super) written: f64,
}

#[cfg(test)]
impl Spent {
    fn note(&self, operation: &'static str, answer: &Answer) {
        use serde_json::Value;
        let units: f64 = match &answer.consumed_capacity {
            Some(Value::Array(tables)) => tables.iter().filter_map(units).sum(),
            Some(told) => units(told).unwrap_or_default(),
            None => 0.0,
        };
        let mut bill = self.0.lock().unwrap();
        bill.calls.push(operation);
        match operation {
            "GetItem" | "BatchGetItem" | "Query" => bill.read += units,
            _ => bill.written += units,
        }
    }

    /// What was spent since this was last asked.
    pub(super) fn take(&self) -> Bill {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[cfg(test)]
fn units(told: &serde_json::Value) -> Option<f64> {
    told.get("CapacityUnits")?.as_f64()
}
