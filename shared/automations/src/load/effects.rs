//! Steps that do something outside.

use super::connection::is_header_name;
use super::reader::{Fields, Reader};
use super::references::{ConnectionUse, Service};
use crate::address::check_url;
use crate::bind::{Reading, fit, holds_template, listed};
use crate::nearest::nearest;
use crate::playbook::{Parameter, ParameterType};
use crate::secrets::{in_address, is_literal, names_credential};
use crate::templates::Names;
use crate::yaml::{Content, Node};
use crate::{EmailStep, HttpStep, SlackStep, StepKind, TeamsStep, WebhookStep};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// Built-in layouts of mails.
const LAYOUTS: [(&str, &str); 1] = [("finding", "finding")];

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

pub(super) fn read(
    reader: &mut Reader<'_>,
    action: &str,
    node: &Node,
    names: &Names,
) -> Option<StepKind> {
    Some(match action {
        "email" => StepKind::Email(email(reader, node, names)?),
        "slack" => {
            let fields = reader.fields(node, "`slack`", &["connection", "channel", "text"])?;
            let channel = template(reader, &fields, "channel", names);
            let text = template(reader, &fields, "text", names);
            let connection = connection(reader, &fields, Service::Slack, names)?;
            StepKind::Slack(SlackStep {
                connection,
                channel,
                text,
            })
        }
        "teams" => {
            let fields = reader.fields(node, "`teams`", &["connection", "title", "text"])?;
            let title = template(reader, &fields, "title", names);
            let text = template(reader, &fields, "text", names);
            let connection = connection(reader, &fields, Service::Teams, names)?;
            StepKind::Teams(TeamsStep {
                connection,
                title,
                text,
            })
        }
        "webhook" => {
            let fields = reader.fields(node, "`webhook`", &["connection", "event", "data"])?;
            let event = template(reader, &fields, "event", names);
            let data = fields.get("data").map(|node| json(reader, node, names));
            let connection = connection(reader, &fields, Service::Webhook, names)?;
            StepKind::Webhook(WebhookStep {
                connection,
                event,
                data,
            })
        }
        _ => StepKind::Http(http(reader, node, names)?),
    })
}

pub(super) fn template(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    names: &Names,
) -> Option<String> {
    let node = fields.get(name)?;
    let text = reader.filled_text(node, &format!("`{name}`"))?;
    reader.templates(node, names);
    Some(text)
}

