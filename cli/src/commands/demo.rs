use std::path::{Path, PathBuf};

use anyhow::Context;
use quench_app::catalog;
use quench_automations::{SourceFile, gallery, load};
use serde_json::json;

use super::{Scene, Verdict, apply, ingest, samples};
use crate::arguments::Patience;
use crate::output::Look;

/// The template of the gallery that is shown.
const TEMPLATE: &str = "notify-email-on-threat";

/// An alert of each of five sources.
const ALERTS: [&str; 5] = [
    "guardduty-ssh-brute-force",
    "defender-sql-brute-force",
    "scc-iam-anomalous-grant",
    "macie-credit-cards",
    "ocsf-reverse-shell",
];

/// Does the main job over made-up alerts, through the same code as real ones.
pub(crate) async fn perform(scene: &Scene) -> anyhow::Result<Verdict> {
    let output = scene.output;
    let data = match &scene.data {
        Some(data) => data.clone(),
        None => fresh_folder()?,
    };
    let app = super::open_in(&data).await?;
    output.text(output.look(Look::Dim, format!("store: {}", data.display())))?;
    heading(scene, "the gallery's automation")?;
    let template = gallery()
        .iter()
        .find(|template| template.name == TEMPLATE)
        .with_context(|| format!("the gallery lacks `{TEMPLATE}`"))?;
    let source = SourceFile {
        path: format!("playbooks/{}", template.file),
        text: template.text.to_owned(),
    };
    let definitions = load(&[source], &catalog::library(&app).await?)
        .map_err(|faults| anyhow::anyhow!("{}", faults.render(false)))?;
    apply::store(scene, &app, definitions).await?;

    heading(scene, "five alerts, one of each source")?;
    let mut good = true;
    for name in ALERTS {
        let payload = samples::find(name).map(samples::payload);
        let one = std::iter::once(payload);
        good &= ingest::all(scene, &app, one, Patience { wait: 10 }).await? == Verdict::Good;
        output.text("")?;
    }

    output.text(output.look(Look::Strong, "the mails"))?;
    let outbox = app.config.outbox().context("a demo has a folder")?;
    for mail in mails(&outbox)? {
        output.object(&json!({"event": "mail", "path": mail}))?;
        output.text(mail.display().to_string())?;
    }
    let again = format!("quench --data {} runs list", data.display());
    output.text(format!(
        "\nlook around: {}",
        output.look(Look::Strong, again)
    ))?;
    Ok(Verdict::of(good))
}

fn heading(scene: &Scene, text: &str) -> anyhow::Result<()> {
    scene
        .output
        .text(format!("\n{}", scene.output.look(Look::Strong, text)))?;
    Ok(())
}

/// Makes a folder that no earlier demo has used; it stays, for its mails to be read.
fn fresh_folder() -> anyhow::Result<PathBuf> {
    let parent = std::env::temp_dir();
    for number in 1..10_000 {
        let folder = parent.join(format!("quench-demo-{number}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make `{}`", folder.display()));
            }
        }
    }
    anyhow::bail!(
        "`{}` is full of earlier demos; remove them or name a folder with `--data`",
        parent.display()
    )
}

fn mails(outbox: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(outbox)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the outbox `{}`", outbox.display()))?;
    let mut mails: Vec<PathBuf> = entries
        .iter()
        .map(std::fs::DirEntry::path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    mails.sort();
    Ok(mails)
}
