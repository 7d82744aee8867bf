use super::{DeadLetter, Depth, Message, Queue, Sending};
use crate::clock::after;
use crate::store::StoreError;
use crate::store::sqlite::{Fault, Sqlite, count, micros, time};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use std::time::Duration;

pub(super) async fn send(
    file: &Sqlite,
    queue: Queue,
    outgoing: Vec<(Vec<u8>, Sending)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    file.write(move |connection| {
        for (body, sending) in &outgoing {
            send_one(connection, queue, body, sending, now)?;
        }
        Ok(())
    })
    .await
}

fn send_one(
    connection: &Connection,
    queue: Queue,
    body: &[u8],
    sending: &Sending,
    now: Timestamp,
) -> Result<(), Fault> {
    let visible = micros(after(now, sending.delay));
    if let Some(key) = &sending.dedupe {
        // A sweep knows less of the message than whoever held it back.
        let earliest = if sending.sweep { i64::MAX } else { visible };
        let waiting = connection
            .prepare_cached(
                "UPDATE messages SET visible = min(visible, ?3)
                 WHERE queue = ?1 AND dedupe = ?2 AND died IS NULL AND (receipt IS NULL OR visible <= ?4)",
            )?
            .execute(params![queue.name(), key, earliest, micros(now)])?;
        if waiting > 0 || (sending.sweep && is_dead(connection, queue, key)?) {
            return Ok(());
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO messages (queue, body, dedupe, visible, sent) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            queue.name(),
            body,
            sending.dedupe,
            visible,
            micros(now)
        ])?;
    Ok(())
}

fn is_dead(connection: &Connection, queue: Queue, key: &str) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND dedupe = ?2 AND died IS NOT NULL)";
    Ok(connection
        .prepare_cached(sql)?
        .query_row(params![queue.name(), key], |row| row.get(0))?)
}

pub(super) async fn receive(
    file: &Sqlite,
    max_receives: u32,
    queue: Queue,
    max: u32,
    visibility: Duration,
    now: Timestamp,
) -> Result<Vec<Message>, StoreError> {
    // Most polls find nothing; that is learnt without a write.
    let waiting: bool = file
        .read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND died IS NULL AND visible <= ?2)";
            Ok(connection
                .prepare_cached(sql)?
                .query_row(params![queue.name(), micros(now)], |row| row.get(0))?)
        })
        .await?;
    if !waiting {
        return Ok(Vec::new());
    }
    file.write(move |connection| {
        connection
            .prepare_cached(
                "UPDATE messages SET died = ?2, receipt = NULL,
                     reason = coalesce(reason, 'whoever received it did not finish in time')
                 WHERE queue = ?1 AND died IS NULL AND visible <= ?2 AND received >= ?3",
            )?
            .execute(params![queue.name(), micros(now), max_receives])?;
        let found: Vec<(i64, Vec<u8>, u32, i64)> = connection
            .prepare_cached(
                "SELECT id, body, received, sent FROM messages
                 WHERE queue = ?1 AND died IS NULL AND visible <= ?2 ORDER BY visible, id LIMIT ?3",
            )?
            .query_map(params![queue.name(), micros(now), max], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut messages = Vec::with_capacity(found.len());
        for (id, body, received, sent) in found {
            let received = received + 1;
            // Unique: no other delivery of this message has this number.
            let receipt = format!("{id}.{received}.{}", micros(now));
            connection
                .prepare_cached(
                    "UPDATE messages SET receipt = ?2, received = ?3, visible = ?4, reason = NULL WHERE id = ?1",
                )?
                .execute(params![id, receipt, received, micros(after(now, visibility))])?;
            messages.push(Message {
                id: id.to_string(),
                queue,
                body,
                receipt,
                received,
                sent: time(sent),
            });
        }
        Ok(messages)
    })
    .await
}

pub(super) async fn extend(
    file: &Sqlite,
    message: &Message,
    visibility: Duration,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let receipt = message.receipt.clone();
    file.write(move |connection| {
        let held = connection
            .prepare_cached(
                "UPDATE messages SET visible = ?3 WHERE id = ?1 AND receipt = ?2 AND died IS NULL",
            )?
            .execute(params![
                id_of(&receipt),
                receipt,
                micros(after(now, visibility))
            ])?;
        Ok(held == 1)
    })
    .await
}

