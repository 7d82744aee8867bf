use super::*;

fn read(text: &str) -> (Vec<Document>, Vec<String>) {
    let source = Source::new("f.yaml", text);
    let mut faults = Vec::new();
    let documents = parse(&source, &mut faults);
    (documents, faults.iter().map(ToString::to_string).collect())
}

fn json(text: &str) -> Value {
    let (documents, faults) = read(text);
    assert_eq!(faults, Vec::<String>::new());
    documents[0].root.to_json()
}

#[test]
fn debug_spans() {
    let text = "a: |\n  one\n   {{ two }}\nb: \"x\\\"y {{ z }}\"\nc: [1, 2]\nd:\n  e: 'it''s {{ k }}'\nf: >-\n  folded\n  line {{ q }}\n";
    let source = Source::new("f.yaml", text);
    let mut faults = Vec::new();
    let documents = parse(&source, &mut faults);
    let Content::Mapping(entries) = &documents[0].root.content else { panic!() };
    for (key, node) in entries {
        eprintln!("{} {:?} {:?}", key.text, source.slice(&node.span), node.content);
    }
}
