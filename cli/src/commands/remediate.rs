use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use quench_app::trigger::{self, Remedy};
use quench_app::{App, RunState};
use quench_automations::Mode;
use quench_automations::remediation::{Facts, Parameters, Remediation, Risk, Takes};
use serde_json::{Value, json};

use super::trigger::{json_or_text, whoever};
use super::{Misuse, Scene, Verdict, ingest, remediations};
use crate::arguments::{How, Patience, Remediate};
use crate::output::{Look, one_line};
use crate::report::remedy::quoted;
use crate::report::{self, change::Fold};

/// Does a remediation by hand, as a run of its own.
pub(crate) async fn perform(scene: &Scene, arguments: &Remediate) -> anyhow::Result<Verdict> {
    let remediation: Remediation = arguments.name.parse()?;
    let facts = remediation.facts();
    let with = values(facts, &arguments.with)?;
    let mode = Mode::from(arguments.mode);
    if !arguments.approvers.is_empty() && mode != Mode::Approve {
        bail!(Misuse(
            "`--approver` is for `--mode approve`: otherwise nobody is asked".to_owned()
        ));
    }
    let confirm = mode == Mode::Enforce && facts.risk == Risk::High && !arguments.yes;
    if confirm && !io::stdin().is_terminal() {
        bail!(Misuse(format!(
            "`{}` is of high risk: {}; look at the plan first, without `--mode`, then say `--yes`",
            facts.name,
            remediations::harm(facts.risk)
        )));
    }
    let app = scene.open().await?;
    let by = whoever(&app).await?;
    let remedy = Remedy {
        remediation,
        finding: arguments.finding.as_deref(),
        resource: arguments.resource.as_deref(),
        account: arguments.account.as_deref(),
        region: arguments.region.as_deref(),
        with: &with,
        mode,
        approvers: &arguments.approvers,
        by: &by,
    };
    if confirm {
        let look = Remedy {
            mode: Mode::Observe,
            ..remedy
        };
        if one(scene, &app, look, arguments.patience).await? == Verdict::Bad {
            return Ok(Verdict::Bad);
        }
        let question = format!(
            "\n`{}` is of high risk: {}. Write its name to apply it: ",
            facts.name,
            remediations::harm(facts.risk)
        );
        if !agrees(&question, facts.name, &mut io::stdin().lock())? {
            scene.output.text("nothing was changed")?;
            return Ok(Verdict::Bad);
        }
    }
    let verdict = one(scene, &app, remedy, arguments.patience).await?;
    if mode == Mode::Observe && verdict == Verdict::Good {
        scene.output.text(format!(
            "\nnothing was changed; to apply it: {}",
            scene
                .output
                .look(Look::Strong, format!("{} --mode enforce", again(arguments)))
        ))?;
    }
    Ok(verdict)
}

/// Asks on the terminal; anything but the word means no.
fn agrees(question: &str, word: &str, answers: &mut impl BufRead) -> anyhow::Result<bool> {
    let mut errors = io::stderr().lock();
    write!(errors, "{question}").and_then(|()| errors.flush())?;
    let mut answer = String::new();
    answers
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(answer.trim() == word)
}

/// Makes one run and sees it through.
async fn one(
    scene: &Scene,
    app: &App,
    remedy: Remedy<'_>,
    patience: Patience,
) -> anyhow::Result<Verdict> {
    let output = scene.output;
    let made = trigger::remediate(app, remedy).await?;
    output.text(report::finding_line(output, &made.run.finding))?;
    let run = made.run.id;
    output.object(&json!({"event": "triggered", "run": run, "automations": made.automations}))?;
    let finished = ingest::drain(scene, app, patience, std::slice::from_ref(&run)).await?;
    let mut good = true;
    if let Some(run) = app.store.run(&run).await? {
        let journal = app.store.journal(&run.id).await?;
        good = !matches!(run.state, RunState::Failed { .. });
        output.object(&json!({"event": "run", "run": report::run_with(&run, &journal)}))?;
        output.text(format!(
            "run {}  {}",
            run.id,
            report::state(output, &run.state)
        ))?;
        report::remedy::all(output, &run.id, &journal, Fold::States)?;
    }
    ingest::tell_unfinished(output, &finished)?;
    Ok(Verdict::of(good))
}

/// Reads `NAME=VALUE` as the parameters take it; what is wrong with it is told with everything else.
fn values(facts: &Facts, given: &[(String, String)]) -> anyhow::Result<Parameters> {
    let mut with = Parameters::new();
    for (name, text) in given {
        let parameter = facts.parameters.iter().find(|known| known.name == name);
        let value = match parameter.map(|parameter| parameter.takes) {
            Some(Takes::Ports(_) | Takes::Networks(_)) => match json_or_text(text) {
                list @ Value::Array(_) => list,
                _ => text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(Value::from)
                    .collect(),
            },
            Some(Takes::Word { .. }) => json!(text.trim()),
            Some(Takes::Flag(_) | Takes::Number { .. }) | None => json_or_text(text),
        };
        if with.insert(name.clone(), value).is_some() {
            bail!(Misuse(format!("`--with {name}=…` is given twice")));
        }
    }
    Ok(with)
}

/// The command as it was given, without the mode.
fn again(arguments: &Remediate) -> String {
    let mut words = vec!["quench remediate".to_owned(), one_line(&arguments.name)];
    for (name, value) in [
        ("--finding", &arguments.finding),
        ("--resource", &arguments.resource),
        ("--account", &arguments.account),
        ("--region", &arguments.region),
    ] {
        if let Some(value) = value {
            words.push(format!("{name} {}", quoted(value)));
        }
    }
    for (name, value) in &arguments.with {
        words.push(format!("--with {}", quoted(&format!("{name}={value}"))));
    }
    words.join(" ")
}

impl From<How> for Mode {
    fn from(how: How) -> Self {
        match how {
            How::Observe => Self::Observe,
            How::Approve => Self::Approve,
            How::Enforce => Self::Enforce,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_is_an_agreement() {
        for (answer, agreed) in [
            ("stop-instance\n", true),
            (" stop-instance \n", true),
            ("yes\n", false),
            ("\n", false),
            ("", false),
        ] {
            let said = agrees("", "stop-instance", &mut answer.as_bytes()).unwrap();
            assert_eq!(said, agreed, "{answer:?}");
        }
    }

    #[test]
    fn lists_are_read_with_commas_or_as_json() {
        let facts = Remediation::RevokeOpenIngress.facts();
        let read = |text: &str| {
            let (name, value) = text.split_once('=').unwrap();
            values(facts, &[(name.to_owned(), value.to_owned())]).unwrap()
        };
        assert_eq!(
            read("ports=22, 8000-8010")["ports"],
            json!(["22", "8000-8010"])
        );
        assert_eq!(read("ports=[22]")["ports"], json!([22]));
        assert_eq!(read("ports=22")["ports"], json!(["22"]));
        assert_eq!(read("exempt_networks=")["exempt_networks"], json!([]));
        let facts = Remediation::KmsKeyRotation.facts();
        let name = facts.parameters[0].name;
        let given = [(name.to_owned(), "90".to_owned())];
        assert_eq!(values(facts, &given).unwrap()[name], json!(90));
    }
}
