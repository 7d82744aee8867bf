use super::reader::{Fields, Reader};
use crate::address::check_url;
use crate::bind::listed;
use crate::nearest::nearest;
use crate::yaml::{Content, Node};
use crate::{Auth, Connection, ConnectionKind};
use std::ops::Range;

pub(super) const KINDS: [&str; 5] = ["slack_hook", "slack_bot", "teams", "webhook", "http"];

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Connection> {
    let allowed: Vec<&str> = ["connection", "description"]
        .into_iter()
        .chain(KINDS)
        .collect();
    let fields = reader.fields(root, "a connection", &allowed)?;
    let name = reader
        .require(&fields, "connection", "name it")
        .and_then(|node| reader.name(node, "the name"));
    let description = fields
        .get("description")
        .and_then(|node| reader.filled_text(node, "`description`"));
    let given: Vec<&str> = KINDS
        .into_iter()
        .filter(|kind| fields.key(kind).is_some())
        .collect();
    if let [first, second, ..] = given[..] {
        if let Some(key) = fields.key(second) {
            reader.fault_with_help(
                &key.span,
                format!("a connection leads to one service, and this one has `{first}` already"),
                "make a connection of its own for each",
            );
        }
    } else if given.is_empty() {
        reader.fault_with_help(
            &fields_start(&fields, root),
            "the connection does not say where it leads",
            format!("add one of {}", listed(&KINDS)),
        );
    }
    let service = *given.first()?;
    let kind = kind(reader, service, fields.get(service)?);
    Some(Connection {
        name: name?,
        description,
        kind: kind?,
    })
}

/// Keys below which nothing secret stands.
pub(super) const PLAIN: [&str; 7] = [
    "connection",
    "description",
    "username",
    "header",
    "client_id",
    "token_url",
    "scopes",
];

/// Finds everything in a connection that could be a secret written by mistake.
pub(super) fn secrets(node: &Node, public_url: bool, spans: &mut Vec<Range<usize>>) {
    match &node.content {
        Content::Mapping(entries) => {
            for (key, value) in entries {
                let key = key.text.as_str();
                let leads = public_url || matches!(key, "http" | "webhook" | "slack_bot");
                let word = key == "auth"
                    && value
                        .text()
                        .is_some_and(|word| word == "none" || AUTHS.contains(&word));
                let url = key == "url"
                    && public_url
                    && value.text().is_some_and(|url| !url.contains('@'));
                if !PLAIN.contains(&key) && !word && !url {
                    secrets(value, leads, spans);
                }
            }
        }
        Content::List(items) => items
            .iter()
            .for_each(|item| secrets(item, public_url, spans)),
        Content::Text(secret, _) if secret.starts_with("secret://") => {}
        Content::Text(..) | Content::Number(_) => spans.push(node.span.clone()),
        Content::Null | Content::Bool(_) | Content::Broken => {}
    }
}

fn fields_start(fields: &Fields<'_>, root: &Node) -> Range<usize> {
    fields
        .key("connection")
        .map_or(root.span.clone(), |key| key.span.clone())
}

