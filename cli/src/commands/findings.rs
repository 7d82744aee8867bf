use anyhow::bail;
use quench_app::{App, FindingFilter, FindingRecord};
use serde_json::{Value, json};

use super::{Scene, Verdict};
use crate::arguments::Findings;
use crate::output::{Look, Output, clean, one_line};
use crate::report;

pub(crate) async fn perform(scene: &Scene, command: Findings) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    let output = scene.output;
    match command {
        Findings::List { kind, page } => {
            let filter = FindingFilter {
                kind: kind
                    .map(Value::String)
                    .map(serde_json::from_value)
                    .transpose()?,
                ..FindingFilter::default()
            };
            list(output, &app.store.findings(&filter, page.into()).await?)?;
        }
        Findings::Show { id } => show(output, &find(&app, &id).await?)?,
        Findings::Delete { id } => {
            if !app.store.delete_finding(&id).await? {
                bail!("no finding has the id `{id}`");
            }
            output.object(&json!({"finding": id, "change": "deleted"}))?;
            output.text(format!("deleted the finding `{}`", one_line(&id)))?;
        }
    }
    Ok(Verdict::Good)
}

/// Finds a stored finding by its id.
pub(super) async fn find(app: &App, id: &str) -> anyhow::Result<FindingRecord> {
    match app.store.finding(id).await? {
        Some(record) => Ok(record),
        None => bail!("no finding has the id `{id}`; `quench findings list` shows those there are"),
    }
}

fn list(output: Output, records: &[FindingRecord]) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for record in records {
        let finding = &record.finding;
        let mut value = report::finding_json(finding);
        value["stored"] = json!(record.stored);
        value["transition"] = json!(record.transition);
        output.object(&value)?;
        rows.push(vec![
            report::word(finding.severity),
            report::word(finding.kind),
            report::status(finding.status),
            report::word(finding.source),
            report::shorten(&finding.title, 60),
            finding.id.clone(),
        ]);
    }
    if rows.is_empty() {
        output
            .text("no findings; take some in with `quench ingest FILE` or `quench samples send`")?;
        return Ok(());
    }
    output.table(
        &["SEVERITY", "KIND", "STATUS", "SOURCE", "TITLE", "ID"],
        &rows,
    )?;
    Ok(())
}

fn show(output: Output, record: &FindingRecord) -> anyhow::Result<()> {
    output.object(record)?;
    let finding = &record.finding;
    output.text(report::finding_line(output, finding))?;
    let mut facts: Vec<(&str, String)> = vec![("id", finding.id.clone())];
    let mut fact = |name, value: Option<String>| {
        if let Some(value) = value {
            facts.push((name, value));
        }
    };
    fact("type", finding.finding_type.clone());
    fact("status", finding.status.map(report::word));
    fact("scope", finding.scope.clone());
    fact(
        "control",
        finding.compliance.as_ref().map(|compliance| {
            let parts = [&compliance.standard, &compliance.control];
            let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
            parts.join(" · ")
        }),
    );
    fact("first seen", finding.first_seen.map(report::time));
    fact("last seen", finding.last_seen.map(report::time));
    fact("updated", finding.updated.map(report::time));
    fact("part of", finding.parent.clone());
    fact("sample", finding.sample.then(|| "yes".to_owned()));
    fact("last change", Some(report::word(record.transition)));
    for resource in &finding.resources {
        let kind = resource.resource_type.as_deref().unwrap_or("resource");
        fact("resource", Some(format!("{} ({kind})", resource.id)));
    }
    for (name, value) in facts {
        output.text(format!(
            "  {}  {}",
            output.look(Look::Dim, format!("{name:<11}")),
            one_line(&value)
        ))?;
    }
    if let Some(description) = &finding.description {
        output.text(format!("\n{}", clean(description)))?;
    }
    if let Some(remediation) = &finding.remediation {
        let parts = [&remediation.text, &remediation.url];
        for part in parts.into_iter().flatten() {
            output.text(format!("\n{}", clean(part)))?;
        }
    }
    Ok(())
}
