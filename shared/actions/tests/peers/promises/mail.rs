//! What every way for mail to leave promises. How each goes beyond, its own tests tell.

mod peer;

use crate::setting::context;
use mailparse::{MailHeaderMap, ParsedMail};
use peer::{Arrived, Doubt, Repetition, Setting, Trouble, Way};
use quench_actions::{Action, ActionError, Attempt, Performed, perform, prepare};
use quench_automations::{EmailStep, OnUnknown, StepKind};
use serde_json::{Value, json};
use std::time::Duration;

const SENDER: &str = "Quench <quench@example.com>";
const RUN: &str = "0f3c9a7be1d24c55";
const HTML: &str = "<h1>Größe</h1>\n.\n<p>It is <b>wide</b> &amp; open: a = b</p>";

macro_rules! promises {
    ($($way:ident $module:ident)*: $promises:tt) => {
        $(mod $module { promises! { @ $way $promises } })*
    };
    (@ $way:ident { $($promise:ident)* }) => {$(
        #[tokio::test]
        async fn $promise() {
            super::$promise(&super::Setting::open(super::Way::$way).await).await;
        }
    )*};
}

promises! {
    Outbox outbox
    Smtp smtp
    Ses ses: {
        the_whole_mail_arrives
        a_mail_of_text_alone_has_no_other_part
        the_sender_is_the_configured_one
        every_recipient_is_named_and_gets_it
        no_subject_breaks_the_header_or_loses_text
        a_repeated_attempt_is_told_by_its_key
        who_the_finding_names_gets_nothing_unasked
        many_at_once_all_arrive
        trouble_is_transient_and_nothing_is_lost
        a_mail_that_may_have_left_is_in_doubt
        what_opens_a_peer_is_not_shown
    }
}

struct Draft<'a> {
    to: Value,
    cc: Value,
    subject: &'a str,
    text: &'a str,
    html: Option<&'a str>,
}

const fn draft<'a>() -> Draft<'a> {
    Draft {
        to: Value::Null,
        cc: Value::Null,
        subject: "An open port",
        text: "It is open",
        html: Some(HTML),
    }
}

impl Draft<'_> {
    fn action(self) -> Action {
        let to = match self.to {
            Value::Null => json!("a@example.com"),
            to => to,
        };
        let step = StepKind::Email(EmailStep {
            to,
            cc: Some(self.cc).filter(|cc| !cc.is_null()),
            subject: "{{ params.subject }}".to_owned(),
            template: None,
            text: Some("{{ params.text }}".to_owned()),
            html: self.html.map(str::to_owned),
        });
        let context = context(json!({ "subject": self.subject, "text": self.text }));
        prepare(&step, &context).unwrap().unwrap()
    }
}

fn attempt(key: &str, number: u32) -> Attempt {
    Attempt {
        key: key.to_owned(),
        round: 0,
        mark: None,
        number,
        timeout: Duration::from_secs(60),
    }
}

async fn send(setting: &Setting, action: &Action, key: &str) -> Result<Performed, ActionError> {
    perform(action, &setting.outside, &attempt(key, 1)).await
}

async fn sent(setting: &Setting, draft: Draft<'_>) -> Arrived {
    let before = setting.arrived().len();
    let key = format!("run/{before:02}");
    send(setting, &draft.action(), &key).await.unwrap();
    let mut arrived = setting.arrived();
    assert_eq!(arrived.len(), before + 1);
    arrived.remove(before)
}

/// The one value of a header.
fn header(mail: &ParsedMail<'_>, name: &str) -> String {
    let mut all = mail.headers.get_all_values(name);
    assert_eq!(all.len(), 1, "{name}: {all:?}");
    all.remove(0)
}

/// A part as it reads, whichever way its lines end, and however many empty ones the way adds.
fn body(part: &ParsedMail<'_>) -> String {
    let body = part.get_body().unwrap().replace("\r\n", "\n");
    body.trim_end_matches('\n').to_owned()
}

