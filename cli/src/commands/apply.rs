use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use quench_app::{App, catalog};
use quench_automations::{Definitions, Diagnostics, Library, SourceFile, load};
use serde_json::json;

use super::{Scene, Verdict};
use crate::arguments::Apply;
use crate::input;
use crate::output::Look;
use crate::report;

/// Checks files and puts what they define into the store, all of it or nothing.
pub(crate) async fn perform(scene: &Scene, arguments: &Apply) -> anyhow::Result<Verdict> {
    let (sources, unreadable) = read(&arguments.paths)?;
    // A check makes no store; where there is none, nothing is known yet.
    let app = match arguments.check && !scene.has_store() {
        true => None,
        false => Some(scene.open().await?),
    };
    let library = match &app {
        Some(app) => catalog::library(app).await?,
        None => Library::default(),
    };
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
    warn_of_expired(scene, &definitions);
    let (false, Some(app)) = (arguments.check, app) else {
        let count = definitions.automations.len()
            + definitions.playbooks.len()
            + definitions.connections.len()
            + usize::from(definitions.organization.is_some());
        scene
            .output
            .object(&json!({"change": "none", "checked": count}))?;
        let counted = counted(count, "definition is", "definitions are");
        scene
            .output
            .text(format!("{counted} sound; nothing was stored"))?;
        return Ok(Verdict::Good);
    };
    store(scene, &app, definitions).await?;
    Ok(Verdict::Good)
}

/// Stores checked definitions and says what changed.
pub(super) async fn store(
    scene: &Scene,
    app: &App,
    definitions: Definitions,
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
    let mut unread = Vec::new();
    let files = input::files(paths, &["yaml", "yml"], |message| unread.push(message));
    // Half of what was meant is nothing to store.
    if !unread.is_empty() {
        bail!("{}", unread.join("\n"));
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

/// Says which automations will never fire; what is stored may well be of the past, so it is no fault.
fn warn_of_expired(scene: &Scene, definitions: &Definitions) {
    let now = Timestamp::now();
    for automation in &definitions.automations {
        let definition = &automation.definition;
        if let Some(expires) = definition.expires.filter(|expires| *expires <= now) {
            scene.warn(&format!(
                "the automation `{}` expired at {} and does not fire any more",
                definition.name,
                report::time(expires)
            ));
        }
    }
}

/// A number with its noun.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn refuse(scene: &Scene, faults: &Diagnostics) -> anyhow::Result<Verdict> {
    tell(scene, faults)?;
    if !scene.output.json {
        let errors = counted(faults.errors().count(), "error", "errors");
        eprintln!("{errors}; nothing was stored");
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
