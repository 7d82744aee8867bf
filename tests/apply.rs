//! Wrong files are refused whole, each fault with its place and what to write instead.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it saw"
)]

use quench_tests::{Quench, mail_on, objects};

struct Wrong {
    name: &'static str,
    text: String,
    line: u64,
    /// Words that the message or its help must hold.
    says: &'static [&'static str],
}

fn wrong_files() -> Vec<Wrong> {
    let good = mail_on("alert", "");
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "`{from}` is not in the good file");
        good.replace(from, to)
    };
    vec![
        Wrong {
            name: "unknown-key",
            text: with("trigger: alert", "trigger: alert\nfilter: []"),
            line: 13,
            says: &["filter"],
        },
        Wrong {
            name: "typo",
            text: with("trigger: alert", "triger: alert"),
            line: 12,
            says: &["triger", "trigger"],
        },
        Wrong {
            name: "wrong-type",
            text: with("run:\n  - playbook: mail", "run: 7"),
            line: 14,
            says: &["run", "list"],
        },
        Wrong {
            name: "duplicate-key",
            text: with("trigger: alert", "trigger: alert\ntrigger: alert"),
            line: 13,
            says: &["trigger", "twice"],
        },
        Wrong {
            name: "tab",
            text: with("  - id: mail", "\t- id: mail"),
            line: 5,
            says: &["tab", "spaces"],
        },
        Wrong {
            name: "missing-playbook",
            text: with("- playbook: mail", "- playbook: mial"),
            line: 15,
            says: &["mial", "mail"],
        },
        Wrong {
            name: "unfit-trigger",
            text: with(
                "triggers: [alert, recommendation, compliance]",
                "triggers: [compliance]",
            ),
            line: 15,
            says: &["alert", "compliance"],
        },
        Wrong {
            name: "undefined-variable",
            text: with("{{ finding.title }}", "{{ finding.titel }}"),
            line: 8,
            says: &["titel", "title"],
        },
        Wrong {
            name: "unknown-severity",
            text: with(
                "trigger: alert",
                "trigger: alert\nwhen:\n  - severity: { at_least: hgih }",
            ),
            line: 14,
            says: &["hgih", "high"],
        },
        Wrong {
            name: "empty",
            text: String::new(),
            line: 1,
            says: &["empty"],
        },
    ]
}

#[test]
fn each_wrong_file_is_refused_with_line_column_and_suggestion() {
    for wrong in wrong_files() {
        let quench = Quench::new();
        let path = quench.write(&format!("{}.yaml", wrong.name), &wrong.text);
        let output = quench.output(["--json".as_ref(), "apply".as_ref(), path.as_os_str()]);
        assert_eq!(output.status.code(), Some(1), "{}", wrong.name);
        let faults = objects(&String::from_utf8(output.stdout).unwrap());
        let found = faults.iter().any(|fault| {
            let words = format!("{} {}", fault["message"], fault["help"]).to_lowercase();
            fault["line"] == wrong.line
                && fault["column"].as_u64().is_some_and(|column| column >= 1)
                && fault["help"].as_str().is_some_and(|help| !help.is_empty())
                && wrong.says.iter().all(|word| words.contains(word))
        });
        assert!(found, "{}: {faults:#?}", wrong.name);
        let text = quench.output(["apply".as_ref(), path.as_os_str()]);
        let shown = String::from_utf8_lossy(&text.stderr).into_owned();
        assert!(
            shown.contains(&format!("{}.yaml:{}:", wrong.name, wrong.line)) && shown.contains('^'),
            "{}: {shown}",
            wrong.name
        );
        assert!(quench.json(["automations", "list"]).is_empty());
        assert!(quench.json(["playbooks", "list"]).is_empty());
    }
}

#[test]
fn one_wrong_file_keeps_its_good_neighbours_out() {
    let quench = Quench::new();
    quench.write("rules/good.yaml", mail_on("alert", ""));
    quench.write(
        "rules/wrong.yaml",
        "automation: x\ntrigger: alert\nrun: [{playbook: mail}]\nwhenn: []\n",
    );
    let output = quench.output(["apply", "rules"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(quench.json(["playbooks", "list"]).is_empty());
}

#[test]
fn applying_again_changes_nothing() {
    let quench = Quench::new();
    quench.write("rules/good.yaml", mail_on("alert", ""));
    quench.ok(["apply", "rules"]);
    let again = quench.json(["apply", "rules"]);
    assert!(
        again.iter().all(|change| change["change"] == "unchanged"),
        "{again:?}"
    );
}

#[test]
fn a_check_stores_nothing_and_makes_no_store() {
    let quench = Quench::new();
    quench.write("rules/good.yaml", mail_on("alert", ""));
    let printed = quench.ok(["apply", "--check", "rules"]);
    assert!(printed.contains("2 definitions are sound"), "{printed}");
    assert!(!quench.data().exists());
}
