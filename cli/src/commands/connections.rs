use anyhow::bail;
use quench_app::{App, Stored};
use quench_automations::Connection;
use serde_json::{Value, json};

use super::automations::stored_json;
use super::{Scene, Verdict, did_you_mean};
use crate::arguments::Connections;
use crate::output::clean;

pub(crate) async fn perform(scene: &Scene, command: Connections) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    let output = scene.output;
    match command {
        Connections::List => {
            let mut rows = Vec::new();
            for stored in app.store.connections().await? {
                output.object(&stored_json("connection", &stored))?;
                rows.push(vec![
                    stored.definition.name.clone(),
                    kind(&stored.definition),
                    stored.definition.description.clone().unwrap_or_default(),
                ]);
            }
            if rows.is_empty() {
                output.text("no connections; put some in with `quench apply DIR`")?;
            } else {
                output.table(&["NAME", "KIND", "DESCRIPTION"], &rows)?;
            }
        }
        Connections::Show { name } => {
            let stored = find(&app, &name).await?;
            let mut value = stored_json("connection", &stored);
            value["text"] = json!(stored.text);
            output.object(&value)?;
            output.text(clean(stored.text.trim_end()))?;
        }
        Connections::Delete { name } => {
            find(&app, &name).await?;
            app.store.delete_connection(&name).await?;
            output.object(&json!({"connection": name, "change": "deleted"}))?;
            output.text(format!("deleted the connection `{name}`"))?;
        }
    }
    Ok(Verdict::Good)
}

fn kind(connection: &Connection) -> String {
    match json!(connection.kind) {
        Value::Object(kind) => kind.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

async fn find(app: &App, name: &str) -> anyhow::Result<Stored<Connection>> {
    let all = app.store.connections().await?;
    let hint = did_you_mean(name, all.iter().map(|known| known.definition.name.as_str()));
    match all.into_iter().find(|known| known.definition.name == name) {
        Some(found) => Ok(found),
        None => bail!("no connection is called `{name}`{hint}"),
    }
}
