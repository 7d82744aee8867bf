use super::body::Packed;
use super::call::{Key, Reading, Refused, Request};
use super::findings::name;
use super::index::Listing;
use super::item::{Fields, Item, micros, number, text};
use super::parts::Place;
use super::{DynamoDb, index, later, token};
use crate::approval::{Approval, ApprovalStage, ApprovalState, Asked};
use crate::store::approvals::{Judged, judge};
use crate::store::encoding::{from_json, to_json};
use crate::store::{ApprovalFilter, Deciding, Page, StoreError, Token};
use jiff::Timestamp;
use std::time::Duration;

/// Most bytes of a question that are kept in its item, which every write to it pays for.
const INLINE: usize = 6 << 10;
/// How much longer than the question its parts are kept, which DynamoDB removes in no order.
const PARTS_LONGER: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often a question is changed that others change at the same time.
const ATTEMPTS: u32 = 12;
/// Questions that a list asks for at once.
const AT_ONCE: usize = 100;
/// Most bytes of a question's id: longer ones are none.
const LONGEST_ID: usize = 256;

const APPROVAL: &str = "approval";

impl DynamoDb {
    pub(crate) async fn put_approval(&self, approval: &Approval) -> Result<bool, StoreError> {
        let Some(key) = key(&approval.id) else {
            return Err(StoreError::Permanent {
                reason: format!("`{}` cannot be the id of an approval", approval.id),
            });
        };
        let expires = self.expiry(approval.expires);
        let place = Place::of_approval(&approval.id);
        let body = Packed::of(to_json(approval));
        let body = self
            .keep(body, Some(INLINE), &place, later(expires, PARTS_LONGER))
            .await?;
        let token = token()?;
        let mut item = key.attributes();
        let mut set = |name: &'static str, value| item.insert(name.into(), value);
        set("stage", text(ApprovalStage::of(&approval.state).name()));
        set("state", text(to_json(&approval.state)));
        set(
            "asked",
            Packed::of(to_json(&approval.asked)).into_attribute(),
        );
        set("plan_hash", text(&approval.plan_hash));
        set("until", micros(approval.expires));
        set("last", text(&token));
        set("body", body.clone());
        set("expires", number(expires));
        set("listed_in", text(index::partition(APPROVAL, &key)));
        set("listed_at", micros(approval.created));
        set("finding", text(name(&approval.finding.id)));
        set("playbook", text(&approval.playbook));
        let put = Request::put(item).only_if("attribute_not_exists(#pk)");
        match self.call(put).await {
            Ok(_) => Ok(true),
            // Ours, if the answer to it was lost and it was sent again.
            Err(Refused::Condition(found)) if is_ours(found.as_ref(), &token) => Ok(true),
            Err(Refused::Condition(_)) => {
                self.discard(&body, &place).await;
                Ok(false)
            }
            Err(Refused::Store(error)) => Err(error),
        }
    }

