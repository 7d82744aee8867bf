//! Playbooks of the gallery, whole: asked for, applied, told and undone.

use super::house::House;
use super::*;
use crate::engine::trial::run_of;
use crate::store::Change;
use quench_automations::templates::{self, Names};
use quench_automations::{Library, Playbook, SourceFile, gallery, load};
use quench_findings::Resource;
use quench_world::world::ACCOUNT;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The playbook of a template, and the parameters that its automation gives.
fn template(name: &str) -> (Playbook, Map<String, Value>) {
    let template = gallery().iter().find(|template| template.name == name);
    let template = template.unwrap();
    let file = SourceFile {
        path: template.file.to_owned(),
        text: template.text.to_owned(),
    };
    let definitions = load(&[file], &Library::default()).unwrap();
    let automation = &definitions.automations[0].definition;
    let playbook = definitions.playbooks[0].definition.clone();
    (playbook, automation.run[0].with.clone())
}

/// Makes a run of a template about a resource, as if somebody had started it by hand.
async fn start(house: &House<'_>, name: &str, resource: &str, mode: Mode) -> String {
    let (playbook, with) = template(name);
    let now = house.clock.now();
    let mut run = run_of(&playbook.name, &[]);
    let change = Change::Playbook {
        definition: playbook,
        version: "v1".to_owned(),
        text: String::new(),
    };
    let store = &house.app.store;
    store.put_definitions(vec![change], now).await.unwrap();
    run.id = Run::id_of(&[name.as_bytes(), resource.as_bytes()]);
    run.with = with;
    run.mode = Some(mode);
    Arc::make_mut(&mut run.finding).account = Some(ACCOUNT.to_owned());
    Arc::make_mut(&mut run.finding).region = Some(quench_emulator::REGION.to_owned());
    Arc::make_mut(&mut run.finding).resources = vec![Resource {
        id: resource.to_owned(),
        ..Resource::default()
    }];
    (run.created, run.updated) = (now, now);
    assert!(store.create_run(&run).await.unwrap());
    run.id
}

/// The mail that told the team of a run.
async fn mail(house: &House<'_>, run: &str) -> String {
    let journal = house.app.store.journal(run).await.unwrap();
    let mail = journal.into_iter().find_map(|entry| match entry.event {
        Event::Started { content } if entry.path == "tell" => Some(content),
        _ => None,
    });
    let mail = &mail.expect("the team is told")["email"];
    format!(
        "{}\n{}",
        mail["subject"].as_str().unwrap(),
        mail["text"].as_str().unwrap()
    )
}

/// The names that are known after a step that remediates.
fn names() -> Names {
    let steps = BTreeSet::from(["remediate".to_owned()]);
    Names {
        deeds: steps.clone(),
        steps,
        ..Names::default()
    }
}

#[tokio::test]
async fn what_the_gallery_remediates_is_asked_for_told_and_undone() {
    for &remediation in Remediation::ALL {
        // Settings of whole accounts belong to other tests as well.
        if matches!(
            remediation,
            Remediation::EbsEncryption | Remediation::PasswordPolicy
        ) {
            continue;
        }
        let world = World::new(fixtures::peer(remediation)).await;
        let house = House::new(&world).await;
        let resource = fixtures::make(&world, remediation).await;
        let before = fixtures::look(&world, remediation, &resource).await;
        let name = format!("remediate-{remediation}");
        let run = start(&house, &name, &resource, Mode::Approve).await;
        let asked = house.question(&run).await;
        assert_eq!(fixtures::look(&world, remediation, &resource).await, before);
        house.decide(&asked.id, &asked.plan_hash, true).await;
        assert_eq!(house.finish(&run).await, RunState::Succeeded, "{name}");
        let mail = mail(&house, &run).await;
        assert!(mail.starts_with("[applied] "), "{mail}");
        for told in [
            "Approved by  owner@example.com\n".to_owned(),
            format!("Remediation  {remediation}\n"),
            "\nChange       ".to_owned(),
            format!("\nTo undo it: quench runs undo {run}"),
        ] {
            assert!(mail.contains(&told), "{told}: {mail}");
        }
        let output = house.output(&run, "remediate").await;
        for field in output.as_object().unwrap().keys() {
            let template = format!("{{{{ steps.remediate.{field} }}}}");
            assert_eq!(templates::faults(&template, &names()), [], "{name}");
        }
        house.undo(&run).await.unwrap();
        let undone = house.finish(&run).await;
        assert!(
            matches!(undone, RunState::Undone { .. }),
            "{name}: {undone:?}"
        );
        assert_eq!(
            fixtures::look(&world, remediation, &resource).await,
            before,
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_is_denied_is_told_and_changes_nothing() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let bucket = fixtures::bucket(&world).await;
    world.proxy.calls();
    let run = start(&house, "remediate-s3-tls-only", &bucket, Mode::Approve).await;
    let asked = house.question(&run).await;
    house.decide(&asked.id, &asked.plan_hash, false).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    let mail = mail(&house, &run).await;
    assert!(mail.starts_with("[denied] "), "{mail}");
    assert!(
        mail.contains("denied: denied by owner@example.com: not now\n"),
        "{mail}"
    );
    assert!(!mail.contains("To undo it"), "{mail}");
    assert_eq!(world.proxy.writes(), [""; 0]);
}

#[tokio::test]
async fn what_fails_is_told_and_fails_the_run() {
    let world = World::new(Peer::Emulator).await;
    let house = House::new(&world).await;
    let nowhere = "arn:aws:s3:::nowhere-to-be-found";
    let run = start(&house, "remediate-s3-tls-only", nowhere, Mode::Enforce).await;
    let state = house.finish(&run).await;
    assert!(matches!(state, RunState::Failed { .. }), "{state:?}");
    let mail = mail(&house, &run).await;
    assert!(mail.starts_with("[failed] "), "{mail}");
    assert!(mail.contains("nowhere-to-be-found"), "{mail}");
}

#[tokio::test]
async fn an_instance_is_quarantined_by_one_question() {
    let remediation = Remediation::QuarantineInstance;
    let world = World::new(fixtures::peer(remediation)).await;
    let house = House::new(&world).await;
    let instance = fixtures::make(&world, remediation).await;
    let run = start(&house, "quarantine-instance", &instance, Mode::Enforce).await;
    let asked = house.question(&run).await;
    assert_eq!(asked.path, "gate");
    house.decide(&asked.id, &asked.plan_hash, true).await;
    assert_eq!(house.finish(&run).await, RunState::Succeeded);
    let mail = mail(&house, &run).await;
    assert!(mail.starts_with("[applied] "), "{mail}");
    assert!(mail.contains("Approved by  owner@example.com\n"), "{mail}");
}
