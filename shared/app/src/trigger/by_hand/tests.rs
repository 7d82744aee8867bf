use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::queue::Queue;
use crate::specimen::{moment, record};
use quench_findings::Source;
use std::sync::Arc;
use tempfile::TempDir;

const ACCOUNT: &str = "111122223333";
const GROUP: &str = "arn:aws:ec2:eu-central-1:111122223333:security-group/sg-1";

async fn open(variables: &[(&str, &str)]) -> (TempDir, App) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(moment(1));
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name)?;
        Some(found.1.to_owned())
    };
    let app = App::open_from(Config::local(folder.path()), clock, lookup)
        .await
        .unwrap();
    (folder, app)
}

/// One that knows its region; whoever asks who it is finds nobody.
async fn app() -> (TempDir, App) {
    open(&[
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ])
    .await
}

fn remedy<'a>(name: &str, with: &'a Parameters) -> Remedy<'a> {
    Remedy {
        remediation: name.parse().unwrap(),
        finding: None,
        resource: None,
        account: None,
        region: None,
        with,
        mode: Mode::Observe,
        approvers: &[],
        by: "anna",
    }
}

async fn refused(app: &App, asked: Remedy<'_>) -> TriggerError {
    let refused = remediate(app, asked).await.unwrap_err();
    assert_eq!(
        app.store
            .runs(&Default::default(), Default::default())
            .await
            .unwrap(),
        []
    );
    refused
}

/// The step of a run that was made.
async fn step(app: &App, run: &Run) -> RemediateStep {
    let version = &run.versions[&run.playbook];
    let playbook = app.store.playbook_version(&run.playbook, version).await;
    let playbook = playbook.unwrap().unwrap();
    let [
        Step {
            kind: StepKind::Remediate(step),
            id,
            ..
        },
    ] = playbook.steps.as_slice()
    else {
        panic!("{playbook:?}");
    };
    assert_eq!(id, STEP);
    step.clone()
}

async fn keep(app: &App, id: &str, resources: &[&str]) {
    let mut record = record(id, moment(1));
    let finding = Arc::make_mut(&mut record.finding);
    finding.finding_type = Some("UnauthorizedAccess:EC2/SSHBruteForce".to_owned());
    finding.account = Some(ACCOUNT.to_owned());
    finding.region = Some("eu-central-1".to_owned());
    finding.resources = resources
        .iter()
        .map(|id| Resource {
            id: (*id).to_owned(),
            ..Resource::default()
        })
        .collect();
    assert!(app.store.put_finding(&record).await.unwrap());
}

#[tokio::test]
async fn a_resource_named_by_hand_makes_a_queued_run_and_nothing_in_force() {
    let (_folder, app) = app().await;
    let with = json!({"ports": [22]}).as_object().unwrap().clone();
    let asked = Remedy {
        resource: Some(GROUP),
        mode: Mode::Enforce,
        ..remedy("revoke-open-ingress", &with)
    };
    let made = remediate(&app, asked).await.unwrap();
    let run = &made.run;
    assert_eq!(run.mode, Some(Mode::Enforce));
    assert_eq!(run.playbook, "by-hand:revoke-open-ingress");
    assert_eq!(run.finding.source, Source::Quench);
    assert_eq!(run.finding.account.as_deref(), Some(ACCOUNT));
    // The name says another region than ours.
    assert_eq!(run.finding.region.as_deref(), Some("eu-central-1"));
    assert_eq!(made.automations, []);
    let step = step(&app, run).await;
    assert_eq!(step.resource.as_deref(), Some(GROUP));
    assert_eq!(step.with, with);
    assert_eq!(step.approval, None);
    assert_eq!(app.store.run(&run.id).await.unwrap().as_ref(), Some(run));
    let depth = app.queues.depth(Queue::Runs, app.clock.now()).await;
    assert_eq!(depth.unwrap().ready, 1);
    assert_eq!(app.store.playbooks().await.unwrap(), []);
    assert_eq!(app.store.finding(&run.finding.id).await.unwrap(), None);
    let again = remediate(&app, asked).await.unwrap();
    assert_ne!(again.run.id, run.id);
}

#[tokio::test]
async fn what_the_finding_says_is_taken_and_what_is_said_by_hand_comes_first() {
    let (_folder, app) = app().await;
    keep(&app, "f-1", &["i-1", "sg-1"]).await;
    let with = Parameters::new();
    let of_finding = Remedy {
        finding: Some("f-1"),
        ..remedy("revoke-open-ingress", &with)
    };
    let made = remediate(&app, of_finding).await.unwrap();
    assert_eq!(made.run.finding.id, "f-1");
    assert_eq!(step(&app, &made.run).await.resource.as_deref(), Some(GROUP));
    // The same resource named twice is one.
    keep(&app, "f-2", &["sg-1", GROUP]).await;
    let twice = Remedy {
        finding: Some("f-2"),
        ..of_finding
    };
    remediate(&app, twice).await.unwrap();
    // Nothing else can be meant.
    let setting = Remedy {
        finding: Some("f-2"),
        ..remedy("ebs-encryption-by-default", &with)
    };
    let made = remediate(&app, setting).await.unwrap();
    let account = step(&app, &made.run).await.account;
    assert_eq!(account.as_deref(), Some(ACCOUNT));
    let elsewhere = Remedy {
        resource: Some("sg-2"),
        region: Some("us-east-1"),
        ..of_finding
    };
    let made = remediate(&app, elsewhere).await.unwrap();
    assert_eq!(
        step(&app, &made.run).await.resource.as_deref(),
        Some("arn:aws:ec2:us-east-1:111122223333:security-group/sg-2")
    );
}

