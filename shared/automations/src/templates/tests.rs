use super::*;
use proptest::prelude::*;
use quench_findings::Finding;
use serde_json::json;

fn finding(fields: Value) -> Finding {
    let mut finding = json!({
        "id": "f-1", "kind": "alert", "source": "guardduty", "title": "Trojan <b>calls</b> home",
        "severity": "high", "raw": { "detail": { "count": 3 } },
    });
    for (name, value) in serde_json::from_value::<serde_json::Map<_, _>>(fields).unwrap() {
        finding[name.as_str()] = value;
    }
    serde_json::from_value(finding).unwrap()
}

fn names() -> Value {
    json!({
        "finding": finding_context(&finding(json!({}))),
        "raw": { "detail": { "count": 3 } },
        "none": null, "text": "abc", "yes": true, "whole": 3,
        "list": ["x", null, true, 1.5], "map": { "z": 1, "a": "<" },
    })
}

fn text(source: &str) -> String {
    render(source, &names(), Escape::None).unwrap()
}

#[test]
fn null_prints_as_nothing_and_booleans_as_in_json() {
    assert_eq!(
        text("[{{ none }}|{{ finding.region }}|{{ yes }}|{{ whole }}]"),
        "[||true|3]"
    );
    assert_eq!(
        text("{{ list }} {{ map }}"),
        r#"["x",null,true,1.5] {"z":1,"a":"<"}"#
    );
}

#[test]
fn filters_of_text_take_null_for_the_empty_text() {
    for filter in [
        "upper",
        "lower",
        "title",
        "capitalize",
        "trim",
        "string",
        "truncate(3)",
        "join",
        "date",
    ] {
        assert_eq!(
            text(&format!("[{{{{ none | {filter} }}}}]")),
            "[]",
            "{filter}"
        );
    }
    assert_eq!(
        text("{{ none | length }} {{ list | join(',') }}"),
        "0 x,,true,1.5"
    );
}

#[test]
fn an_undefined_name_is_an_error_that_names_it() {
    for source in [
        "{{ map.q }}",
        "{{ map.q | upper }}",
        "{{ map.q.r }}",
        "{% if map.q %}x{% endif %}",
    ] {
        assert_eq!(
            render(source, &names(), Escape::None),
            Err(RenderError::Undefined("`map.q` is undefined".to_owned())),
            "{source}"
        );
    }
    assert_eq!(
        evaluate("{{ map.q }}", &names()),
        Err(RenderError::Undefined("`map.q` is undefined".to_owned()))
    );
}

#[test]
fn default_stands_in_for_what_is_undefined_or_null() {
    assert_eq!(
        text("{{ map.q | default('d') }}{{ none | default('e') }}{{ '' | d('f') }}"),
        "de"
    );
    assert_eq!(text("{{ '' | default('f', empty=true) }}"), "f");
    assert_eq!(
        evaluate("{{ none | default(finding.region) }}", &names()),
        Ok(Value::Null)
    );
    assert_eq!(text("{{ none | default(finding.updated) | date }}"), "");
}

#[test]
fn get_follows_a_path_that_may_be_missing() {
    assert_eq!(text("{{ raw | get('detail.count') }}"), "3");
    assert_eq!(
        text("{{ list | get('0') }}{{ list | get('9.x', 'none') }}"),
        "xnone"
    );
    assert_eq!(text("[{{ raw | get('detail.service.action') }}]"), "[]");
}

#[test]
fn times_are_written_in_utc() {
    assert_eq!(
        text("{{ '2026-11-22T01:02:03+02:00' | date }}"),
        "2026-11-21 23:02 UTC"
    );
    assert_eq!(
        text("{{ '2026-11-22T01:02:03Z' | date('%d %b %Y') }}"),
        "22 Nov 2026"
    );
    assert!(matches!(
        render("{{ 'soon' | date }}", &names(), Escape::None),
        Err(RenderError::Failed(_))
    ));
}

