use super::DynamoDb;
use super::item::{Item, text};
use crate::store::StoreError;
use quench_actions::aws::{AwsError, Service};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
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
        Item::from_iter([
            ("pk".to_owned(), text(&self.pk)),
            ("sk".to_owned(), text(&self.sk)),
        ])
    }

    pub(super) fn of(item: &Item) -> Option<Key> {
        let part = |name: &str| item.get(name)?.get("S")?.as_str().map(str::to_owned);
        Some(Key {
            pk: part("pk")?,
            sk: part("sk")?,
        })
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

/// A request in the making; attributes are written `#name` in its expressions.
#[derive(Debug, Clone)]
pub(super) struct Request {
    operation: &'static str,
    body: Map<String, Value>,
}

impl Request {
    pub(super) fn get(key: &Key) -> Request {
        let body = json!({"Key": key.attributes(), "ConsistentRead": true});
        Request::new("GetItem", body)
    }

    pub(super) fn put(item: Item) -> Request {
        Request::new("PutItem", json!({})).with("Item", item)
    }

    pub(super) fn update(key: &Key) -> Request {
        Request::new("UpdateItem", json!({"Key": key.attributes()}))
    }

    pub(super) fn delete(key: &Key) -> Request {
        Request::new("DeleteItem", json!({"Key": key.attributes()}))
    }

    /// Asks for items whose keys are so.
    pub(super) fn query(condition: &str) -> Request {
        Request::new("Query", json!({"KeyConditionExpression": condition}))
    }

    fn new(operation: &'static str, body: Value) -> Request {
        let Value::Object(body) = body else {
            unreachable!("requests are written as objects")
        };
        Request { operation, body }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Request {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// What an `UpdateItem` changes.
    pub(super) fn change(self, expression: &str) -> Request {
        self.with("UpdateExpression", expression)
    }

    /// Does nothing unless this holds; the item as it is comes back then.
    pub(super) fn only_if(self, condition: &str) -> Request {
        self.with("ConditionExpression", condition)
            .with("ReturnValuesOnConditionCheckFailure", "ALL_OLD")
    }

    pub(super) fn filter(self, condition: &str) -> Request {
        self.with("FilterExpression", condition)
    }

    pub(super) fn project(self, attributes: &str) -> Request {
        self.with("ProjectionExpression", attributes)
    }

    pub(super) fn value(mut self, name: &str, value: Value) -> Request {
        let values = self
            .body
            .entry("ExpressionAttributeValues")
            .or_insert_with(|| json!({}));
        if let Value::Object(values) = values {
            values.insert(name.to_owned(), value);
        }
        self
    }

    pub(super) fn values(self, values: impl IntoIterator<Item = (String, Value)>) -> Request {
        values
            .into_iter()
            .fold(self, |request, (name, value)| request.value(&name, value))
    }

    fn finish(mut self, table: &str) -> (&'static str, Value) {
        let expressions = self
            .body
            .iter()
            .filter(|(name, _)| name.ends_with("Expression"));
        let names: Map<String, Value> = expressions
            .filter_map(|(_, expression)| expression.as_str())
            .flat_map(placeholders)
            .map(|name| (format!("#{name}"), name.into()))
            .collect();
        if !names.is_empty() {
            self.body
                .insert("ExpressionAttributeNames".to_owned(), names.into());
        }
        self.body.insert("TableName".to_owned(), table.into());
        (self.operation, self.body.into())
    }
}

/// The names behind `#` in an expression: so no name can be one that DynamoDB keeps for itself.
fn placeholders(expression: &str) -> impl Iterator<Item = &str> {
    expression.split('#').skip(1).map(|rest| {
        let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        &rest[..end.unwrap_or(rest.len())]
    })
}

impl DynamoDb {
    /// Calls DynamoDB.
    pub(super) async fn call(&self, request: Request) -> Result<Item, Refused> {
        let (operation, body) = request.finish(&self.table);
        self.raw(operation, body).await
    }

    /// Calls DynamoDB with a request that has no condition.
    pub(super) async fn plain(&self, request: Request) -> Result<Item, StoreError> {
        self.call(request).await.map_err(|refused| match refused {
            Refused::Store(error) => error,
            Refused::Condition(_) => StoreError::Permanent {
                reason: format!("the table `{}` asks for what nobody asked", self.table),
            },
        })
    }

    async fn raw(&self, operation: &'static str, body: Value) -> Result<Item, Refused> {
        #[cfg(test)]
        let body = Spent::asked_for(body);
        let answer = self.aws.json(Service::DynamoDb, operation, &body).await;
        match answer {
            Ok(Value::Object(answer)) => {
                #[cfg(test)]
                self.spent.note(operation, &answer);
                Ok(answer)
            }
            Ok(_) => Ok(Item::new()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => {
                let told = error
                    .service_error()
                    .and_then(|error| error.body.get("Item"));
                let item = told.and_then(Value::as_object).cloned();
                Err(Refused::Condition(item))
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
        let answer = self.plain(Request::get(key)).await?;
        Ok(object(answer, "Item"))
    }

    /// Reads items, in no order; those that are not there are left out. No key may be asked for twice.
    pub(super) async fn items(
        &self,
        keys: &[Key],
        reading: &Reading,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(reading.at_once.min(GET)) {
            let mut asked = json!({
                "Keys": keys.iter().map(Key::attributes).collect::<Vec<_>>(),
                "ConsistentRead": reading.consistent,
            });
            if let Some(attributes) = reading.attributes {
                asked["ProjectionExpression"] = attributes.into();
                asked["ExpressionAttributeNames"] = placeholders(attributes)
                    .map(|name| (format!("#{name}"), Value::from(name)))
                    .collect::<Map<_, _>>()
                    .into();
            }
            let mut round = 0;
            while !asked.is_null() {
                self.pause(round).await?;
                round += 1;
                let body = json!({"RequestItems": {&*self.table: asked}});
                let mut answer = self.unconditional("BatchGetItem", body).await?;
                if let Some(Value::Array(items)) = answer
                    .get_mut("Responses")
                    .and_then(|tables| tables.get_mut(&*self.table))
                    .map(Value::take)
                {
                    found.extend(items.into_iter().filter_map(|item| match item {
                        Value::Object(item) => Some(item),
                        _ => None,
                    }));
                }
                asked = left_over(&mut answer, "UnprocessedKeys", &self.table);
            }
        }
        Ok(found)
    }

    /// Reads items in the order of their keys; those that are not there are left out. No key may be asked for twice.
    pub(super) async fn items_in_order(
        &self,
        keys: &[Key],
        reading: &Reading,
    ) -> Result<Vec<Item>, StoreError> {
        let found = self.items(keys, reading).await?.into_iter();
        let mut found: HashMap<Key, Item> = found
            .filter_map(|item| Some((Key::of(&item)?, item)))
            .collect();
        Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
    }

    /// Puts and deletes items without any condition, in no order.
    pub(super) async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut writes = writes.into_iter().map(Write::request).peekable();
        while writes.peek().is_some() {
            let (mut batch, mut size) = (Vec::new(), 0);
            while let Some((request, bytes)) =
                writes.next_if(|(_, bytes)| batch.is_empty() || size + bytes <= BATCH_BYTES)
            {
                size += bytes;
                batch.push(request);
                if batch.len() == WRITE {
                    break;
                }
            }
            let mut asked = Value::from(batch);
            let mut round = 0;
            while !asked.is_null() {
                self.pause(round).await?;
                round += 1;
                let body = json!({"RequestItems": {&*self.table: asked}});
                let mut answer = self.unconditional("BatchWriteItem", body).await?;
                asked = left_over(&mut answer, "UnprocessedItems", &self.table);
            }
        }
        Ok(())
    }

    async fn unconditional(
        &self,
        operation: &'static str,
        body: Value,
    ) -> Result<Item, StoreError> {
        match self.raw(operation, body).await {
            Ok(answer) => Ok(answer),
            Err(Refused::Store(error)) => Err(error),
            Err(Refused::Condition(_)) => Ok(Item::new()),
        }
    }

    async fn pause(&self, round: u32) -> Result<(), StoreError> {
        match round {
            0 => Ok(()),
            ROUNDS.. => Err(StoreError::Transient {
                reason: format!(
                    "the table `{}` in `{}` has too much to do: it leaves parts of batches undone",
                    self.table,
                    self.aws.region()
                ),
            }),
            _ => {
                tokio::time::sleep(PAUSE * 2_u32.pow(round - 1)).await;
                Ok(())
            }
        }
    }
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

/// A write of a batch.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Put(Item),
    Delete(Key),
}

impl Write {
    fn request(self) -> (Value, usize) {
        let request = match self {
            Write::Put(item) => json!({"PutRequest": {"Item": item}}),
            Write::Delete(key) => json!({"DeleteRequest": {"Key": key.attributes()}}),
        };
        let bytes = size(&request);
        (request, bytes)
    }
}

/// About how many bytes a value takes on the wire.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 3,
        Value::Array(values) => values.iter().map(size).sum::<usize>() + 2,
        Value::Object(values) => {
            let values = values
                .iter()
                .map(|(name, value)| name.len() + 4 + size(value));
            values.sum::<usize>() + 2
        }
        _ => 8,
    }
}

/// Takes an item out of an answer.
pub(super) fn object(mut answer: Item, name: &str) -> Option<Item> {
    match answer.remove(name) {
        Some(Value::Object(item)) => Some(item),
        _ => None,
    }
}

fn left_over(answer: &mut Item, name: &str, table: &str) -> Value {
    let left = answer.get_mut(name).and_then(|left| left.get_mut(table));
    left.map(Value::take).unwrap_or_default()
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
    fn asked_for(mut body: Value) -> Value {
        body["ReturnConsumedCapacity"] = "TOTAL".into();
        body
    }

    fn note(&self, operation: &'static str, answer: &Item) {
        let told = answer.get("ConsumedCapacity");
        let units: f64 = match told {
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
fn units(told: &Value) -> Option<f64> {
    told.get("CapacityUnits")?.as_f64()
}
