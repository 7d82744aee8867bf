use anyhow::bail;
use quench_app::{App, Run, RunFilter, RunStage, RunState, StartedBy};
use quench_findings::Source;
use serde_json::json;

use super::trigger::whoever;
use super::{Scene, Verdict, ingest};
use crate::arguments::{Patience, Runs};
use crate::output::{Output, one_line};
use crate::report::{self, change::Fold};

pub(crate) async fn perform(scene: &Scene, command: Runs) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    let output = scene.output;
    match command {
        Runs::List {
            finding,
            state,
            page,
        } => {
            let filter = RunFilter {
                finding,
                stage: RunStage::ALL
                    .into_iter()
                    .find(|stage| Some(stage.name()) == state.as_deref()),
                ..RunFilter::default()
            };
            list(output, &app.store.runs(&filter, page.into()).await?)?;
        }
        Runs::Show { id, full } => {
            let fold = if full { Fold::Nothing } else { Fold::Long };
            show(&app, output, &find(&app, &id).await?, fold).await?;
        }
        Runs::Retry { id, patience } => return retry(scene, &app, &id, patience).await,
        Runs::Undo { id, step, patience } => {
            return undo(scene, &app, &id, step.as_deref(), patience).await;
        }
    }
    Ok(Verdict::Good)
}

/// Finds a run by its id, or by the beginning of it if that is enough.
async fn find(app: &App, id: &str) -> anyhow::Result<Run> {
    if let Some(run) = app.store.run(id).await? {
        return Ok(run);
    }
    let mut runs = app.store.runs_by_prefix(id, 2).await?;
    match (runs.pop(), runs.pop()) {
        (Some(run), None) => Ok(run),
        (Some(_), Some(_)) => {
            bail!("several runs have ids that begin with `{id}`; give more of it")
        }
        _ => bail!("no run has the id `{id}`; `quench runs list` shows those there are"),
    }
}

fn list(output: Output, runs: &[Run]) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for run in runs {
        output.object(&report::run_json(run))?;
        rows.push(vec![
            run.id.chars().take(12).collect(),
            standing(&run.state),
            report::time(run.created),
            run.playbook.clone(),
            report::started_by(&run.started_by),
            report::shorten(&run.finding.title, 50),
        ]);
    }
    if rows.is_empty() {
        output.text("no runs")?;
        return Ok(());
    }
    output.table(
        &[
            "ID",
            "STATE",
            "CREATED",
            "PLAYBOOK",
            "STARTED BY",
            "FINDING",
        ],
        &rows,
    )?;
    Ok(())
}

/// Where a run stands, and what it waits for: an approval is to be told from a pause.
fn standing(state: &RunState) -> String {
    let name = RunStage::of(state).name();
    match state {
        RunState::Waiting { reason, .. } => {
            format!("{name}: {}", report::shorten(&one_line(reason), 50))
        }
        _ => name.to_owned(),
    }
}

async fn show(app: &App, output: Output, run: &Run, fold: Fold) -> anyhow::Result<()> {
    let journal = app.store.journal(&run.id).await?;
    let mut value = json!(run);
    value["journal"] = json!(journal);
    output.object(&value)?;
    output.text(report::finding_line(output, &run.finding))?;
    let started = match &run.started_by {
        by @ StartedBy::Automation { .. } => format!("by {}", report::started_by(by)),
        by @ StartedBy::Manual { .. } => report::started_by(by),
    };
    let after = match run.finding.source {
        // Nothing has happened to what was merely named.
        Source::Quench => String::new(),
        _ => format!(" after the finding was {}", report::word(run.transition)),
    };
    output.text(format!(
        "playbook {}, started {started}{after}",
        run.playbook
    ))?;
    if let StartedBy::Automation { explanation, .. } = &run.started_by {
        report::explanation(output, explanation, "  ")?;
    }
    output.text(format!(
        "{}  created {}",
        report::state(output, &run.state),
        report::time(run.created)
    ))?;
    report::journal(output, &journal, "  ")?;
    report::remedy::all(output, &run.id, &journal, fold)?;
    Ok(())
}

async fn retry(scene: &Scene, app: &App, id: &str, patience: Patience) -> anyhow::Result<Verdict> {
    let id = find(app, id).await?.id;
    let run = quench_app::trigger::retry(app, &id).await?;
    scene
        .output
        .text(format!("run {} is taken up again", run.id))?;
    ingest::finish(scene, app, patience, &[run.id]).await
}

async fn undo(
    scene: &Scene,
    app: &App,
    id: &str,
    step: Option<&str>,
    patience: Patience,
) -> anyhow::Result<Verdict> {
    let output = scene.output;
    let id = find(app, id).await?.id;
    let by = whoever(app).await?;
    let undo = quench_app::undo::undo(app, &id, step, &by).await?;
    output.object(&json!({
        "event": "undoing",
        "run": id,
        "restores": undo.restores,
        "beyond": undo.beyond,
    }))?;
    for restored in &undo.restores {
        output.text(format!(
            "{} undoes {} of {}",
            one_line(&restored.step),
            restored.remediation,
            one_line(&restored.resource)
        ))?;
    }
    if !undo.beyond.is_empty() {
        scene.warn(&format!(
            "what these steps did is for others to undo: {}",
            undo.beyond.join(", ")
        ));
    }
    let drained = ingest::drain(scene, app, patience, std::slice::from_ref(&id)).await?;
    let run = find(app, &id).await?;
    let journal = app.store.journal(&id).await?;
    let value = report::run_with(&run, &journal);
    output.object(&json!({"event": "run", "run": value}))?;
    output.text(format!("run {id}  {}", report::state(output, &run.state)))?;
    let lines = report::remedy::undone(output, &id, &journal);
    report::indented(output, &lines, "  ")?;
    ingest::tell_unfinished(output, &drained)?;
    Ok(Verdict::of(!matches!(run.state, RunState::Failed { .. })))
}
