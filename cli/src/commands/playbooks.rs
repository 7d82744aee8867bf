use anyhow::bail;
use quench_app::{App, Stored};
use quench_automations::{Playbook, gallery};
use serde_json::json;

use super::automations::stored_json;
use super::{Scene, Verdict, did_you_mean};
use crate::arguments::Playbooks;
use crate::output::{Look, Output, clean};
use crate::report;

pub(crate) async fn perform(scene: &Scene, command: Playbooks) -> anyhow::Result<Verdict> {
    let output = scene.output;
    match command {
        Playbooks::Gallery { name: None } => list_gallery(output)?,
        Playbooks::Gallery { name: Some(name) } => show_template(output, &name)?,
        Playbooks::List => list(output, &scene.open().await?.store.playbooks().await?)?,
        Playbooks::Show { name } => show(output, &find(&scene.open().await?, &name).await?)?,
        Playbooks::Delete { name } => {
            let app = scene.open().await?;
            find(&app, &name).await?;
            app.store.delete_playbook(&name).await?;
            output.object(&json!({"playbook": name, "change": "deleted"}))?;
            output.text(format!("deleted the playbook `{name}`"))?;
        }
    }
    Ok(Verdict::Good)
}

async fn find(app: &App, name: &str) -> anyhow::Result<Stored<Playbook>> {
    if let Some(found) = app.store.playbook(name).await? {
        return Ok(found);
    }
    let all = app.store.playbooks().await?;
    let hint = did_you_mean(name, all.iter().map(|known| known.definition.name.as_str()));
    bail!("no playbook is called `{name}`{hint}")
}

fn triggers(playbook: &Playbook) -> String {
    let words: Vec<String> = playbook.triggers.iter().map(report::word).collect();
    words.join(", ")
}

fn list(output: Output, playbooks: &[Stored<Playbook>]) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for stored in playbooks {
        let playbook = &stored.definition;
        output.object(&stored_json("playbook", stored))?;
        rows.push(vec![
            playbook.name.clone(),
            triggers(playbook),
            playbook.steps.len().to_string(),
            playbook.description.clone().unwrap_or_default(),
        ]);
    }
    if rows.is_empty() {
        output.text("no playbooks; see `quench playbooks gallery`, then `quench apply DIR`")?;
        return Ok(());
    }
    output.table(&["NAME", "TRIGGERS", "STEPS", "DESCRIPTION"], &rows)?;
    Ok(())
}

fn show(output: Output, stored: &Stored<Playbook>) -> anyhow::Result<()> {
    let mut value = stored_json("playbook", stored);
    value["text"] = json!(stored.text);
    output.object(&value)?;
    let heading = format!(
        "# version {}, changed {}",
        stored.version,
        report::time(stored.updated)
    );
    output.text(output.look(Look::Dim, heading))?;
    output.text(clean(stored.text.trim_end()))?;
    Ok(())
}

fn list_gallery(output: Output) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for template in gallery() {
        output.object(&json!({"template": template.name, "title": template.title}))?;
        rows.push(vec![template.name.to_owned(), template.title.to_owned()]);
    }
    output.table(&["TEMPLATE", "WHAT IT DOES"], &rows)?;
    Ok(())
}

fn show_template(output: Output, name: &str) -> anyhow::Result<()> {
    let all = gallery();
    let Some(template) = all.iter().find(|template| template.name == name) else {
        let hint = did_you_mean(name, all.iter().map(|template| template.name));
        bail!("no template of the gallery is called `{name}`{hint}");
    };
    output.object(&json!({"template": template.name, "text": template.text}))?;
    output.text(template.text.trim_end())?;
    Ok(())
}
