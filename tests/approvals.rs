//! What people are asked: by command and by link, on one machine.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use quench_tests::{Quench, guardduty, objects};
use serde_json::Value;

const PLAYBOOK: &str = "\
playbook: ask-first
triggers: [alert]
steps:
  - id: ask
    approve: { to: [anna@example.com, carl@example.com], message: \"About {{ finding.title }}.\", expires: 24h }
  - id: mail
    email: { to: team@example.com, subject: \"It may be done\", template: finding }
";

/// A store with a playbook that asks, and a run of it that bert started and that waits.
fn asked() -> (Quench, String) {
    let quench = Quench::new();
    quench.write("rules/ask.yaml", PLAYBOOK);
    quench.ok(["apply", "rules"]);
    let payload = quench.write("finding.json", guardduty(1).to_string());
    quench.ok(["ingest", payload.to_str().unwrap()]);
    let finding = quench.json(["findings", "list"]);
    let finding = finding[0]["id"].as_str().unwrap();
    let printed = as_user(
        &quench,
        "bert",
        &["trigger", "ask-first", "--finding", finding, "--wait", "0"],
    );
    let printed = objects(&String::from_utf8(printed.stdout).unwrap());
    let run = printed
        .iter()
        .find(|object| object["event"] == "triggered")
        .unwrap_or_else(|| panic!("{printed:?}"));
    let run = run["run"].as_str().unwrap().to_owned();
    (quench, run)
}

/// Does what a command says for somebody, with an address at which links work.
fn as_user(quench: &Quench, user: &str, arguments: &[&str]) -> Output {
    let mut all = vec!["--json"];
    all.extend(arguments);
    quench
        .command(all)
        .env("USER", user)
        .env("QUENCH_URL", "https://quench.example.com")
        .output()
        .unwrap()
}

/// What somebody is told who is refused.
fn refusal(quench: &Quench, user: &str, arguments: &[&str]) -> String {
    let output = as_user(quench, user, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn pending(quench: &Quench) -> Vec<Value> {
    quench.json(["approvals", "list"])
}

fn state(quench: &Quench, run: &str) -> Value {
    let shown = quench.json(["runs", "show", run]);
    shown[0]["state"].clone()
}

#[test]
fn somebody_else_than_who_asked_approves_and_the_run_goes_on() {
    let (quench, run) = asked();
    assert_eq!(state(&quench, &run)["is"], "waiting");
    let waiting = pending(&quench);
    assert_eq!(waiting.len(), 1);
    let question = &waiting[0];
    assert_eq!(
        (&question["run"], &question["requester"]),
        (&run.clone().into(), &"bert".into())
    );
    assert_eq!(question["message"], "About SSH brute force number 1.");
    assert_eq!(question["asked"][0]["to"], "anna@example.com");
    assert!(question["asked"][0].get("tokens").is_none(), "{question}");
    assert!(
        !quench
            .mails()
            .iter()
            .any(|mail| mail.subject == "It may be done")
    );

    let id = question["id"].as_str().unwrap();
    let told = quench.ok(["approvals", "show", &id[..12]]);
    for part in [
        "waits for a decision",
        "About SSH brute force",
        "anna@example.com (told ",
        &run,
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = refusal(&quench, "bert", &["approvals", "approve", id]);
    assert!(told.contains("somebody else has to decide"), "{told}");
    assert_eq!(state(&quench, &run)["is"], "waiting");

    let reason = ["approvals", "approve", &id[..12], "--reason", "looks right"];
    let approved = as_user(&quench, "anna", &reason);
    assert!(approved.status.success(), "{approved:?}");
    assert_eq!(state(&quench, &run)["is"], "succeeded");
    assert!(
        quench
            .mails()
            .iter()
            .any(|mail| mail.subject == "It may be done")
    );
    assert!(pending(&quench).is_empty());
    let all = quench.json(["approvals", "list", "--state", "approved"]);
    assert_eq!(
        (&all[0]["state"]["by"], &all[0]["state"]["reason"]),
        (&"anna".into(), &"looks right".into())
    );
    let told = refusal(&quench, "carl", &["approvals", "deny", id]);
    assert!(told.contains("approved already, by anna at "), "{told}");
    let told = refusal(&quench, "carl", &["approvals", "show", "ffff"]);
    assert!(told.contains("no approval has the id `ffff`"), "{told}");
}

#[test]
fn what_is_denied_ends_the_run_with_the_reason() {
    let (quench, run) = asked();
    let waiting = pending(&quench);
    let id = waiting[0]["id"].as_str().unwrap();
    as_user(
        &quench,
        "anna",
        &["approvals", "deny", id, "--reason", "not today"],
    );
    let state = state(&quench, &run);
    assert_eq!(state["is"], "stopped", "{state}");
    assert_eq!(state["reason"], "step `ask`: denied by anna: not today");
    assert!(
        !quench
            .mails()
            .iter()
            .any(|mail| mail.subject == "It may be done")
    );
}

struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(quench: &Quench) -> Self {
        let mut child = quench
            .command(["--json", "serve", "--listen", "127.0.0.1:0"])
            .env("QUENCH_URL", "https://quench.example.com")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value = serde_json::from_str(&line).expect("the first line says the address");
        let address = said["address"].as_str().unwrap().parse().unwrap();
        Self { child, address }
    }

    /// Status code and body of the answer.
    fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "{head} HTTP/1.1\r\nhost: quench.example.com\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, body.to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_link_shows_as_often_as_one_likes_and_decides_once() {
    let (quench, run) = asked();
    let served = Served::start(&quench);
    let mails = quench.mails();
    let mail = mails.iter().find(|mail| mail.to.contains("carl@")).unwrap();
    let (_, link) = mail
        .text
        .split_once("https://quench.example.com/approvals/")
        .unwrap();
    let token: String = link.chars().take(43).collect();
    assert!(mail.html.contains(&token));
    let path = format!("/approvals/{token}");
    let (status, page) = served.ask(&format!("GET {path}"), "");
    assert_eq!(status, 200, "{page}");
    for _ in 0..20 {
        assert_eq!(served.ask(&format!("GET {path}"), ""), (200, page.clone()));
    }
    assert_eq!(pending(&quench).len(), 1);
    let (_, hash) = page.split_once("name=\"plan_hash\" value=\"").unwrap();
    let hash: String = hash.chars().take_while(|letter| *letter != '"').collect();

    let form = format!("plan_hash={hash}&reason=&decision=approve");
    let (status, told) = served.ask(&format!("POST {path}"), &form);
    assert_eq!(status, 200, "{told}");
    let (status, told) = served.ask(&format!("POST {path}"), &form);
    assert_eq!(status, 409, "{told}");
    assert!(
        told.contains("approved already, by carl@example.com"),
        "{told}"
    );
    let started = Instant::now();
    while state(&quench, &run)["is"] != "succeeded" {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "it never goes on"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(served);

    // The token is in the mail, and nowhere else.
    let mut looked = 0;
    for file in std::fs::read_dir(quench.data()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            looked += 1;
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(token.len())
                .any(|part| part == token.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
    assert!(looked > 0);
    for shown in [
        quench.ok(["--json", "runs", "show", &run]),
        quench.ok(["--json", "approvals", "list", "--all"]),
    ] {
        assert!(!shown.contains(&token), "{shown}");
    }
}