fn kind(reader: &mut Reader<'_>, service: &str, node: &Node) -> Option<ConnectionKind> {
    let what = format!("`{service}`");
    Some(match service {
        "slack_hook" => {
            let fields = reader.fields(node, &what, &["url"])?;
            ConnectionKind::SlackHook {
                url: required_secret(reader, &fields, "url")?,
            }
        }
        "slack_bot" => {
            let fields = reader.fields(node, &what, &["token", "url"])?;
            let token = required_secret(reader, &fields, "token");
            let url = fields.get("url").map(|node| address(reader, node, "`url`"));
            ConnectionKind::SlackBot {
                token: token?,
                url: url.map_or(Some(None), |url| url.map(Some))?,
            }
        }
        "teams" => {
            let fields = reader.fields(node, &what, &["url"])?;
            ConnectionKind::Teams {
                url: required_secret(reader, &fields, "url")?,
            }
        }
        "webhook" => {
            let fields = reader.fields(node, &what, &["url", "secret"])?;
            let url = reader
                .require(&fields, "url", "add its address")
                .and_then(|node| match node.text() {
                    Some(text) if text.starts_with("secret:") => secret(reader, node, "`url`"),
                    _ => address(reader, node, "`url`"),
                });
            let secret = required_secret(reader, &fields, "secret");
            ConnectionKind::Webhook {
                url: url?,
                secret: secret?,
            }
        }
        _ => {
            let fields = reader.fields(node, &what, &["url", "auth"])?;
            let url = reader
                .require(
                    &fields,
                    "url",
                    "add the address that the paths of steps are joined to",
                )
                .and_then(|node| address(reader, node, "`url`"));
            let auth = match fields.get("auth") {
                Some(node) => auth(reader, node),
                None => Some(Auth::None),
            };
            ConnectionKind::Http {
                url: url?,
                auth: auth?,
            }
        }
    })
}

pub(super) const AUTHS: [&str; 4] = ["basic", "bearer", "api_key", "client_credentials"];

fn auth(reader: &mut Reader<'_>, node: &Node) -> Option<Auth> {
    if node.text() == Some("none") {
        return Some(Auth::None);
    }
    if node.text().is_some() {
        reader.misfit(
            node,
            "`auth`",
            "`none` or a mapping",
            format!("such as `auth: {{ bearer: {{ token: {EXAMPLE} }} }}`"),
        );
        return None;
    }
    let fields = reader.fields(node, "`auth`", &AUTHS)?;
    let given: Vec<&str> = AUTHS
        .into_iter()
        .filter(|name| fields.key(name).is_some())
        .collect();
    let &[name] = &given[..] else {
        reader.fault_with_help(
            &node.span,
            "`auth` must have one way to sign in",
            format!("one of {}", listed(&AUTHS)),
        );
        return None;
    };
    let node = fields.get(name)?;
    let what = format!("`{name}`");
    Some(match name {
        "basic" => {
            let fields = reader.fields(node, &what, &["username", "password"])?;
            let username = required_text(reader, &fields, "username");
            let password = required_secret(reader, &fields, "password");
            Auth::Basic {
                username: username?,
                password: password?,
            }
        }
        "bearer" => {
            let fields = reader.fields(node, &what, &["token"])?;
            Auth::Bearer {
                token: required_secret(reader, &fields, "token")?,
            }
        }
        "api_key" => {
            let fields = reader.fields(node, &what, &["header", "key"])?;
            let header = reader
                .require(&fields, "header", "name the header that carries the key")
                .and_then(|node| header_name(reader, node));
            let key = required_secret(reader, &fields, "key");
            Auth::ApiKey {
                header: header?,
                key: key?,
            }
        }
        _ => {
            let fields = reader.fields(
                node,
                &what,
                &["token_url", "client_id", "client_secret", "scopes"],
            )?;
            let token_url = reader
                .require(
                    &fields,
                    "token_url",
                    "add the address of the token endpoint",
                )
                .and_then(|node| address(reader, node, "`token_url`"));
            let client_id = required_text(reader, &fields, "client_id");
            let client_secret = required_secret(reader, &fields, "client_secret");
            let scopes = match fields.get("scopes") {
                Some(node) => {
                    let items = reader.one_or_more(node);
                    items
                        .into_iter()
                        .map(|item| reader.filled_text(item, "a scope"))
                        .collect()
                }
                None => Some(Vec::new()),
            };
            Auth::ClientCredentials {
                token_url: token_url?,
                client_id: client_id?,
                client_secret: client_secret?,
                scopes: scopes?,
            }
        }
    })
}

const EXAMPLE: &str = "secret://env/TOKEN";
/// What a reference can look like.
const FORMS: &str = "`secret://env/NAME` or `secret://file/ABSOLUTE_PATH`, or what AWS keeps: `secret://secretsmanager/NAME#JSON_KEY` or `secret://ssm/NAME`";