    pub(crate) async fn approval(&self, id: &str) -> Result<Option<Approval>, StoreError> {
        let Some(key) = key(id) else {
            return Ok(None);
        };
        match self.item(&key).await? {
            Some(item) => self.question(&item).await.map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn approval_of_token(
        &self,
        hash: &str,
    ) -> Result<Option<Approval>, StoreError> {
        let Some(item) = self.item(&token_key(hash)).await? else {
            return Ok(None);
        };
        let found = self
            .approval(Fields::of("token", &item).text(APPROVAL)?)
            .await?;
        Ok(found.filter(|approval| approval.has_token(hash)))
    }

    pub(crate) async fn approvals_by_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<Approval>, StoreError> {
        let mut approvals = Vec::new();
        for item in self.by_prefix(APPROVAL, prefix, limit).await? {
            approvals.push(self.question(&item).await?);
        }
        Ok(approvals)
    }

    pub(crate) async fn approvals(
        &self,
        filter: &ApprovalFilter,
        page: Page,
    ) -> Result<Vec<Approval>, StoreError> {
        let keys = self.listed(APPROVAL, &listing(filter), page).await?;
        let mut approvals = self.questions(&keys, false).await?;
        // The index may tell the stage of a moment ago.
        approvals.retain(|approval| {
            filter
                .stage
                .is_none_or(|stage| ApprovalStage::of(&approval.state) == stage)
        });
        Ok(approvals)
    }

    pub(crate) async fn add_tokens(&self, id: &str, tokens: &[Token]) -> Result<bool, StoreError> {
        let Some(approval) = self.approval(id).await? else {
            return Ok(false);
        };
        if approval.state != ApprovalState::Pending {
            return Ok(false);
        }
        // A token leads to its question before the question knows it, and counts for nothing until then.
        let expires = self.expiry(approval.expires);
        for token in tokens {
            let mut item = token_key(&token.hash).attributes();
            item.insert(APPROVAL.into(), text(id));
            item.insert("expires".into(), number(expires));
            self.plain(Request::put(item)).await?;
        }
        self.change_asked(id, true, |asked| {
            for token in tokens {
                token.add_to(asked);
            }
        })
        .await
    }

    pub(crate) async fn note_told(
        &self,
        id: &str,
        to: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.change_asked(id, false, |asked| {
            for asked in asked.iter_mut().filter(|asked| asked.to == to) {
                asked.told.get_or_insert(at);
            }
        })
        .await?;
        Ok(())
    }

    /// Changes who is asked, again from the start whenever others were faster; false if there is no such question, or
    /// it is not pending and has to be.
    async fn change_asked(
        &self,
        id: &str,
        only_pending: bool,
        change: impl Fn(&mut Vec<Asked>),
    ) -> Result<bool, StoreError> {
        let Some(key) = key(id) else {
            return Ok(false);
        };
        for _ in 0..ATTEMPTS {
            let Some(item) = self.item(&key).await? else {
                return Ok(false);
            };
            let fields = Fields::of(APPROVAL, &item);
            if only_pending && fields.text("stage")? != ApprovalStage::Pending.name() {
                return Ok(false);
            }
            let mut asked = asked(&item)?;
            change(&mut asked);
            let token = token()?;
            let update = Request::update(&key)
                .change("SET #asked = :asked, #last = :token")
                .only_if("#last = :before")
                .value(":asked", Packed::of(to_json(&asked)).into_attribute())
                .value(":token", text(&token))
                .value(":before", text(fields.text("last")?));
            match self.call(update).await {
                Ok(_) => return Ok(true),
                Err(Refused::Condition(found)) if is_ours(found.as_ref(), &token) => {
                    return Ok(true);
                }
                Err(Refused::Condition(_)) => {}
                Err(Refused::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Transient {
            reason: format!("approval `{id}` is being changed by others all the time"),
        })
    }

    pub(crate) async fn decide_approval(
        &self,
        id: &str,
        plan_hash: &str,
        state: &ApprovalState,
        now: Timestamp,
    ) -> Result<Deciding, StoreError> {
        let Some(key) = key(id) else {
            return Ok(Deciding::Missing);
        };
        let token = token()?;
        let decide = Request::update(&key)
            .change(
                "SET #stage = :stage, #state = :state, #last = :token, #expires = :expires, \
                 #due_in = :due_in, #due_at = :now",
            )
            .only_if("#stage = :pending AND #until > :now AND #plan_hash = :hash")
            .with("ReturnValues", "ALL_NEW")
            .value(":stage", text(ApprovalStage::of(state).name()))
            .value(":state", text(to_json(state)))
            .value(":token", text(&token))
            .value(":due_in", text(index::partition(APPROVAL, &key)))
            .value(":now", micros(now))
            .value(":expires", number(self.expiry(now)))
            .value(":pending", text(ApprovalStage::Pending.name()))
            .value(":hash", text(plan_hash));
        let item = match self.call(decide).await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            // Ours, if the answer to it was lost and it was sent again.
            Err(Refused::Condition(Some(item))) if is_ours(Some(&item), &token) => item,
            Err(Refused::Condition(None)) => return Ok(Deciding::Missing),
            Err(Refused::Condition(Some(item))) => {
                return match judge(&self.question(&item).await?, plan_hash, now) {
                    Judged::Closed(deciding) => Ok(deciding),
                    Judged::Open => Err(StoreError::Transient {
                        reason: format!("approval `{id}` can neither be decided nor told why"),
                    }),
                };
            }
            Err(Refused::Store(error)) => return Err(error),
        };
        let approval = self.question(&item).await?;
        Ok(Deciding::Decided(Box::new(approval)))
    }

    pub(crate) async fn expire_approval(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Approval>, StoreError> {
        self.close(id, |approval| approval.lapsed(now)).await
    }

    pub(crate) async fn supersede_approval(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Approval>, StoreError> {
        self.close(id, |approval| approval.overtaken(now)).await
    }

    async fn close(
        &self,
        id: &str,
        next: impl Fn(&Approval) -> Option<ApprovalState>,
    ) -> Result<Option<Approval>, StoreError> {
        let Some(key) = key(id) else {
            return Ok(None);
        };
        for _ in 0..ATTEMPTS {
            let Some(item) = self.item(&key).await? else {
                return Ok(None);
            };
            let approval = self.question(&item).await?;
            let Some(state) = next(&approval) else {
                return Ok(Some(approval));
            };
            let close = Request::update(&key)
                .change("SET #stage = :stage, #state = :state, #last = :token")
                .only_if("#stage = :before")
                .with("ReturnValuesOnConditionCheckFailure", "NONE")
                .value(":stage", text(ApprovalStage::of(&state).name()))
                .value(":state", text(to_json(&state)))
                .value(":token", text(token()?))
                .value(":before", text(ApprovalStage::of(&approval.state).name()));
            match self.call(close).await {
                Ok(_) => return Ok(Some(Approval { state, ..approval })),
                // Also where the answer to it was lost and it was sent again: then it stands as it was to.
                Err(Refused::Condition(_)) => {}
                Err(Refused::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Transient {
            reason: format!("approval `{id}` is being changed by others all the time"),
        })
    }

    pub(crate) async fn unheard_approvals(
        &self,
        decided: Timestamp,
        limit: u32,
    ) -> Result<Vec<Approval>, StoreError> {
        let due = self.due(APPROVAL, Some(decided), limit).await?;
        let keys: Vec<Key> = due.into_iter().map(|entry| entry.key).collect();
        self.questions(&keys, true).await
    }

    pub(crate) async fn note_heard(&self, id: &str) -> Result<(), StoreError> {
        let Some(key) = key(id) else {
            return Ok(());
        };
        let heard = Request::update(&key)
            .change("REMOVE #due_in, #due_at")
            .only_if("attribute_exists(#pk)")
            .with("ReturnValuesOnConditionCheckFailure", "NONE");
        match self.call(heard).await {
            Ok(_) | Err(Refused::Condition(_)) => Ok(()),
            Err(Refused::Store(error)) => Err(error),
        }
    }

    /// The questions of these keys, in their order; those that are gone are left out.
    async fn questions(&self, keys: &[Key], consistent: bool) -> Result<Vec<Approval>, StoreError> {
        let reading = Reading {
            consistent,
            at_once: AT_ONCE,
            attributes: None,
        };
        let mut approvals = Vec::with_capacity(keys.len());
        for item in self.items_in_order(keys, &reading).await? {
            approvals.push(self.question(&item).await?);
        }
        Ok(approvals)
    }

    /// The question of an item, with its body wherever that is.
    async fn question(&self, item: &Item) -> Result<Approval, StoreError> {
        let fields = Fields::of(APPROVAL, item);
        let id = fields.text("sk")?;
        let body = fields.attribute("body")?;
        // What does not change of a question is there as long as the question is.
        let Some(body) = self.body(APPROVAL, body, &Place::of_approval(id)).await? else {
            return Err(StoreError::Permanent {
                reason: format!("a part of approval `{id}` is not there"),
            });
        };
        let mut approval: Approval = from_json(APPROVAL, &body)?;
        approval.state = from_json("approval's state", fields.text("state")?)?;
        approval.asked = asked(item)?;
        Ok(approval)
    }
}

impl Place {
    fn of_approval(id: &str) -> Place {
        Place {
            pk: format!("parts#approval#{id}"),
            role: "body".into(),
        }
    }
}

/// Where a question is; none if no question has such an id.
fn key(id: &str) -> Option<Key> {
    if id.is_empty() || id.len() > LONGEST_ID {
        return None;
    }
    let start: String = id.chars().take(2).collect();
    Some(Key::new(format!("{APPROVAL}#{start}"), id))
}

fn token_key(hash: &str) -> Key {
    Key::new(format!("token#{hash}"), "token")
}

fn asked(item: &Item) -> Result<Vec<Asked>, StoreError> {
    let people = "approval's list of people";
    let packed = Fields::of(APPROVAL, item).attribute("asked")?;
    from_json(people, &super::body::unpack(people, packed)?)
}

fn listing(filter: &ApprovalFilter) -> Listing {
    let mut listing = Listing::default();
    if let Some(finding) = &filter.finding {
        listing.ask("#finding = :finding", ":finding", text(name(finding)));
    }
    if let Some(playbook) = &filter.playbook {
        listing.ask("#playbook = :playbook", ":playbook", text(playbook));
    }
    if let Some(stage) = filter.stage {
        listing.ask("#stage = :stage", ":stage", text(stage.name()));
    }
    listing
}

/// Whether the last write to an item was the one with this token.
fn is_ours(item: Option<&Item>, token: &str) -> bool {
    item.is_some_and(|item| Fields::of(APPROVAL, item).maybe_text("last") == Some(token))
}
