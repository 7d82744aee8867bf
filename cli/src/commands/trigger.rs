use std::io;

use anyhow::bail;
use quench_app::trigger::Ask;
use quench_app::{App, Host};
use quench_automations::{Mode, ParameterType, Verdict as Gates};
use serde_json::{Map, Value, json};

use super::{Misuse, Scene, Verdict, ingest};
use crate::arguments::Trigger;
use crate::output::{Output, one_line};
use crate::report;

/// Runs a playbook for a stored finding by hand.
pub(crate) async fn perform(scene: &Scene, arguments: &Trigger) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    let output = scene.output;
    let with = values(&app, &arguments.playbook, &arguments.with).await?;
    let by = whoever(&app).await?;
    let asked = Ask {
        playbook: &arguments.playbook,
        finding: &arguments.finding,
        with: &with,
        mode: arguments.mode.map(Mode::from),
        by: &by,
        key: None,
    };
    let triggered = quench_app::trigger::ask(&app, asked).await?;
    output.object(&json!({
        "event": "triggered",
        "run": triggered.run.id,
        "automations": triggered.automations,
    }))?;
    output.text(report::finding_line(output, &triggered.run.finding))?;
    let names: Vec<&str> = triggered
        .automations
        .iter()
        .map(|gates| gates.automation.as_str())
        .collect();
    output.text(if names.is_empty() {
        "no automation fires for this finding as it stands".to_owned()
    } else {
        format!(
            "these automations fire for it as it stands: {}",
            names.join(", ")
        )
    })?;
    ingest::finish(scene, &app, arguments.patience, &[triggered.run.id]).await
}

/// Who asks: on AWS whoever STS says that the credentials are of; on one machine, where whoever reaches the store can do
/// anything to it, the account as the environment names it.
pub(super) async fn whoever(app: &App) -> anyhow::Result<String> {
    if let Host::Aws { .. } = app.config.host {
        let outside = app.outside().await?;
        let cloud = outside.cloud().map_err(anyhow::Error::msg)?;
        return Ok(cloud.caller().await?.arn.clone());
    }
    let user = std::env::var("USER").or_else(|_| std::env::var("USERNAME"));
    Ok(match user {
        Ok(user) if !user.trim().is_empty() => one_line(&user),
        _ => "somebody at the command line".to_owned(),
    })
}

/// Reads `NAME=VALUE`: text for parameters that hold text, else JSON where it reads as such.
async fn values(
    app: &App,
    playbook: &str,
    given: &[(String, String)],
) -> anyhow::Result<Map<String, Value>> {
    let stored = app.store.playbook(playbook).await?;
    let mut with = Map::new();
    for (name, text) in given {
        let parameter = stored
            .as_ref()
            .and_then(|stored| stored.definition.parameters.get(name));
        let value = match parameter.map(|parameter| parameter.parameter_type) {
            Some(
                ParameterType::Integer
                | ParameterType::Number
                | ParameterType::Boolean
                | ParameterType::Object,
            )
            | None => json_or_text(text),
            Some(ParameterType::Emails | ParameterType::Strings) => match json_or_text(text) {
                list @ Value::Array(_) => list,
                _ => text.split(',').map(|part| json!(part.trim())).collect(),
            },
            Some(_) => json!(text),
        };
        if with.insert(name.clone(), value).is_some() {
            bail!(Misuse(format!("`--with {name}=…` is given twice")));
        }
    }
    Ok(with)
}

pub(super) fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

/// Prints what each gate of an automation says to a finding, then its conditions.
pub(super) fn gates(output: Output, gates: &Gates) -> io::Result<()> {
    output.text(format!(
        "{} automation {} {}",
        report::mark(output, gates.fires),
        gates.automation,
        if gates.fires {
            "fires"
        } else {
            "does not fire"
        }
    ))?;
    for gate in &gates.gates {
        output.text(format!(
            "  {} {}: {}",
            report::mark(output, gate.open),
            report::word(gate.asks),
            one_line(&gate.reason)
        ))?;
    }
    if let Some(explanation) = &gates.explanation {
        report::explanation(output, &json!(explanation), "  ")?;
    }
    Ok(())
}
