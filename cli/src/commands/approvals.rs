use anyhow::bail;
use quench_app::approval::{
    Approval, ApprovalStage, ApprovalState, Choice, Decision, Proof, Proposal, decide, public,
};
use quench_app::{App, ApprovalFilter};
use serde_json::{Value, json};

use super::{Scene, Verdict, ingest, trigger};
use crate::arguments::{Approvals, Patience};
use crate::output::{Look, Output, clean, one_line};
use crate::report;

pub(crate) async fn perform(scene: &Scene, command: Approvals) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    let output = scene.output;
    match command {
        Approvals::List { state, all, page } => {
            let wanted = ApprovalStage::ALL
                .into_iter()
                .find(|stage| Some(stage.name()) == state.as_deref());
            let wanted = wanted.or((!all).then_some(ApprovalStage::Pending));
            let filter = ApprovalFilter {
                stage: wanted,
                ..ApprovalFilter::default()
            };
            let mut approvals = app.store.approvals(&filter, page.into()).await?;
            if wanted == Some(ApprovalStage::Pending) {
                // What nobody decided in time may not be written down as expired yet.
                let now = app.clock.now();
                approvals.retain(|approval| approval.is_open(now));
            }
            list(&app, output, &approvals)?;
        }
        Approvals::Show { id } => {
            let approval = find(&app, &id).await?;
            output.object(&described(&app, &approval))?;
            show(&app, output, &approval)?;
        }
        Approvals::Approve {
            id,
            reason,
            patience,
        } => {
            let said = (Choice::Approve, reason);
            return say(scene, &app, &id, said, patience).await;
        }
        Approvals::Deny {
            id,
            reason,
            patience,
        } => {
            let said = (Choice::Deny, reason);
            return say(scene, &app, &id, said, patience).await;
        }
    }
    Ok(Verdict::Good)
}

/// Finds an approval by its id, or by the beginning of it if that is enough.
async fn find(app: &App, id: &str) -> anyhow::Result<Approval> {
    if let Some(approval) = app.store.approval(id).await? {
        return Ok(approval);
    }
    let mut approvals = app.store.approvals_by_prefix(id, 2).await?;
    match (approvals.pop(), approvals.pop()) {
        (Some(approval), None) => Ok(approval),
        (Some(_), Some(_)) => {
            bail!("several approvals have ids that begin with `{id}`; give more of it")
        }
        _ => bail!("no approval has the id `{id}`; `quench approvals list` shows those there are"),
    }
}

/// An approval as JSON, as it stands by the clock.
fn described(app: &App, approval: &Approval) -> Value {
    let mut value = public(approval);
    value["state"] = json!(approval.standing(app.clock.now()));
    value
}

fn list(app: &App, output: Output, approvals: &[Approval]) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for approval in approvals {
        output.object(&described(app, approval))?;
        rows.push(vec![
            approval.id.chars().take(12).collect(),
            ApprovalStage::of(&approval.standing(app.clock.now()))
                .name()
                .to_owned(),
            approval.risk.map(report::word).unwrap_or_default(),
            report::time(approval.expires),
            approval.playbook.clone(),
            report::shorten(&approval.title, 80),
        ]);
    }
    if rows.is_empty() {
        output.text("no approvals")?;
        return Ok(());
    }
    let headings = ["ID", "STATE", "RISK", "EXPIRES", "PLAYBOOK", "WHAT"];
    output.table(&headings, &rows)?;
    Ok(())
}