async fn the_whole_mail_arrives(setting: &Setting) {
    let long = "wide open ".repeat(300);
    let text = format!(
        "Grüße, 日本語 🦀\n.\n.a dot\n..two\nFrom here\n=3D = \n--part\n\n{long}|\nthe end"
    );
    let arrived = sent(
        setting,
        Draft {
            text: &text,
            ..draft()
        },
    )
    .await;
    let mail = arrived.mail();
    assert_eq!(header(&mail, "Subject"), "An open port");
    assert_eq!(mail.ctype.mimetype, "multipart/alternative");
    let parts: Vec<_> = mail.subparts.iter().map(body).collect();
    assert_eq!(parts, [text.as_str(), HTML]);
    let kinds = mail.subparts.iter().map(|part| {
        assert_eq!(part.ctype.charset, "utf-8");
        part.ctype.mimetype.as_str()
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["text/plain", "text/html"]);
    assert_eq!(header(&mail, "X-Quench-Run"), RUN);
    assert_eq!(header(&mail, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(&mail, "MIME-Version"), "1.0");
    assert!(mailparse::dateparse(&header(&mail, "Date")).unwrap() > 1_700_000_000);
    for name in ["Message-ID", "References"] {
        let id = header(&mail, name);
        assert!(
            id.starts_with('<') && id.ends_with("@example.com>"),
            "{name}: {id}"
        );
    }
}

async fn a_mail_of_text_alone_has_no_other_part(setting: &Setting) {
    let arrived = sent(
        setting,
        Draft {
            html: None,
            ..draft()
        },
    )
    .await;
    let mail = arrived.mail();
    assert_eq!(mail.ctype.mimetype, "text/plain");
    assert_eq!(mail.subparts.len(), 0);
    assert_eq!(body(&mail), "It is open");
}

async fn the_sender_is_the_configured_one(setting: &Setting) {
    let arrived = sent(setting, draft()).await;
    assert_eq!(header(&arrived.mail(), "From"), SENDER);
    match setting.way {
        // A folder is handed mail without an envelope.
        Way::Outbox => assert!(arrived.envelope.is_none()),
        Way::Smtp | Way::Ses => {
            assert_eq!(arrived.envelope.unwrap().from, "quench@example.com");
        }
    }
}

async fn every_recipient_is_named_and_gets_it(setting: &Setting) {
    let to = ["a@example.com", "b@example.com", "d.e+f@mail.example.com"];
    let cc = ["c@example.com", "g@example.com"];
    let draft = Draft {
        to: json!(to),
        cc: json!(cc),
        ..draft()
    };
    let performed = send(setting, &draft.action(), "run/mail").await.unwrap();
    assert_eq!(performed.output["to"], json!(to));
    assert_eq!(performed.output["cc"], json!(cc));
    assert_eq!(performed.output["refused"], json!([]));
    assert!(performed.summary.contains(&to.join(", ")));
    let arrived = setting.arrived().remove(0);
    let mail = arrived.mail();
    assert_eq!(header(&mail, "To"), to.join(", "));
    assert_eq!(header(&mail, "Cc"), cc.join(", "));
    match setting.way {
        // Whoever empties the folder goes by the headers.
        Way::Outbox => assert!(arrived.envelope.is_none()),
        Way::Smtp | Way::Ses => {
            let all: Vec<_> = to.into_iter().chain(cc).collect();
            assert_eq!(arrived.envelope.unwrap().to, all);
        }
    }
}

async fn no_subject_breaks_the_header_or_loses_text(setting: &Setting) {
    let plain = sent(setting, draft()).await;
    let plain = plain.mail();
    let long = "ü".repeat(200);
    let words = ["word"; 40].join(" ");
    for (subject, told) in [
        ("x\r\nBcc: evil@example.com", "x Bcc: evil@example.com"),
        ("x\nTo: evil@example.com", "x To: evil@example.com"),
        ("x\rX-Quench-Run: y", "x X-Quench-Run: y"),
        ("x\r\n\r\n<b>body</b>", "x <b>body</b>"),
        ("x\u{2028}Bcc: y\u{85}z", "x Bcc: y z"),
        ("Größe – 日本語 🦀", "Größe – 日本語 🦀"),
        ("ä\r\n b", "ä b"),
        (&long, &long),
        (&words, &words),
    ] {
        let arrived = sent(setting, Draft { subject, ..draft() }).await;
        let mail = arrived.mail();
        assert_eq!(header(&mail, "Subject"), told);
        let names = |mail: &ParsedMail<'_>| {
            let names = mail.headers.iter().map(mailparse::MailHeader::get_key);
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&mail), names(&plain), "{subject:?}");
        for name in ["From", "To", "X-Quench-Run"] {
            assert_eq!(header(&mail, name), header(&plain, name), "{subject:?}");
        }
        assert!(arrived.bytes.is_ascii(), "{subject:?}");
        let bodies = |mail: &ParsedMail<'_>| mail.subparts.iter().map(body).collect::<Vec<_>>();
        assert_eq!(bodies(&mail), bodies(&plain), "{subject:?}");
        if let Some(envelope) = &arrived.envelope {
            assert_eq!(envelope.to, ["a@example.com"], "{subject:?}");
        }
    }
}