fn required_text(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<String> {
    let node = reader.require(fields, name, "add it")?;
    reader.filled_text(node, &format!("`{name}`"))
}

fn required_secret(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> Option<String> {
    let help = format!("add a reference to it, such as `{name}: {EXAMPLE}`");
    let node = reader.require(fields, name, &help)?;
    secret(reader, node, &format!("`{name}`"))
}

/// Reads a reference to a secret. A literal is never shown: it may be a real one.
fn secret(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<String> {
    let literal = match &node.content {
        Content::Text(text, _) if text.starts_with("secret:") => {
            return reference(reader, node, text);
        }
        Content::Text(text, _) if let Some(meant) = mistyped(text) => {
            reader.fault_with_help(
                &node.span,
                format!("{what} is not a reference to a secret"),
                format!("did you mean `{meant}`?"),
            );
            return None;
        }
        Content::Text(..) | Content::Number(_) | Content::Bool(_) => true,
        _ => false,
    };
    if literal {
        let fault = reader
            .source
            .error(
                node.span.clone(),
                format!("{what} is a secret and must not stand in a file"),
            )
            .with_help(format!("keep it outside and refer to it: {FORMS}"));
        reader.note(fault);
    } else {
        reader.misfit(
            node,
            what,
            "a reference to a secret",
            format!("such as `{EXAMPLE}`"),
        );
    }
    None
}

/// The reference that was meant by one whose scheme is mistyped.
fn mistyped(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let near = nearest(scheme, ["secret"])?;
    let (place, name) = rest.split_once('/')?;
    let fine = match place {
        "env" => name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        "file" | "secretsmanager" | "ssm" => true,
        _ => false,
    };
    fine.then(|| format!("{near}://{rest}"))
}

fn reference(reader: &mut Reader<'_>, node: &Node, text: &str) -> Option<String> {
    let fine = match text
        .strip_prefix("secret://")
        .and_then(|rest| rest.split_once('/'))
    {
        Some(("env", name)) => {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        }
        Some(("file", path)) => {
            !path.trim_matches('/').is_empty()
                && !path.split('/').any(|part| part == ".." || part == ".")
        }
        Some(("secretsmanager", place)) => match place.split_once('#') {
            Some((id, key)) => is_stored(id, "/_+=.@-:") && !key.is_empty(),
            None => is_stored(place, "/_+=.@-:"),
        },
        Some(("ssm", name)) => is_stored(name, "/_.-:"),
        _ => false,
    };
    if !fine {
        reader.fault_with_help(
            &node.span,
            format!("`{text}` is not a reference to a secret"),
            format!("write {FORMS}"),
        );
        return None;
    }
    Some(text.to_owned())
}

/// Says whether a text can be the name or ARN of something that AWS keeps.
fn is_stored(name: &str, marks: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || marks.contains(letter);
    !name.trim_matches('/').is_empty() && name.chars().all(fits)
}

/// Reads an absolute address. Plain `http` is left to the allow list that guards all calls.
fn address(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<String> {
    let text = reader.text(node, what)?;
    let checked = match text.strip_prefix("http://") {
        Some(rest) => check_url(&format!("https://{rest}")),
        None => check_url(text),
    };
    if let Err(reason) = checked {
        let mut fault = reader
            .source
            .error(node.span.clone(), reason)
            .with_help("such as `https://example.com/path`");
        if text.contains('@') {
            fault = reader
                .source
                .error(
                    node.span.clone(),
                    format!("{what} must not hold a user and password"),
                )
                .with_help("use `auth`, with the password as a reference to a secret");
        }
        reader.note(fault);
        return None;
    }
    Some(text.to_owned())
}

/// Reads the name of an HTTP header (RFC 9110, section 5.6.2).
pub(super) fn header_name(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "the header's name")?;
    if !is_header_name(text) {
        reader.fault_with_help(
            &node.span,
            format!("`{text}` is not the name of a header"),
            "such as `X-Api-Key`",
        );
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn is_header_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
