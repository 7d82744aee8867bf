//! What automations have changed within the last hour: an item for each, replaced if nobody else replaced it meanwhile.

use super::body::{Packed, unpack};
use super::call::{Key, Refused, Request};
use super::item::{Fields, number, text};
use super::{DynamoDb, later, token};
use crate::clock::{after, before};
use crate::run::Run;
use crate::store::approvals::{HOUR, room};
use crate::store::encoding::{from_json, to_json};
use crate::store::{Reservation, StoreError};
use jiff::Timestamp;
use std::time::Duration;

/// How often room is asked for when others ask at the same time: each time one of them gets it.
const ATTEMPTS: u32 = 64;
/// The pause before another attempt is up to this.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the item of an automation that changes nothing any more is kept: longer than any clock is wrong.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

const RESERVATIONS: &str = "list of reservations";

/// A place that is taken: a digest of its key, and when it was taken, in microseconds.
type Place = (String, i64);

impl DynamoDb {
    pub(crate) async fn reserve(
        &self,
        automation: &str,
        key: &str,
        limit: u32,
        now: Timestamp,
    ) -> Result<Reservation, StoreError> {
        let at = Key::new(format!("reservations#{automation}"), "hour");
        // All keys are of one length, however long they were.
        let digest = Run::id_of(&[key.as_bytes()]);
        for _ in 0..ATTEMPTS {
            let item = self.item(&at).await?;
            let mut places: Vec<Place> = match &item {
                Some(item) => {
                    let body = Fields::of(RESERVATIONS, item).attribute("body")?;
                    from_json(RESERVATIONS, &unpack(RESERVATIONS, body)?)?
                }
                None => Vec::new(),
            };
            let gone = before(now, HOUR).as_microsecond();
            places.retain(|(_, taken)| *taken > gone);
            if places.iter().any(|(known, _)| *known == digest) {
                return Ok(Reservation::Reserved);
            }
            let mut taken: Vec<Timestamp> = places
                .iter()
                .filter_map(|(_, taken)| Timestamp::from_microsecond(*taken).ok())
                .collect();
            taken.sort_unstable();
            if let Some(freed) = room(&taken, limit, now) {
                return Ok(Reservation::Full {
                    until: after(freed, HOUR),
                });
            }
            places.push((digest.clone(), now.as_microsecond()));
            let replace = Request::update(&at)
                .change("SET #body = :body, #last = :token, #expires = :expires")
                .with("ReturnValues", "NONE")
                .value(":body", Packed::of(to_json(&places)).into_attribute())
                .value(":token", text(token()?))
                .value(":expires", number(later(now.as_second(), KEPT)));
            let last = item
                .as_ref()
                .map(|item| Fields::of(RESERVATIONS, item).text("last"))
                .transpose()?;
            let replace = match last {
                Some(last) => replace
                    .only_if("#last = :before")
                    .value(":before", text(last)),
                None => replace.only_if("attribute_not_exists(#pk)"),
            };
            // Whoever reads it again finds his own key there, should the answer have been lost.
            let replace = replace.with("ReturnValuesOnConditionCheckFailure", "NONE");
            match self.call(replace).await {
                Ok(_) => return Ok(Reservation::Reserved),
                Err(Refused::Condition(_)) => tokio::time::sleep(pause()).await,
                Err(Refused::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Transient {
            reason: format!(
                "too many want room of automation `{automation}` at once: its reservations change all the time"
            ),
        })
    }
}

/// A part of the longest pause, by chance.
fn pause() -> Duration {
    let mut random = [255];
    // Without randomness the pause is just long.
    let _ = getrandom::fill(&mut random);
    PAUSE.mul_f64(f64::from(random[0]) / 255.0)
}