async fn a_repeated_attempt_is_told_by_its_key(setting: &Setting) {
    let action = draft().action();
    let mut told = Vec::new();
    for (key, number) in [("run/mail", 1), ("run/mail", 2), ("run/other", 1)] {
        let performed = perform(&action, &setting.outside, &attempt(key, number)).await;
        told.push(performed.unwrap().output["message_id"].clone());
    }
    let arrived = setting.arrived();
    let ids: Vec<_> = arrived
        .iter()
        .map(|arrived| header(&arrived.mail(), "Message-ID"))
        .collect();
    let idempotent = action.is_idempotent(&setting.outside);
    match setting.way.repetition() {
        Repetition::LeavesTheFirst => {
            assert!(idempotent);
            assert_eq!(ids.len(), 2, "{ids:?}");
            assert_ne!(ids[0], ids[1]);
            assert_eq!(told[0], told[1]);
            assert!(told.iter().all(|told| ids.iter().any(|id| told == id)));
        }
        Repetition::HasTheSameId => {
            assert!(!idempotent);
            assert_eq!(ids.len(), 3, "{ids:?}");
            assert_eq!(ids[0], ids[1]);
            assert_ne!(ids[0], ids[2]);
            assert_eq!(told, ids);
        }
        Repetition::HasAnotherId => {
            assert!(!idempotent);
            assert_eq!(ids.len(), 3, "{ids:?}");
            assert_eq!(ids[0], ids[1]);
            assert_ne!(ids[0], ids[2]);
            // What was composed is the same mail, but recipients see the ids that are told.
            assert_ne!(told[0], told[1]);
            assert!(told.iter().all(|told| ids.iter().all(|id| told != id)));
        }
    }
    assert_eq!(action.default_on_unknown(), OnUnknown::Repeat);
}

async fn who_the_finding_names_gets_nothing_unasked(setting: &Setting) {
    for to in [
        json!("{{ finding.resource.tags.owner }}"),
        json!(["a@example.com", "{{ finding.resource.tags.owner }}"]),
    ] {
        let action = Draft { to, ..draft() }.action();
        let error = send(setting, &action, "run/mail").await.unwrap_err();
        assert!(matches!(error, ActionError::Permanent { .. }), "{error:?}");
        assert!(
            error.to_string().contains("comes from the finding"),
            "{error}"
        );
    }
    assert!(setting.arrived().is_empty());
}

