//! `quench serve`: payloads come in over HTTP, everything runs in one process.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quench_tests::{Quench, guardduty, mail_on};
use serde_json::Value;

struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(quench: &Quench) -> Self {
        let mut child = quench
            .command(["--json", "serve", "--listen", "127.0.0.1:0"])
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

    /// One request; gives the status code and the body, or nothing if the server went away.
    fn request(&self, head: &str, body: &str) -> Option<(u16, String)> {
        self.request_with(head, "", body)
    }

    /// As [`Served::request`], with further headers, each ending with a line break.
    fn request_with(&self, head: &str, headers: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(
            stream,
            "{head} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_owned()))
    }

    fn post(&self, payload: &Value) -> Option<(u16, String)> {
        self.request("POST /events", &payload.to_string())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_rules() -> Quench {
    let quench = Quench::new();
    quench.write("rules/all.yaml", mail_on("alert", ""));
    quench.ok(["apply", "rules"]);
    quench
}

/// Waits until something holds; fails when it does not within half a minute.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_payload_posted_becomes_a_mail() {
    let quench = with_rules();
    let served = Served::start(&quench);
    let (status, body) = served.post(&guardduty(1)).unwrap();
    assert_eq!(status, 202, "{body}");
    assert!(body.contains(&format!("{:032x}", 1)), "{body}");
    eventually("a mail", || quench.mails().len() == 1);
    eventually("the run is done", || {
        quench.json(["runs", "list"])[0]["state"]["is"] == "succeeded"
    });
}

#[test]
fn what_cannot_be_decoded_is_answered_with_the_reason() {
    let quench = with_rules();
    let served = Served::start(&quench);
    let (status, body) = served.request("POST /events", "{\"a\": 1}").unwrap();
    assert_eq!(status, 422, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert!(!answer["refused"][0]["reason"].as_str().unwrap().is_empty());
    let (status, _) = served.request("POST /events", "not json").unwrap();
    assert_eq!(status, 422);
    let (status, body) = served.request("GET /events", "").unwrap();
    assert_eq!(status, 405);
    assert!(body.contains("POST"), "{body}");
    let (status, _) = served.request("GET /health", "").unwrap();
    assert_eq!(status, 200);
    assert_eq!(served.request("GET /nothing", "").unwrap().0, 404);
}

#[test]
fn pages_in_a_browser_are_turned_away() {
    let quench = with_rules();
    let served = Served::start(&quench);
    let payload = guardduty(1).to_string();
    for foreign in ["http://evil.example", "null"] {
        let headers = format!("origin: {foreign}\r\n");
        let (status, body) = served
            .request_with("POST /events", &headers, &payload)
            .unwrap();
        assert_eq!(status, 403, "{foreign}: {body}");
    }
    let own = format!("origin: http://{}\r\n", served.address);
    let (status, body) = served.request_with("POST /events", &own, &payload).unwrap();
    assert_eq!(status, 202, "{body}");
}

#[test]
fn a_rule_applied_beside_a_running_server_is_in_force_at_once() {
    let quench = Quench::new();
    let served = Served::start(&quench);
    served.post(&guardduty(1)).unwrap();
    eventually("the first is taken in", || {
        quench.json(["findings", "list"]).len() == 1
    });
    quench.write("rules/all.yaml", mail_on("alert", ""));
    quench.ok(["apply", "rules"]);
    served.post(&guardduty(2)).unwrap();
    eventually("a mail", || quench.mails().len() == 1);
    assert_eq!(quench.mails()[0].subject, "SSH brute force number 2");
}

#[test]
fn it_stops_gracefully_when_asked() {
    let quench = with_rules();
    let mut served = Served::start(&quench);
    for number in 0..20 {
        assert_eq!(served.post(&guardduty(number)).unwrap().0, 202);
    }
    let asked = Command::new("kill")
        .args(["-TERM", &served.child.id().to_string()])
        .status()
        .unwrap();
    assert!(asked.success());
    let started = Instant::now();
    let status = loop {
        if let Some(status) = served.child.try_wait().unwrap() {
            break status;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it does not stop"
        );
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(0));
    let served = Served::start(&quench);
    eventually("what was accepted is done", || quench.mails().len() == 20);
    drop(served);
}

#[test]
fn accepted_payloads_survive_kills() {
    let quench = with_rules();
    let mut next = 0;
    let mut accepted = Vec::new();
    for round in 0_u64..8 {
        let mut served = Served::start(&quench);
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(60 + 70 * round) {
            if let Some((202, _)) = served.post(&guardduty(next)) {
                accepted.push(next);
            }
            next += 1;
        }
        served.child.kill().unwrap();
        served.child.wait().unwrap();
    }
    assert!(!accepted.is_empty());
    let served = Served::start(&quench);
    eventually("every accepted payload has its mail", || {
        let subjects: Vec<String> = quench
            .mails()
            .into_iter()
            .map(|mail| mail.subject)
            .collect();
        accepted
            .iter()
            .all(|number| subjects.contains(&format!("SSH brute force number {number}")))
    });
    drop(served);
    let runs = quench.json(["runs", "list", "--limit", "10000"]);
    let mut ids: Vec<String> = runs
        .iter()
        .map(|run| run["finding"]["id"].to_string())
        .collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "one run for each finding");
}

#[test]
fn it_refuses_to_listen_beyond_this_machine() {
    let quench = Quench::new();
    let output = quench.output(["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"));
}