#[test]
fn truncation_counts_letters_and_keeps_its_end() {
    assert_eq!(
        text("{{ 'äöüß' | truncate(3) }} {{ 'äöü' | truncate(3) }}"),
        "äö… äöü"
    );
    assert_eq!(text("{{ 'a b c' | truncate(length=4, end='..') }}"), "a..");
}

#[test]
fn severities_are_compared_by_rank() {
    assert_eq!(
        text(
            "{{ finding.severity is at_least('high') }} {{ finding.severity is at_least('critical') }}"
        ),
        "true false"
    );
}

#[test]
fn one_expression_yields_its_own_value_and_anything_else_text() {
    let value = |source: &str| evaluate(source, &names()).unwrap();
    assert_eq!(value("{{ list }}"), json!(["x", null, true, 1.5]));
    assert_eq!(value(" {{- whole -}} \n"), json!(3));
    assert_eq!(value("{{ none }}"), Value::Null);
    assert_eq!(value("{{ none }} or"), json!(" or"));
    assert_eq!(value("{{ whole }}{{ whole }}"), json!("33"));
    assert_eq!(value("plain"), json!("plain"));
    assert_eq!(value("{{ '}}' }}"), json!("}}"));
    assert_eq!(value("{{ whole > 2 }}"), json!(true));
}

#[test]
fn every_text_within_json_is_evaluated_and_names_are_not() {
    let given = json!({ "{{ whole }}": ["{{ whole }}", "n={{ whole }}", 7, { "x": "{{ map }}" }] });
    assert_eq!(
        render_json(&given, &names()).unwrap(),
        json!({ "{{ whole }}": [3, "n=3", 7, { "x": { "z": 1, "a": "<" } }] })
    );
}

#[test]
fn values_are_escaped_for_where_they_go_and_the_template_is_not() {
    let source = "<i>{{ finding.title }}</i>";
    let rendered = |escape| render(source, &names(), escape).unwrap();
    assert_eq!(rendered(Escape::None), "<i>Trojan <b>calls</b> home</i>");
    assert_eq!(
        rendered(Escape::Html),
        "<i>Trojan &lt;b&gt;calls&lt;/b&gt; home</i>"
    );
    assert_eq!(
        rendered(Escape::Slack),
        "<i>Trojan &lt;b&gt;calls&lt;/b&gt; home</i>"
    );
    assert_eq!(
        rendered(Escape::Markdown),
        r"<i>Trojan \<b\>calls\</b\> home</i>"
    );
}

#[test]
fn nothing_escapes_escaping() {
    for source in [
        "{{ finding.title | safe }}",
        "{% autoescape false %}{{ finding.title }}{% endautoescape %}",
        "{% set x %}{{ finding.title }}{% endset %}{{ x }}",
        "{% filter upper %}{{ finding.title }}{% endfilter %}",
        "{% include 'x' %}",
        "{% macro x() %}{% endmacro %}",
    ] {
        assert!(
            matches!(
                render(source, &names(), Escape::Html),
                Err(RenderError::Invalid(_))
            ),
            "{source}"
        );
    }
    let json = render(
        "{{ {'x': finding.title} | tojson }}",
        &names(),
        Escape::Html,
    )
    .unwrap();
    assert!(!json.contains('<'), "{json}");
}

#[test]
fn loops_output_and_depth_have_limits() {
    let limited = |source: &str| match render(source, &names(), Escape::None) {
        Err(RenderError::Limit(limit)) => limit,
        other => panic!("{source}: {other:?}"),
    };
    assert_eq!(
        limited(
            "{% for a in range(1000) %}{% for b in range(1000) %}{{ b }}{% endfor %}{% endfor %}"
        ),
        "too many operations"
    );
    assert_eq!(
        limited("{% for a in range(300) %}{{ 'x' * 1000 }}{% endfor %}"),
        "more than 256 KiB of text"
    );
    assert_eq!(
        render(
            &format!("{{{{ 1 }}}}{}", "x".repeat(SOURCE_LIMIT)),
            &names(),
            Escape::None
        ),
        Err(RenderError::Invalid("the template is too long".to_owned()))
    );
    assert!(matches!(
        evaluate("{{ ['x' * 90000] * 30 }}", &names()),
        Err(RenderError::Limit(_))
    ));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(400), ")".repeat(400));
    assert!(matches!(
        render(&deep, &names(), Escape::None),
        Err(RenderError::Invalid(_))
    ));
}

