use std::time::Duration;

use quench_app::intake::{Intake, intake};
use quench_app::worker::{self, Drained};
use quench_app::{App, RunState};
use quench_findings::Transition;
use serde_json::json;

use super::{Scene, Verdict};
use crate::arguments::{Ingest, Patience};
use crate::input::{self, Payload};
use crate::output::{Look, Output, Progress, one_line};
use crate::report;

/// Takes payloads in and sees the runs they start through.
pub(crate) async fn perform(scene: &Scene, arguments: &Ingest) -> anyhow::Result<Verdict> {
    let mut good = true;
    let files = input::files(&arguments.payloads.files, input::PAYLOADS, |message| {
        good = false;
        scene.complain(&message);
    });
    let app = scene.open().await?;
    let payloads = files.iter().map(|file| input::read(file));
    let verdict = all(scene, &app, payloads, arguments.patience).await?;
    Ok(Verdict::of(good && verdict == Verdict::Good))
}

/// Takes each payload in, then waits for runs.
pub(super) async fn all(
    scene: &Scene,
    app: &App,
    payloads: impl ExactSizeIterator<Item = anyhow::Result<Payload>>,
    patience: Patience,
) -> anyhow::Result<Verdict> {
    let mut good = true;
    let mut runs = Vec::new();
    let count = payloads.len();
    let mut progress = Progress::new(scene.output);
    for (number, payload) in payloads.enumerate() {
        progress.show(&format!("taking in {} of {count}", number + 1));
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => {
                progress.clear();
                scene.complain(&format!("{error:#}"));
                good = false;
                continue;
            }
        };
        let taken = intake(app, &payload.bytes).await?;
        progress.clear();
        good &= taken.refused.is_empty();
        tell(scene, &payload.name, &taken, &mut runs)?;
    }
    drop(progress);
    let finished = finish(scene, app, patience, &runs).await?;
    Ok(Verdict::of(good && finished == Verdict::Good))
}

/// Says what came of one payload and notes the runs it made.
pub(super) fn tell(
    scene: &Scene,
    name: &str,
    taken: &Intake,
    runs: &mut Vec<String>,
) -> anyhow::Result<()> {
    let output = scene.output;
    for refusal in &taken.refused {
        output.object(&json!({"event": "refused", "file": name, "refused": refusal}))?;
        if !output.json {
            scene.complain(&format!("`{name}` is refused: {refusal}"));
        }
    }
    for arrival in &taken.findings {
        let made: Vec<&str> = arrival.runs().collect();
        output.object(&json!({
            "event": "finding",
            "file": name,
            "finding": report::finding_json(&arrival.finding),
            "transition": arrival.transition,
            "matched": arrival.matched,
        }))?;
        output.text(format!(
            "{}  {}",
            output.look(Look::Dim, report::word(arrival.transition)),
            report::finding_line(output, &arrival.finding)
        ))?;
        if arrival.transition == Transition::Repeated {
            output.text(output.look(
                Look::Dim,
                format!(
                    "  nothing new, so nothing fires; by hand: quench trigger PLAYBOOK --finding '{}'",
                    one_line(&arrival.finding.id)
                ),
            ))?;
        }
        for matched in &arrival.matched {
            output.text(format!(
                "  {} automation {}",
                report::mark(output, true),
                output.look(Look::Strong, &matched.automation)
            ))?;
            report::explanation(output, &json!(matched.explanation), "    ")?;
        }
        runs.extend(made.into_iter().map(str::to_owned));
    }
    if let Some(pressed) = &taken.pressed {
        output.object(&json!({"event": "pressed", "file": name, "pressed": pressed}))?;
        output.text(format!(
            "the button starts playbook {} for {} findings",
            pressed.playbook,
            pressed.runs.len()
        ))?;
        runs.extend(pressed.runs.iter().map(|started| started.run.clone()));
    }
    Ok(())
}

/// Runs what is due until these runs are finished or the patience ends, then says how they stand.
pub(super) async fn finish(
    scene: &Scene,
    app: &App,
    patience: Patience,
    runs: &[String],
) -> anyhow::Result<Verdict> {
    let output = scene.output;
    let drained = drain(scene, app, patience, runs).await?;
    let mut good = true;
    for id in runs {
        let Some(run) = app.store.run(id).await? else {
            continue;
        };
        let journal = app.store.journal(id).await?;
        let value = report::run_with(&run, &journal);
        output.object(&json!({"event": "run", "run": value}))?;
        good &= !matches!(run.state, RunState::Failed { .. });
        output.text(format!(
            "run {}  playbook {}  {}",
            run.id,
            run.playbook,
            report::state(output, &run.state)
        ))?;
        report::journal(output, &journal, "  ")?;
    }
    tell_unfinished(output, &drained)?;
    Ok(Verdict::of(good))
}

/// Runs what is due until these runs are finished or the patience ends.
pub(super) async fn drain(
    scene: &Scene,
    app: &App,
    patience: Patience,
    runs: &[String],
) -> anyhow::Result<Drained> {
    let mut progress = Progress::new(scene.output);
    let patience = Duration::from_secs(patience.wait);
    let drained = worker::finish(app, runs, patience, |drained| {
        progress.show(&format!("{} runs done", drained.done));
    })
    .await?;
    Ok(drained)
}

/// Says what is left to do.
pub(super) fn tell_unfinished(output: Output, drained: &Drained) -> anyhow::Result<()> {
    if let (true, Some(next)) = (drained.unfinished > 0, drained.next) {
        output.text(format!(
            "{} unfinished; the next goes on at {}, with the next command that waits for it or with `quench serve`",
            drained.unfinished,
            report::time(next)
        ))?;
    }
    Ok(())
}
