use super::*;
use serde_json::json;

fn read(text: &str) -> (Vec<Document>, Vec<String>) {
    let source = Source::new("f.yaml", text);
    let mut faults = Vec::new();
    let documents = parse(&source, &mut faults);
    (documents, faults.iter().map(ToString::to_string).collect())
}

fn value(text: &str) -> Value {
    let (documents, faults) = read(text);
    assert_eq!(faults, Vec::<String>::new());
    documents[0].root.to_json()
}

#[test]
fn scalars_follow_the_core_schema_of_yaml_1_2() {
    let text = "[no, off, yes, on, true, False, null, ~, 12, -3, +4, 1.5, 1e3, .5, 0x1F, 0o17, '5', \"true\", 2027-06-30, 1_000, 0]";
    assert_eq!(
        value(text),
        json!([
            "no",
            "off",
            "yes",
            "on",
            true,
            false,
            null,
            null,
            12,
            -3,
            4,
            1.5,
            1000.0,
            0.5,
            31,
            15,
            "5",
            "true",
            "2027-06-30",
            "1_000",
            0
        ])
    );
}

#[test]
fn digits_with_leading_zeros_stay_text() {
    assert_eq!(
        value("[012345678901, 007, 0.5]"),
        json!(["012345678901", "007", 0.5])
    );
}

#[test]
fn numbers_that_json_readers_round_are_refused() {
    assert_eq!(
        value("[9007199254740992, -9007199254740992]"),
        json!([9_007_199_254_740_992_i64, -9_007_199_254_740_992_i64])
    );
    for text in ["[9007199254740993]", "[1e999]", "[0xFFFFFFFFFFFFFFFFFF]"] {
        assert!(read(text).1[0].contains("too large"), "{text}");
    }
    assert_eq!(
        value("{ 9007199254740993: x }"),
        json!({ "9007199254740993": "x" })
    );
}

#[test]
fn keys_are_text_as_they_are_written() {
    assert_eq!(
        value("{ on: 1, true: 2, 5: 3, 'x y': 4 }"),
        json!({ "on": 1, "true": 2, "5": 3, "x y": 4 })
    );
}

#[test]
fn aliases_repeat_what_is_anchored_and_point_there() {
    let text = "a: &x { b: [1, 2] }\nc: *x\n";
    let (documents, _) = read(text);
    assert_eq!(
        documents[0].root.to_json(),
        json!({ "a": { "b": [1, 2] }, "c": { "b": [1, 2] } })
    );
    let Content::Mapping(entries) = &documents[0].root.content else {
        panic!("a mapping")
    };
    assert_eq!(entries[0].1.span, entries[1].1.span);
}

#[test]
fn each_document_has_its_own_text_and_a_broken_one_spares_the_others() {
    let (documents, faults) =
        read("# first\n---\na: |+\n  x\n\n---\nb: [\n--- # third\nc: 3\n...\nd: 4");
    let texts: Vec<&str> = documents
        .iter()
        .map(|document| document.text.as_str())
        .collect();
    assert_eq!(
        texts,
        ["# first\n---\na: |+\n  x\n\n", " # third\nc: 3\n", "d: 4"]
    );
    assert_eq!(faults.len(), 1);
    assert_eq!(documents[0].root.to_json(), json!({ "a": "x\n\n" }));
}

/// The part of the file that a part of the one value in it is written as.
fn located(file: &str, part: &str) -> String {
    let source = Source::new("f.yaml", file);
    let documents = parse(&source, &mut Vec::new());
    let Content::Mapping(entries) = &documents[0].root.content else {
        panic!("a mapping")
    };
    let node = &entries[0].1;
    let start = node.text().expect("text").find(part).expect("part of it");
    let span = node.locate(&source, start..start + part.len());
    source.slice(&span).to_owned()
}

#[test]
fn parts_of_a_text_are_found_where_they_are_written() {
    for file in [
        "a: one here two",
        "a: 'it''s one here two'",
        "a: \"\\\"x\\\" \\u00e9\\ud83d\\ude00 \\t here\"",
        "a: \"x\\\n   y here\"",
        "a: |\n  one\n    two\n  here",
        "a: >-\n  one\n  two\n\n  here\n",
        "a: one\n  two\n  here\n",
        "a: |\r\n  one\r\n  here\r\n",
        "a: |2-\n   | one here",
    ] {
        assert_eq!(located(file, "here"), "here", "{file}");
    }
    assert_eq!(located("a: \"x\\ty\"", "\t"), "\\t");
}

#[test]
fn other_encodings_are_told_by_name() {
    let told = |bytes: &[u8]| decode("f".to_owned(), bytes).map_err(|fault| fault.message);
    assert_eq!(
        told(b"\xff\xfea\0"),
        Err("the file is UTF-16, not UTF-8".to_owned())
    );
    assert_eq!(
        told(b"a\0u\0"),
        Err("the file is UTF-16, not UTF-8".to_owned())
    );
    assert_eq!(
        told(b"\xff\xfe\0\0a\0\0\0"),
        Err("the file is UTF-32, not UTF-8".to_owned())
    );
    assert_eq!(told(b"ab\xff"), Err("byte 0xff is not UTF-8".to_owned()));
    assert!(told(b"\xef\xbb\xbfa: 1").is_ok());
    assert_eq!(value("\u{feff}a: 1"), json!({ "a": 1 }));
}