fn words() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        "[a-zA-Z<&*_ ]{0,12}".prop_map(Value::from)
    ]
}

fn times() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (0_i64..4_000_000_000).prop_map(|second| jiff::Timestamp::from_second(second)
            .unwrap()
            .to_string()
            .into())
    ]
}

prop_compose! {
    fn findings()(
        texts in proptest::collection::vec(words(), 6),
        times in proptest::collection::vec(times(), 3),
        resources in 0_usize..3,
        nested in proptest::option::of(words()),
        status in prop_oneof![Just(Value::Null), Just(json!("new")), Just(json!("failed"))],
    ) -> Finding {
        let nested = nested.map(|word| json!({ "standard": word, "text": word })).unwrap_or(Value::Null);
        let resource = json!({ "id": "r", "type": texts[5], "tags": { "owner": "a" } });
        finding(json!({
            "type": texts[0], "description": texts[1], "account": texts[2], "region": texts[3],
            "scope": texts[4], "parent": texts[5], "status": status,
            "first_seen": times[0], "last_seen": times[1], "updated": times[2],
            "compliance": nested, "remediation": nested,
            "resources": vec![resource; resources],
        }))
    }
}

/// Pieces of template over the finding; some use names that are not there, and `check` has to notice.
fn pieces() -> impl Strategy<Value = String> {
    let paths: Vec<String> = names::paths()
        .into_iter()
        .chain(
            [
                "finding.titel",
                "finding.compliance.name",
                "finding.resource.tag",
                "title",
                "finding.raw",
            ]
            .map(str::to_owned),
        )
        .collect();
    let filters = vec![
        "",
        " | upper",
        " | default('x')",
        " | truncate(4)",
        " | trim | title",
        " | tojson",
        " | string",
        " | uper",
    ];
    (proptest::sample::select(paths), proptest::sample::select(filters), 0..4).prop_map(|(path, filter, form)| match form {
            0 => format!("{{{{ {path}{filter} }}}}"),
            1 => format!("{{% if {path} %}}{{{{ {path}{filter} }}}}{{% else %}}no{{% endif %}}"),
            2 => format!("{{% set x = {path}{filter} %}}{{{{ x }}}}"),
            _ => format!("{{% for r in finding.resources %}}{{{{ r.id }}}} {{{{ {path}{filter} }}}}{{% endfor %}}"),
        })
}

proptest! {
    #[test]
    fn what_the_check_accepts_renders_for_every_finding(
        finding in findings(),
        pieces in proptest::collection::vec(pieces(), 1..4),
        escape in proptest::sample::select(vec![Escape::None, Escape::Html, Escape::Slack, Escape::Markdown]),
    ) {
        let source = pieces.concat();
        let context = json!({ "finding": finding_context(&finding) });
        if check(&source, &Names::default()).is_ok() {
            let rendered = render(&source, &context, escape);
            prop_assert!(rendered.is_ok(), "{source}: {rendered:?}");
        }
    }

    #[test]
    fn no_source_makes_rendering_or_checking_panic(source in r"[{}%#a-z.|' \[\]()\n~-]{0,60}") {
        let _ = faults(&source, &Names::default());
        let _ = render(&source, &names(), Escape::Html);
        let _ = evaluate(&source, &names());
    }

    #[test]
    fn text_without_tags_is_left_alone(source in r"[a-z<&%}\n ]{0,40}") {
        prop_assert_eq!(render(&source, &names(), Escape::Html).unwrap(), source);
    }
}
