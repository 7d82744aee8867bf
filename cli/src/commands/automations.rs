use anyhow::bail;
use jiff::Timestamp;
use quench_app::{App, Stored};
use quench_automations::Automation;
use serde_json::{Value, json};

use super::{Scene, Verdict, did_you_mean};
use crate::arguments::Automations;
use crate::output::{Look, Output, clean};
use crate::report;

pub(crate) async fn perform(scene: &Scene, command: Automations) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    let output = scene.output;
    match command {
        Automations::List => list(output, &app.store.automations().await?, app.clock.now())?,
        Automations::Show { name } => show(output, &find(&app, &name).await?)?,
        Automations::Enable { name } => set_enabled(&app, output, &name, true).await?,
        Automations::Disable { name } => set_enabled(&app, output, &name, false).await?,
        Automations::Delete { name } => {
            find(&app, &name).await?;
            app.store.delete_automation(&name).await?;
            output.object(&json!({"automation": name, "change": "deleted"}))?;
            output.text(format!("deleted the automation `{name}`"))?;
        }
        Automations::Explain { name, finding } => {
            return explain(&app, output, &name, &finding).await;
        }
    }
    Ok(Verdict::Good)
}

async fn find(app: &App, name: &str) -> anyhow::Result<Stored<Automation>> {
    if let Some(found) = app.store.automation(name).await? {
        return Ok(found);
    }
    let all = app.store.automations().await?;
    let hint = did_you_mean(name, all.iter().map(|known| known.definition.name.as_str()));
    bail!("no automation is called `{name}`{hint}")
}

fn list(output: Output, automations: &[Stored<Automation>], now: Timestamp) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for stored in automations {
        let automation = &stored.definition;
        output.object(&stored_json("automation", stored))?;
        let playbooks: Vec<&str> = automation
            .run
            .iter()
            .map(|call| call.playbook.as_str())
            .collect();
        rows.push(vec![
            automation.name.clone(),
            match automation.expires {
                _ if !automation.enabled => "no",
                Some(expires) if expires <= now => "expired",
                _ => "yes",
            }
            .to_owned(),
            report::word(automation.trigger),
            automation.order.to_string(),
            playbooks.join(", "),
            automation.description.clone().unwrap_or_default(),
        ]);
    }
    if rows.is_empty() {
        output.text("no automations; put some in with `quench apply DIR`")?;
        return Ok(());
    }
    output.table(
        &["NAME", "ENABLED", "TRIGGER", "ORDER", "RUNS", "DESCRIPTION"],
        &rows,
    )?;
    Ok(())
}

/// A stored definition as JSON: its fields, and how and when it was applied.
pub(super) fn stored_json<T: serde::Serialize>(what: &str, stored: &Stored<T>) -> Value {
    json!({
        what: stored.definition,
        "version": stored.version,
        "created": stored.created,
        "updated": stored.updated,
    })
}

fn show(output: Output, stored: &Stored<Automation>) -> anyhow::Result<()> {
    let mut value = stored_json("automation", stored);
    value["text"] = json!(stored.text);
    output.object(&value)?;
    let automation = &stored.definition;
    let heading = format!(
        "# {}, version {}, changed {}",
        if automation.enabled {
            "enabled"
        } else {
            "disabled"
        },
        stored.version,
        report::time(stored.updated)
    );
    output.text(output.look(Look::Dim, heading))?;
    output.text(clean(stored.text.trim_end()))?;
    Ok(())
}

async fn set_enabled(app: &App, output: Output, name: &str, enabled: bool) -> anyhow::Result<()> {
    find(app, name).await?;
    app.store
        .set_enabled(name, enabled, app.clock.now())
        .await?;
    let change = if enabled { "enabled" } else { "disabled" };
    output.object(&json!({"automation": name, "change": change}))?;
    output.text(format!("{change} the automation `{name}`"))?;
    Ok(())
}

/// Says why an automation would or would not fire for a finding as it stands.
async fn explain(app: &App, output: Output, name: &str, finding: &str) -> anyhow::Result<Verdict> {
    let stored = find(app, name).await?;
    let record = super::findings::find(app, finding).await?;
    let catalog = app.catalog().await?;
    let now = app.clock.now();
    let name = &stored.definition.name;
    let Some(gates) = catalog.rules(stored.definition.trigger)?.rulebook.explain(
        name,
        &record.finding,
        record.transition,
        now,
    ) else {
        bail!("the automation `{name}` was changed meanwhile; ask again");
    };
    output.object(&gates)?;
    super::trigger::gates(output, &gates)?;
    Ok(Verdict::Good)
}