#[tokio::test]
async fn a_setting_of_an_account_needs_no_more_than_the_account() {
    let (_folder, app) = app().await;
    let with = Parameters::new();
    let asked = Remedy {
        account: Some(ACCOUNT),
        ..remedy("ebs-encryption-by-default", &with)
    };
    let made = remediate(&app, asked).await.unwrap();
    let step = step(&app, &made.run).await;
    assert_eq!(step.account.as_deref(), Some(ACCOUNT));
    assert_eq!(step.region.as_deref(), Some("eu-west-1"));
}

#[tokio::test]
async fn who_is_asked_is_a_parameter_of_the_run() {
    let (_folder, app) = app().await;
    let with = Parameters::new();
    let asked = Remedy {
        resource: Some(GROUP),
        mode: Mode::Approve,
        ..remedy("revoke-open-ingress", &with)
    };
    let wrong = ["{{ finding.title }}@example.com".to_owned()];
    let told = refused(
        &app,
        Remedy {
            approvers: &wrong,
            ..asked
        },
    )
    .await;
    assert_eq!(told.name(), "InvalidParameters", "{told}");
    let right = ["anna@example.com".to_owned(), "bert@example.com".to_owned()];
    let made = remediate(
        &app,
        Remedy {
            approvers: &right,
            ..asked
        },
    )
    .await
    .unwrap();
    assert_eq!(made.run.with["approvers"], json!(right));
    let approval = step(&app, &made.run).await.approval.unwrap();
    assert_eq!(approval.to, Some(json!("{{ params.approvers }}")));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_made() {
    let (_folder, app) = app().await;
    keep(&app, "f-1", &["sg-1", "sg-2", "i-1"]).await;
    let none = Parameters::new();
    let wrong = json!({"port": 22, "ports": "x"})
        .as_object()
        .unwrap()
        .clone();
    let revoke = remedy("revoke-open-ingress", &none);
    for (asked, name, words) in [
        (revoke, "UnfitResource", "name a finding or a resource"),
        (
            Remedy {
                resource: Some(GROUP),
                with: &wrong,
                ..revoke
            },
            "InvalidParameters",
            "did you mean `ports`?",
        ),
        (
            Remedy {
                finding: Some("f-1"),
                ..revoke
            },
            "UnfitResource",
            "several resources that `revoke-open-ingress` can be applied to: `sg-1`, `sg-2`; name one of them",
        ),
        (
            Remedy {
                finding: Some("f-1"),
                ..remedy("rds-not-public", &none)
            },
            "UnfitResource",
            "is about nothing that `rds-not-public` can be applied to (database instance); name the resource, or take what is made for it: `revoke-open-ingress`",
        ),
        (
            Remedy {
                finding: Some("f-9"),
                ..revoke
            },
            "UnknownFinding",
            "there is no finding `f-9`",
        ),
        (
            Remedy {
                resource: Some("i-1"),
                ..revoke
            },
            "UnfitResource",
            "`i-1` is none of these: security group; name it by its ARN",
        ),
        (
            Remedy {
                resource: Some(GROUP),
                account: Some("444455556666"),
                ..revoke
            },
            "UnfitResource",
            "is not in account 444455556666",
        ),
        (
            Remedy {
                resource: Some(GROUP),
                region: Some("us-east-1"),
                ..revoke
            },
            "UnfitResource",
            "is in region `eu-central-1`, not in `us-east-1`",
        ),
        (
            Remedy {
                resource: Some("arn:aws:s3:::logs"),
                ..remedy("s3-tls-only", &none)
            },
            "UnknownAccount",
            "or name the account",
        ),
    ] {
        let told = refused(&app, asked).await;
        assert_eq!(told.name(), name, "{told}");
        assert!(told.to_string().contains(words), "{told}");
    }
}

#[tokio::test]
async fn without_a_region_it_is_asked_for() {
    let (_folder, app) = open(&[]).await;
    let none = Parameters::new();
    let asked = Remedy {
        resource: Some("sg-1"),
        account: Some(ACCOUNT),
        ..remedy("revoke-open-ingress", &none)
    };
    let told = refused(&app, asked).await.to_string();
    assert!(told.contains("set `AWS_REGION`"), "{told}");
    // An ARN says it all.
    let asked = Remedy {
        resource: Some(GROUP),
        ..asked
    };
    remediate(&app, asked).await.unwrap();
}
