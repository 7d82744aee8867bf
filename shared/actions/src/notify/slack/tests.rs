use super::*;
use crate::sample;

fn step(text: Option<&str>) -> SlackStep {
    SlackStep {
        connection: "chat".to_owned(),
        channel: None,
        text: text.map(str::to_owned),
    }
}

#[test]
fn the_layout_of_a_finding_is_plain_text_with_links() {
    let slack = prepare(&step(None), &sample::names(serde_json::json!({}))).unwrap();
    insta::assert_json_snapshot!(slack);
}

#[test]
fn own_text_may_format_and_values_may_not_mention() {
    let context = sample::names(json!({ "who": "<!channel> <@U1>" }));
    let slack = prepare(
        &step(Some("*{{ finding.severity }}* {{ params.who }} <!here>")),
        &context,
    )
    .unwrap();
    assert_eq!(slack.text, "*high* &lt;!channel&gt; &lt;@U1&gt; <!here>");
    assert_eq!(slack.blocks, None);
}

#[test]
fn a_long_message_is_cut_between_words_and_never_within_an_escape() {
    let words = cut(&"word &amp; ".repeat(3_000));
    assert!(words.chars().count() <= TEXT_LIMIT + 1);
    assert!(
        words.ends_with("word…") || words.ends_with("&amp;…"),
        "{}",
        &words[words.len() - 20..]
    );
    let blob = cut(&"&amp;".repeat(4_000));
    assert!(blob.ends_with("&amp;…"));
}

#[test]
fn blocks_keep_within_the_limits_of_slack() {
    let mut finding = sample::finding();
    finding.title = "T".repeat(9_000);
    finding.description = Some("D".repeat(90_000));
    let slack = prepare(&step(None), &sample::names_of(&finding, json!({}))).unwrap();
    let blocks = slack.blocks.unwrap();
    assert!(blocks[0]["text"]["text"].as_str().unwrap().chars().count() <= 150);
    for block in blocks.as_array().unwrap() {
        let text = block["text"]["text"].as_str().unwrap_or_default();
        assert!(text.chars().count() <= 3_000);
        let fields = block["fields"].as_array().map_or(0, Vec::len);
        assert!(fields <= 10);
    }
}

#[test]
fn an_empty_channel_is_none() {
    let mut step = step(Some("hi"));
    step.channel = Some("{{ params.channel }}".to_owned());
    let context = sample::names(json!({ "channel": null }));
    assert_eq!(prepare(&step, &context).unwrap().channel, None);
}
