use super::*;
use crate::sample;

fn step(text: Option<&str>) -> TeamsStep {
    TeamsStep {
        connection: "chat".to_owned(),
        title: None,
        text: text.map(str::to_owned),
    }
}

#[test]
fn the_layout_of_a_finding_is_a_card() {
    let teams = prepare(&step(None), &sample::names(json!({}))).unwrap();
    insta::assert_json_snapshot!(teams);
}

#[test]
fn values_in_own_text_are_no_markdown() {
    let context = sample::names(json!({ "who": "[a](https://b) **c**" }));
    let teams = prepare(
        &step(Some("**{{ finding.severity }}** {{ params.who }}")),
        &context,
    )
    .unwrap();
    assert_eq!(
        teams.card["body"][1]["text"],
        json!(r"**high** \[a\](https://b) \*\*c\*\*")
    );
}

#[test]
fn a_card_stays_below_the_limit_of_teams() {
    let mut finding = sample::finding();
    finding.title = "T".repeat(90_000);
    finding.description = Some("ä".repeat(90_000));
    finding.remediation.as_mut().unwrap().text = Some("\"".repeat(90_000));
    let context = sample::names_of(&finding, json!({}));
    let long = "{{ finding.description }}";
    for text in [None, Some(long)] {
        let teams = prepare(&step(text), &context).unwrap();
        assert!(teams.card.to_string().len() < 27 * 1024);
    }
}
