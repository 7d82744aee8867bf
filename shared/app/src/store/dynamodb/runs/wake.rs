use super::{RUN, key, stage};
use crate::run::RunState;
use crate::store::dynamodb::DynamoDb;
use crate::store::dynamodb::call::{Refused, Request};
use crate::store::dynamodb::item::{Fields, flag, micros, number, text};
use crate::store::encoding::{from_json, to_json};
use crate::store::{RunStage, StoreError};
use jiff::Timestamp;

/// How often a run is woken that workers take up and let go meanwhile.
const ATTEMPTS: u32 = 12;

impl DynamoDb {
    pub(crate) async fn wake_run(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let Some(key) = key(id) else {
            return Ok(false);
        };
        for _ in 0..ATTEMPTS {
            let Some(item) = self.item(&key).await? else {
                return Ok(false);
            };
            let fields = Fields::of(RUN, &item);
            let stage = stage(&item)?;
            let wake = match stage {
                RunStage::Waiting => {
                    let state: RunState = from_json("run's state", fields.text("state")?)?;
                    Request::update(&key)
                        .change(
                            "SET #state = :state, #until = :now, #due_at = :now REMOVE #pause, #sweep",
                        )
                        .value(":state", text(to_json(&state.woken(now))))
                        .value(":now", micros(now))
                }
                // It may be about to wait, not having heard what it is woken for.
                RunStage::Running => Request::update(&key)
                    .change("SET #woken = :yes")
                    .value(":yes", flag(true)),
                RunStage::Queued => return Ok(true),
                _ => return Ok(false),
            };
            // Nobody has taken it up or let go of it since: each of these changes the one or the other.
            let wake = wake
                .only_if("#stage = :stage AND #fence = :fence")
                .with("ReturnValuesOnConditionCheckFailure", "NONE")
                .value(":stage", text(stage.name()))
                .value(":fence", number(fields.count("fence")?));
            match self.call(wake).await {
                Ok(_) => return Ok(true),
                Err(Refused::Condition(_)) => {}
                Err(Refused::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Transient {
            reason: format!("run `{id}` is taken up and let go all the time"),
        })
    }
}
