use anyhow::bail;
use quench_app::{DeadLetter, Host};
use serde_json::json;

use super::{Scene, Verdict};
use crate::arguments::DeadLetters;
use crate::report;

pub(crate) async fn perform(scene: &Scene, command: DeadLetters) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    let output = scene.output;
    let letters = app.queues.dead_letters(1000).await?;
    match command {
        DeadLetters::List => {
            let mut rows = Vec::new();
            for letter in &letters {
                output.object(letter)?;
                rows.push(vec![
                    letter.id.clone(),
                    letter.queue.map_or_else(|| "none".to_owned(), report::word),
                    letter.died.map(report::time).unwrap_or_default(),
                    report::shorten(letter.reason.as_deref().unwrap_or_default(), 60),
                    report::shorten(&letter.body, 80),
                ]);
            }
            if rows.is_empty() {
                output.text("no dead letters")?;
            } else {
                output.table(&["ID", "QUEUE", "SINCE", "ERROR", "MESSAGE"], &rows)?;
            }
            if let Some(advice) = advice(for_functions(&letters)) {
                output.text(advice)?;
            }
        }
        DeadLetters::Redrive { id, all } => {
            let now = app.clock.now();
            let redriven = match id.filter(|_| !all) {
                None => app.queues.redrive_all(now).await?,
                Some(id) if letters.iter().any(|letter| letter.id == id) => {
                    app.queues.redrive(&id, now).await?;
                    1
                }
                Some(id) => bail!("no dead letter has the id `{id}`"),
            };
            output.object(&json!({"redriven": redriven}))?;
            output.text(redriven_text(redriven, &app.config.host))?;
            if all && let Some(advice) = advice(for_functions(&letters)) {
                output.text(advice)?;
            }
        }
    }
    Ok(Verdict::Good)
}

fn redriven_text(redriven: usize, host: &Host) -> String {
    let who = match host {
        Host::Machine { .. } => "`quench serve` takes them up",
        Host::Aws { .. } => "the hub's functions take them up",
    };
    format!("put {redriven} back; {who}")
}

/// How many belong on no queue.
fn for_functions(letters: &[DeadLetter]) -> usize {
    let letters = letters.iter();
    letters.filter(|letter| letter.queue.is_none()).count()
}

/// What to do about those that belong on no queue.
fn advice(for_functions: usize) -> Option<String> {
    (for_functions > 0).then(|| {
        format!(
            "{for_functions} of no queue: what a button in Security Hub sends, or an invocation, did not reach the function \
             `manual` or failed there, and cannot be put back; do it again, and remove the message from the queue \
             (infra/README.md, \"What never arrived\")"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_up_what_was_put_back_depends_on_where_it_is() {
        let machine = Host::Machine { data: "x".into() };
        let aws = Host::Aws {
            table: "quench".to_owned(),
            queues: Default::default(),
            undelivered: None,
        };
        assert_eq!(
            redriven_text(2, &machine),
            "put 2 back; `quench serve` takes them up"
        );
        assert_eq!(
            redriven_text(2, &aws),
            "put 2 back; the hub's functions take them up"
        );
    }

    #[test]
    fn what_belongs_on_no_queue_is_counted_and_explained() {
        let letter = |queue: Option<&str>| -> DeadLetter {
            let letter = json!({
                "id": "1", "queue": queue, "body": "{}", "received": 1, "sent": "2026-11-23T00:00:00Z",
            });
            serde_json::from_value(letter).unwrap()
        };
        assert_eq!(advice(for_functions(&[letter(Some("alert"))])), None);
        let letters = [letter(None), letter(Some("runs")), letter(None)];
        let told = advice(for_functions(&letters)).unwrap();
        assert!(told.starts_with("2 of no queue: "), "{told}");
    }
}
