use anyhow::bail;
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
                    report::word(letter.queue),
                    letter.died.map(report::time).unwrap_or_default(),
                    report::shorten(&letter.body, 80),
                ]);
            }
            if rows.is_empty() {
                output.text("no dead letters")?;
            } else {
                output.table(&["ID", "QUEUE", "SINCE", "MESSAGE"], &rows)?;
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
            output.text(format!("put {redriven} back; `quench serve` takes them up"))?;
        }
    }
    Ok(Verdict::Good)
}