pub(super) async fn ack(file: &Sqlite, message: &Message) -> Result<bool, StoreError> {
    let receipt = message.receipt.clone();
    file.write(move |connection| {
        let held = connection
            .prepare_cached("DELETE FROM messages WHERE id = ?1 AND receipt = ?2")?
            .execute(params![id_of(&receipt), receipt])?;
        Ok(held == 1)
    })
    .await
}

pub(super) async fn nack(
    file: &Sqlite,
    max_receives: u32,
    message: &Message,
    delay: Duration,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (receipt, reason) = (message.receipt.clone(), reason.to_owned());
    let died = (message.received >= max_receives).then(|| micros(now));
    file.write(move |connection| {
        connection
            .prepare_cached(
                "UPDATE messages SET receipt = NULL, visible = ?3, reason = ?4, died = ?5
                 WHERE id = ?1 AND receipt = ?2",
            )?
            .execute(params![
                id_of(&receipt),
                receipt,
                micros(after(now, delay)),
                reason,
                died
            ])?;
        Ok(())
    })
    .await
}

pub(super) async fn depth(
    file: &Sqlite,
    queue: Queue,
    now: Timestamp,
) -> Result<Depth, StoreError> {
    file.read(move |connection| {
        let sql = "SELECT
                coalesce(sum(died IS NULL AND visible <= ?2), 0),
                coalesce(sum(died IS NULL AND visible > ?2 AND receipt IS NULL), 0),
                coalesce(sum(died IS NULL AND visible > ?2 AND receipt IS NOT NULL), 0),
                coalesce(sum(died IS NOT NULL), 0)
            FROM messages WHERE queue = ?1";
        Ok(connection.prepare_cached(sql)?.query_row(
            params![queue.name(), micros(now)],
            |row| {
                Ok(Depth {
                    ready: count(row.get(0)?),
                    delayed: count(row.get(1)?),
                    in_hand: count(row.get(2)?),
                    dead: count(row.get(3)?),
                })
            },
        )?)
    })
    .await
}

pub(super) async fn dead_letters(file: &Sqlite, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
    file.read(move |connection| {
        let mut statement = connection.prepare_cached(
            "SELECT id, queue, body, received, sent, died, reason FROM messages
             WHERE died IS NOT NULL ORDER BY died DESC, id DESC LIMIT ?1",
        )?;
        let rows = statement.query_map([limit], |row| {
            let name: String = row.get(1)?;
            let body: Vec<u8> = row.get(2)?;
            Ok(DeadLetter {
                id: row.get::<_, i64>(0)?.to_string(),
                queue: Queue::ALL.into_iter().find(|queue| queue.name() == name),
                body: String::from_utf8_lossy(&body).into_owned(),
                received: row.get(3)?,
                sent: time(row.get(4)?),
                died: Some(time(row.get(5)?)),
                reason: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    })
    .await
}

pub(super) async fn next_visible(file: &Sqlite) -> Result<Option<Timestamp>, StoreError> {
    file.read(|connection| {
        let visible: Option<i64> = connection
            .prepare_cached("SELECT min(visible) FROM messages WHERE died IS NULL")?
            .query_row([], |row| row.get(0))?;
        Ok(visible.map(time))
    })
    .await
}

pub(super) async fn redrive(file: &Sqlite, id: &str, now: Timestamp) -> Result<(), StoreError> {
    let id = id.to_owned();
    file.write(move |connection| {
        let number: i64 = id.parse().unwrap_or(-1);
        match revive(connection, Some(number), now)? {
            0 => Err(Fault::Store(StoreError::Missing {
                what: "dead letter",
                name: id,
            })),
            _ => Ok(()),
        }
    })
    .await
}

pub(super) async fn redrive_all(file: &Sqlite, now: Timestamp) -> Result<usize, StoreError> {
    file.write(move |connection| revive(connection, None, now))
        .await
}

fn revive(connection: &Connection, id: Option<i64>, now: Timestamp) -> Result<usize, Fault> {
    Ok(connection.execute(
        "UPDATE messages SET died = NULL, received = 0, receipt = NULL, reason = NULL, visible = ?2
         WHERE died IS NOT NULL AND (?1 IS NULL OR id = ?1)",
        params![id, micros(now)],
    )?)
}

pub(super) async fn expire(
    file: &Sqlite,
    before: Timestamp,
    limit: u32,
) -> Result<usize, StoreError> {
    file.write(move |connection| {
        Ok(connection.execute(
            "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE died < ?1 LIMIT ?2)",
            params![micros(before), limit],
        )?)
    })
    .await
}

/// The number of the message that a receipt was made for.
fn id_of(receipt: &str) -> Option<i64> {
    receipt.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