async fn many_at_once_all_arrive(setting: &Setting) {
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let outside = setting.outside.clone();
            let subject = format!("Number {number:02}");
            tokio::spawn(async move {
                let action = Draft {
                    subject: &subject,
                    ..draft()
                }
                .action();
                let attempt = attempt(&format!("run/{number}"), 1);
                perform(&action, &outside, &attempt).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut subjects: Vec<_> = setting
        .arrived()
        .iter()
        .map(|arrived| header(&arrived.mail(), "Subject"))
        .collect();
    subjects.sort();
    let expected: Vec<_> = (0..12)
        .map(|number| format!("Number {number:02}"))
        .collect();
    assert_eq!(subjects, expected);
}

async fn trouble_is_transient_and_nothing_is_lost(setting: &Setting) {
    for (round, trouble) in [Trouble::Throttled, Trouble::Away].into_iter().enumerate() {
        let action = draft().action();
        let key = format!("run/{round}");
        let troubled = setting.troubled(trouble);
        for number in 1..4 {
            let result = perform(&action, &troubled, &attempt(&key, number)).await;
            assert!(
                matches!(result, Err(ActionError::Transient { .. })),
                "{trouble:?}: {result:?}"
            );
            assert_eq!(setting.arrived().len(), round, "{trouble:?}");
        }
        setting.relieve();
        let performed = perform(&action, &setting.outside, &attempt(&key, 4)).await;
        assert_eq!(performed.unwrap().output["refused"], json!([]));
        let arrived = setting.arrived();
        assert_eq!(arrived.len(), round + 1, "{trouble:?}");
        let mail = arrived[round].mail();
        assert_eq!(header(&mail, "Subject"), "An open port");
        let parts: Vec<_> = mail.subparts.iter().map(body).collect();
        assert_eq!(parts, ["It is open", HTML]);
    }
}

async fn a_mail_that_may_have_left_is_in_doubt(setting: &Setting) {
    match setting.way.doubt() {
        // It is over before anybody could be cut off; that a repetition changes nothing is promised elsewhere.
        Doubt::Never => {}
        Doubt::WithoutAnswer => {
            let action = draft().action();
            let troubled = setting.troubled(Trouble::Mute);
            let result = perform(&action, &troubled, &attempt("run/mail", 1)).await;
            assert!(
                matches!(result, Err(ActionError::Unknown { .. })),
                "{result:?}"
            );
            // Once, although nobody said so: what is in doubt is repeated by the step's rule alone.
            assert_eq!(setting.arrived().len(), 1);
            setting.relieve();
            perform(&action, &setting.outside, &attempt("run/mail", 2))
                .await
                .unwrap();
            let arrived = setting.arrived();
            let ids: Vec<_> = arrived
                .iter()
                .map(|arrived| header(&arrived.mail(), "Message-ID"))
                .collect();
            assert_eq!(ids.len(), 2);
            assert_eq!(ids[0], ids[1]);
        }
    }
}

async fn what_opens_a_peer_is_not_shown(setting: &Setting) {
    let action = draft().action();
    let performed = send(setting, &action, "run/mail").await.unwrap();
    let mut told = vec![
        format!("{:?}", setting.outside.mailer),
        format!("{:?}", setting.outside),
        format!("{action:?}"),
        format!("{performed:?}"),
        String::from_utf8(setting.arrived().remove(0).bytes).unwrap(),
    ];
    for trouble in [Trouble::Throttled, Trouble::Away] {
        let troubled = setting.troubled(trouble);
        let error = perform(&action, &troubled, &attempt("run/other", 1)).await;
        told.push(format!("{:?}", error.unwrap_err()));
        setting.relieve();
    }
    // The mark of every password and key in the settings of tests.
    for told in told {
        assert!(!told.contains("never-to-be-shown"), "{told}");
    }
    assert_eq!(
        setting.way.wants_credentials(),
        setting.was_shown_credentials()
    );
}
