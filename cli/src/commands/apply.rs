use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use quench_app::{App, catalog};
use quench_automations::{Diagnostics, SourceFile, load};
use serde_json::json;

use super::{Scene, Verdict};
use crate::arguments::Apply;
use crate::input;
use crate::output::Look;

/// Checks files and puts what they define into the store, all of it or nothing.
pub(crate) async fn perform(scene: &Scene, arguments: &Apply) -> anyhow::Result<Verdict> {
    let (sources, unreadable) = read(&arguments.paths)?;
    let app = scene.open().await?;
    let library = catalog::library(&app).await?;
    let mut faults = unreadable;
    let definitions = match load(&sources, &library) {
        Ok(definitions) if faults.0.is_empty() => definitions,
        Ok(_) => return refuse(scene, &faults),
        Err(found) => {
            faults.0.extend(found.0);
            return refuse(scene, &faults);
        }
    };
    tell(scene, &definitions.warnings)?;
    if arguments.check {
        let count = definitions.automations.len()
            + definitions.playbooks.len()
            + definitions.connections.len()
            + usize::from(definitions.organization.is_some());
        scene
            .output
            .object(&json!({"change": "none", "checked": count}))?;
        scene
            .output
            .text(format!("{count} definitions are sound; nothing was stored"))?;
        return Ok(Verdict::Good);
    }
    store(scene, &app, definitions).await?;
    Ok(Verdict::Good)
}

/// Stores checked definitions and says what changed.
pub(super) async fn store(
    scene: &Scene,
    app: &App,
    definitions: quench_automations::Definitions,
) -> anyhow::Result<()> {
    let applied = catalog::apply(app, definitions).await?;
    let changes = [
        ("created", Look::Good, &applied.created),
        ("updated", Look::Good, &applied.updated),
        ("unchanged", Look::Dim, &applied.unchanged),
    ];
    for (change, look, definitions) in changes {
        for definition in definitions {
            scene
                .output
                .object(&json!({"definition": definition, "change": change}))?;
            scene.output.text(format!(
                "{}  {definition}",
                scene.output.look(look, format!("{change:<9}"))
            ))?;
        }
    }
    Ok(())
}

/// Reads files and the YAML files of folders; those that are not text become faults.
fn read(paths: &[PathBuf]) -> anyhow::Result<(Vec<SourceFile>, Diagnostics)> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            input::collect(path, &["yaml", "yml"], &mut files)?;
            if files.len() == before {
                bail!("`{}` holds no `.yaml` file", path.display());
            }
        } else {
            files.push(path.clone());
        }
    }
    let mut sources = Vec::new();
    let mut faults = Diagnostics::default();
    for file in &files {
        match source(file)? {
            Ok(source) => sources.push(source),
            Err(fault) => faults.0.push(*fault),
        }
    }
    Ok((sources, faults))
}

fn source(file: &Path) -> anyhow::Result<Result<SourceFile, Box<quench_automations::Diagnostic>>> {
    let payload = if file.as_os_str() == "-" {
        input::read(file)?.bytes
    } else {
        std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?
    };
    Ok(SourceFile::read(file.display().to_string(), &payload))
}

fn refuse(scene: &Scene, faults: &Diagnostics) -> anyhow::Result<Verdict> {
    tell(scene, faults)?;
    if !scene.output.json {
        let count = faults.0.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        eprintln!("{count} {noun}; nothing was stored");
    }
    Ok(Verdict::Bad)
}

/// Prints faults: drawn on standard error, or as objects on standard output.
fn tell(scene: &Scene, faults: &Diagnostics) -> anyhow::Result<()> {
    for fault in &faults.0 {
        scene.output.object(fault)?;
    }
    if !scene.output.json && !faults.0.is_empty() {
        eprintln!("{}", faults.render(scene.color_errors));
    }
    Ok(())
}
