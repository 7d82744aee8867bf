use quench_automations::remediation::{
    Facts, FitSource, Parameter, Permission, Phase, Remediation, Risk, Scope, Takes,
};

use super::{Scene, Verdict};
use crate::arguments::Remediations;
use crate::output::{Look, Output};

/// Tells of remediations; no store is needed for that.
pub(crate) fn perform(scene: &Scene, command: &Remediations) -> anyhow::Result<Verdict> {
    match command {
        Remediations::List => list(scene.output)?,
        Remediations::Show { name } => show(scene.output, name.parse::<Remediation>()?.facts())?,
    }
    Ok(Verdict::Good)
}

fn kinds(facts: &Facts) -> String {
    let names: Vec<&str> = facts.accepts.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

/// A risk in the looks that it deserves.
pub(super) fn risk(output: Output, risk: Risk) -> String {
    let look = match risk {
        Risk::Low => Look::Dim,
        Risk::Medium => Look::Doubt,
        Risk::High => Look::Bad,
    };
    output.look(look, risk.to_string())
}

/// What a risk means, after the words of the model.
pub(super) fn harm(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "nothing in use depends on what it changes",
        Risk::Medium => "it can break traffic or callers",
        Risk::High => "it can take a service away, or cost access or data",
    }
}

fn list(output: Output) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for remediation in Remediation::ALL {
        let facts = remediation.facts();
        output.object(facts)?;
        rows.push(vec![
            facts.name.to_owned(),
            facts.risk.to_string(),
            kinds(facts),
            facts.title.to_owned(),
        ]);
    }
    output.table(&["NAME", "RISK", "APPLIES TO", "WHAT IT DOES"], &rows)?;
    Ok(())
}

fn show(output: Output, facts: &Facts) -> anyhow::Result<()> {
    output.object(facts)?;
    let heading = |text: &str| output.text(format!("\n{}", output.look(Look::Strong, text)));
    output.text(output.look(Look::Strong, facts.name))?;
    output.text(facts.title)?;
    output.text(format!(
        "risk {}: {}",
        risk(output, facts.risk),
        harm(facts.risk)
    ))?;
    output.text(format!("applies to: {}", kinds(facts)))?;

    heading("parameters")?;
    for parameter in facts.parameters {
        tell_parameter(output, parameter)?;
    }
    if facts.parameters.is_empty() {
        output.text("  none")?;
    }

    heading("findings that it mends")?;
    for (source, name) in [
        (FitSource::SecurityHub, "controls of Security Hub"),
        (FitSource::Config, "rules of AWS Config"),
        (FitSource::GuardDuty, "types of GuardDuty"),
        (FitSource::Prowler, "checks of Prowler"),
    ] {
        let of_source = facts.fits.iter().filter(|fit| fit.source == source);
        let ids: Vec<&str> = of_source.map(|fit| fit.id).collect();
        if !ids.is_empty() {
            let name = output.look(Look::Dim, format!("{name}:"));
            output.text(format!("  {name} {}", ids.join(", ")))?;
        }
    }

    for (phase, name) in [
        (Phase::Plan, "permissions to plan"),
        (Phase::Apply, "permissions to apply, besides"),
        (Phase::Undo, "permissions to undo, besides"),
    ] {
        let of_phase = facts.permissions.iter();
        let of_phase: Vec<&Permission> = of_phase.filter(|needed| needed.phase == phase).collect();
        if of_phase.is_empty() {
            continue;
        }
        heading(name)?;
        for permission in of_phase {
            tell_permission(output, permission)?;
        }
    }

    heading("by hand")?;
    output.text(format!(
        "  quench remediate {} --resource {}",
        facts.name,
        match facts.accepts {
            [quench_automations::remediation::Kind::Account] => "ACCOUNT",
            _ => "ARN",
        }
    ))?;
    Ok(())
}

fn tell_parameter(output: Output, parameter: &Parameter) -> anyhow::Result<()> {
    let listed = |texts: &[&str]| match texts {
        [] => "none".to_owned(),
        texts => texts.join(", "),
    };
    let (takes, default) = match parameter.takes {
        Takes::Flag(on) => ("true or false".to_owned(), on.to_string()),
        Takes::Number {
            least,
            most,
            default,
        } => (
            format!("a whole number from {least} to {most}"),
            default.map_or_else(|| "none".to_owned(), |number| number.to_string()),
        ),
        Takes::Ports(ports) => (
            "ports, or ranges such as 8000-8010".to_owned(),
            listed(ports),
        ),
        Takes::Networks(networks) => (
            "networks such as 203.0.113.0/24".to_owned(),
            listed(networks),
        ),
        Takes::Word { of, default } => (format!("one of {}", of.join(", ")), default.to_owned()),
    };
    output.text(format!("  {}: {takes}", parameter.name))?;
    output.text(format!("    {}", parameter.about))?;
    output.text(format!(
        "    {} {default}",
        output.look(Look::Dim, "default:")
    ))?;
    Ok(())
}

/// A noun with its article.
fn an(noun: &str) -> String {
    let article = match noun.starts_with(['a', 'e', 'i', 'o', 'u']) && !noun.starts_with("user") {
        true => "an",
        false => "a",
    };
    format!("{article} {noun}")
}

fn tell_permission(output: Output, permission: &Permission) -> anyhow::Result<()> {
    let mut told = match permission.scope {
        Scope::Target => Vec::new(),
        Scope::Everything => vec!["on `*`: AWS takes nothing less".to_owned()],
        Scope::Beside(arns) => vec![format!("also on {}", arns.join(", "))],
    };
    if !permission.kinds.is_empty() {
        let names = permission.kinds.iter().map(|kind| an(kind.name()));
        told.push(format!("for {}", names.collect::<Vec<_>>().join(" or ")));
    }
    let told = match told.is_empty() {
        true => String::new(),
        false => output.look(Look::Dim, format!("  ({})", told.join("; "))),
    };
    output.text(format!("  {}{told}", permission.action))?;
    Ok(())
}
