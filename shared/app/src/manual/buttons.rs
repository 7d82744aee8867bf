use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a custom action of Security Hub starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// Name of the playbook.
    pub playbook: String,
    /// Values of its parameters.
    pub with: Map<String, Value>,
}

/// Reads what custom actions start: a JSON object of `{"playbook": …, "with": {…}}` by the action's id.
///
/// # Errors
/// All that is wrong, one line each.
pub(crate) fn buttons(text: &str) -> Result<BTreeMap<String, Button>, Vec<String>> {
    let written: Map<String, Value> = match serde_json::from_str(text) {
        Ok(Value::Object(written)) => written,
        Ok(_) => {
            return Err(vec![
                "is no JSON object of playbooks by custom action".to_owned(),
            ]);
        }
        Err(error) => {
            return Err(vec![format!(
                "is no JSON ({error}); write for example `{{\"TellTheTeam\": {{\"playbook\": \"mail-the-team\", \"with\": {{}}}}}}`"
            )]);
        }
    };
    let mut faults = Vec::new();
    let mut buttons = BTreeMap::new();
    for (id, value) in written {
        match button(&value) {
            Ok(button) => {
                buttons.insert(id, button);
            }
            Err(fault) => faults.push(format!("`{id}` {fault}")),
        }
    }
    match faults.is_empty() {
        true => Ok(buttons),
        false => Err(faults),
    }
}

fn button(value: &Value) -> Result<Button, String> {
    let written = value
        .as_object()
        .ok_or("is no object with `playbook` and `with`")?;
    if let Some(other) = written
        .keys()
        .find(|key| !matches!(key.as_str(), "playbook" | "with"))
    {
        return Err(format!(
            "has `{other}`, which is none of `playbook`, `with`"
        ));
    }
    let playbook = written.get("playbook").and_then(Value::as_str);
    let playbook = playbook.filter(|name| !name.is_empty());
    let with = match written.get("with") {
        None => Map::new(),
        Some(Value::Object(with)) => with.clone(),
        Some(_) => return Err("has a `with` that is no object of parameters".to_owned()),
    };
    Ok(Button {
        playbook: playbook.ok_or("names no `playbook`")?.to_owned(),
        with,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn playbook_and_parameters_are_read_by_the_action_s_id() {
        let read = buttons(
            r#"{"Tell": {"playbook": "mail-the-team", "with": {"to": ["a@example.com"]}}, "Note": {"playbook": "note"}}"#,
        )
        .unwrap();
        assert_eq!(read["Tell"].playbook, "mail-the-team");
        assert_eq!(read["Tell"].with["to"], json!(["a@example.com"]));
        assert!(read["Note"].with.is_empty());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let told = buttons(
            r#"{"a": 1, "b": {}, "c": {"playbook": "p", "with": []}, "d": {"playbook": "p", "mode": "x"}}"#,
        )
        .unwrap_err();
        assert_eq!(
            told,
            [
                "`a` is no object with `playbook` and `with`",
                "`b` names no `playbook`",
                "`c` has a `with` that is no object of parameters",
                "`d` has `mode`, which is none of `playbook`, `with`",
            ]
        );
        assert!(buttons("[]").unwrap_err()[0].starts_with("is no JSON object"));
        assert!(buttons("{").unwrap_err()[0].starts_with("is no JSON (EOF"));
    }
}