pub(super) fn json(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Value {
    reader.templates(node, names);
    node.to_json()
}

/// Reads the connection of a step, and remembers a literal one to be looked up once all files are read.
fn connection(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    service: Service,
    names: &Names,
) -> Option<String> {
    let node = reader.require(fields, "connection", "name the connection that leads there")?;
    connection_name(reader, node, service, names)
}

fn connection_name(
    reader: &mut Reader<'_>,
    node: &Node,
    service: Service,
    names: &Names,
) -> Option<String> {
    let name = reader.filled_text(node, "`connection`")?;
    if holds_template(&name) {
        reader.templates(node, names);
    } else {
        reader.uses.connections.push(ConnectionUse {
            source: reader.source.clone(),
            span: node.span.clone(),
            name: name.clone(),
            service: Some(service),
        });
    }
    Some(name)
}

fn email(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Option<EmailStep> {
    let fields = reader.fields(
        node,
        "`email`",
        &["to", "cc", "subject", "template", "text", "html"],
    )?;
    let to = reader
        .require(
            &fields,
            "to",
            "say who gets it: `to: [security@example.com]`",
        )
        .and_then(|node| addresses(reader, node, "`to`", names));
    let cc = fields
        .get("cc")
        .and_then(|node| addresses(reader, node, "`cc`", names));
    let subject = reader
        .require(
            &fields,
            "subject",
            "such as `subject: \"{{ finding.title }}\"`",
        )
        .and_then(|node| {
            reader.templates(node, names);
            reader.filled_text(node, "`subject`")
        });
    let layout = fields.entry("template").map(|(key, node)| {
        if fields.key("text").is_some() || fields.key("html").is_some() {
            reader.fault_with_help(
                &key.span,
                "`template` excludes `text` and `html`",
                "remove `template` to write the mail yourself",
            );
        }
        reader.word(node, "template", &LAYOUTS)
    });
    let text = template(reader, &fields, "text", names);
    let html = template(reader, &fields, "html", names);
    let layout = match layout {
        Some(layout) => Some(layout?.to_owned()),
        None if text.is_none() && html.is_none() => Some("finding".to_owned()),
        None => None,
    };
    Some(EmailStep {
        to: to?,
        cc,
        subject: subject?,
        template: layout,
        text,
        html,
    })
}

pub(super) fn addresses(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    names: &Names,
) -> Option<Value> {
    reader.templates(node, names);
    let parameter = Parameter {
        parameter_type: ParameterType::Emails,
        description: None,
        required: true,
        default: None,
        allowed: Vec::new(),
    };
    let items: Vec<&Node> = match &node.content {
        Content::List(items) if !items.is_empty() => items.iter().collect(),
        _ => vec![node],
    };
    for item in items {
        if let Err(unfit) = fit(&parameter, &item.to_json(), Reading::Strict) {
            super::playbook::note_unfit(reader, item, what, unfit);
        }
    }
    Some(node.to_json())
}

fn http(reader: &mut Reader<'_>, node: &Node, names: &Names) -> Option<HttpStep> {
    let keys = [
        "connection",
        "method",
        "url",
        "headers",
        "query",
        "json",
        "body",
        "expect",
        "idempotency_header",
    ];
    let fields = reader.fields(node, "`http`", &keys)?;
    let connection = fields
        .get("connection")
        .and_then(|node| connection_name(reader, node, Service::Http, names));
    let json = fields.get("json").map(|node| json(reader, node, names));
    let body = template(reader, &fields, "body", names);
    if let (Some(_), Some((key, _))) = (&json, fields.entry("body")) {
        reader.fault_with_help(
            &key.span,
            "`http` has both `json` and `body`",
            "keep one of them",
        );
    }
    let method = match fields.get("method") {
        Some(node) => method(reader, node),
        None if json.is_some() || body.is_some() => Some("POST".to_owned()),
        None => Some("GET".to_owned()),
    };
    let url = reader
        .require(
            &fields,
            "url",
            "add the address, or a path below the connection's address",
        )
        .and_then(|node| url(reader, node, fields.key("connection").is_some(), names));
    let headers = fields
        .get("headers")
        .map(|node| pairs(reader, node, "`headers`", true, names))
        .unwrap_or_default();
    let query = fields
        .get("query")
        .map(|node| pairs(reader, node, "`query`", false, names))
        .unwrap_or_default();
    let mut expect = Vec::new();
    if let Some(node) = fields.get("expect") {
        for item in reader.one_or_more(node) {
            let code = reader.whole_number(item, "a status code", 100..=599);
            expect.extend(code.and_then(|code| u16::try_from(code).ok()));
        }
    }
    let idempotency_header = fields
        .get("idempotency_header")
        .and_then(|node| super::connection::header_name(reader, node));
    Some(HttpStep {
        connection,
        method: method?,
        url: url?,
        headers,
        query,
        json,
        body,
        expect,
        idempotency_header,
    })
}

fn method(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "`method`")?;
    if METHODS.contains(&text) {
        return Some(text.to_owned());
    }
    let help = match nearest(text, METHODS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", listed(&METHODS)),
    };
    reader.fault_with_help(&node.span, format!("method `{text}` is not known"), help);
    None
}

fn url(reader: &mut Reader<'_>, node: &Node, connected: bool, names: &Names) -> Option<String> {
    let text = reader.filled_text(node, "`url`")?;
    reader.templates(node, names);
    if in_address(&text).is_some() {
        credential(reader, &node.span);
        return None;
    }
    let absolute = text.starts_with("https://") || text.starts_with("http://");
    if connected && absolute && !holds_template(&text) {
        reader.fault_with_help(
            &node.span,
            "with a connection `url` is a path below its address",
            "write only what follows the connection's address, such as `/v1/events`",
        );
        return None;
    }
    if connected || text.starts_with("{{") {
        return Some(text);
    }
    let host = text.split("{{").next().unwrap_or_default();
    let checked = match host.strip_prefix("http://") {
        Some(rest) => check_url(&format!("https://{rest}")),
        None => check_url(host),
    };
    if checked.is_err() && !(absolute && holds_template(&text)) {
        let help = if text.starts_with('/') {
            "add `connection`, whose address the path is joined to, or write the whole address"
        } else {
            "such as `https://example.com/path`"
        };
        reader.fault_with_help(
            &node.span,
            format!("`{text}` is not an address that begins with `https://`"),
            help,
        );
        return None;
    }
    Some(text)
}

fn credential(reader: &mut Reader<'_>, span: &Range<usize>) {
    reader.fault_with_help(
        span,
        "credentials do not belong into a playbook",
        "use a connection with `auth`, which refers to its secret",
    );
}

fn pairs(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
    headers: bool,
    names: &Names,
) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for (key, value) in reader.entries(node, what).unwrap_or_default() {
        if headers && !is_header_name(&key.text) {
            reader.fault_with_help(
                &key.span,
                format!("`{}` is not the name of a header", key.text),
                "such as `X-Source`",
            );
        }
        let literal = match &value.content {
            Content::Text(text, _) => is_literal(text),
            Content::Number(_) => true,
            _ => false,
        };
        if (headers && key.text.eq_ignore_ascii_case("authorization"))
            || (literal && names_credential(&key.text))
        {
            credential(reader, &key.span);
        }
        reader.templates(value, names);
        let text = match &value.content {
            Content::Number(_) | Content::Bool(_) => {
                Some(reader.source.written(&value.span).to_owned())
            }
            _ => reader
                .text(value, &format!("`{}`", key.text))
                .map(str::to_owned),
        };
        pairs.extend(text.map(|text| (key.text.clone(), text)));
    }
    pairs
}