fn show(app: &App, output: Output, approval: &Approval) -> anyhow::Result<()> {
    output.text(output.look(Look::Strong, one_line(&approval.title)))?;
    output.text(state(output, &approval.standing(app.clock.now())))?;
    if let Some(message) = &approval.message {
        for line in clean(message).lines() {
            output.text(format!("  {line}"))?;
        }
    }
    let fact = |label: &str, value: &str| {
        let label = output.look(Look::Dim, format!("{label:<12}"));
        output.text(format!("  {label}{}", one_line(value)))
    };
    if let Proposal::Plan {
        remediation,
        resource,
        account,
        region,
        parameters,
        ..
    } = &approval.what
    {
        fact("remediation", remediation)?;
        fact("resource", resource)?;
        fact("account", account)?;
        fact("region", region)?;
        if !parameters.is_empty() {
            fact("parameters", &json!(parameters).to_string())?;
        }
    }
    if let Some(risk) = approval.risk {
        fact("risk", &risk.to_string())?;
    }
    if let Some(automation) = &approval.automation {
        fact("asked by", &format!("automation {automation}"))?;
    }
    if let Some(requester) = &approval.requester {
        fact("asked by", requester)?;
    }
    fact("finding", &approval.finding.title)?;
    fact("", &approval.finding.id)?;
    fact(
        "playbook",
        &format!("{}, step {}", approval.playbook, approval.path),
    )?;
    fact("run", &approval.run)?;
    fact("asked", &report::time(approval.created))?;
    fact("expires", &report::time(approval.expires))?;
    for asked in &approval.asked {
        let told = match asked.told {
            Some(at) => format!("{} (told {})", asked.to, report::time(at)),
            None => format!("{} (not told)", asked.to),
        };
        fact("people", &told)?;
    }
    match &approval.what {
        Proposal::Plan {
            changes, warnings, ..
        } => {
            for warning in warnings {
                output.text(format!(
                    "  {} {}",
                    output.look(Look::Doubt, "!"),
                    one_line(warning)
                ))?;
            }
            for change in changes {
                output.text(format!("  {}", one_line(&change.path)))?;
                value(output, Look::Bad, "-", &change.before)?;
                value(output, Look::Good, "+", &change.after)?;
            }
        }
        Proposal::Content(content) => value(output, Look::Strong, " ", content)?,
        Proposal::Gate => {}
    }
    Ok(())
}

/// Prints all of a value, over several lines where it is long.
fn value(output: Output, look: Look, sign: &str, value: &Value) -> anyhow::Result<()> {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other if other.to_string().chars().count() <= 72 => other.to_string(),
        other => serde_json::to_string_pretty(other)?,
    };
    for line in clean(&text).lines() {
        output.text(format!(
            "    {}",
            output.look(look, format!("{sign} {line}"))
        ))?;
    }
    Ok(())
}

/// Where an approval stands, in words.
fn state(output: Output, state: &ApprovalState) -> String {
    let because = |reason: &Option<String>| match reason {
        Some(reason) => format!(": {}", one_line(reason)),
        None => String::new(),
    };
    match state {
        ApprovalState::Pending => output.look(Look::Doubt, "waits for a decision"),
        ApprovalState::Approved { by, at, reason } => output.look(
            Look::Good,
            format!(
                "approved by {} at {}{}",
                one_line(by),
                report::time(*at),
                because(reason)
            ),
        ),
        ApprovalState::Denied { by, at, reason } => output.look(
            Look::Bad,
            format!(
                "denied by {} at {}{}",
                one_line(by),
                report::time(*at),
                because(reason)
            ),
        ),
        ApprovalState::Expired { at } => {
            output.look(Look::Bad, format!("expired at {}", report::time(*at)))
        }
        ApprovalState::Superseded { at } => output.look(
            Look::Dim,
            format!("what it was about changed at {}", report::time(*at)),
        ),
    }
}

/// Decides, and sees the run through that waits for it.
async fn say(
    scene: &Scene,
    app: &App,
    id: &str,
    (choice, reason): (Choice, Option<String>),
    patience: Patience,
) -> anyhow::Result<Verdict> {
    let output = scene.output;
    let approval = find(app, id).await?;
    let by = trigger::whoever(app).await?;
    let proof = Proof::Login {
        by: &by,
        approval: &approval.id,
    };
    let decision = Decision {
        choice,
        plan_hash: &approval.plan_hash,
        reason: reason.as_deref(),
    };
    let decided = decide(app, proof, decision).await?;
    let mut value = described(app, &decided);
    value["event"] = json!("decided");
    output.object(&value)?;
    output.text(output.look(Look::Strong, one_line(&decided.title)))?;
    output.text(state(output, &decided.state))?;
    ingest::finish(scene, app, patience, &[decided.run]).await
}
