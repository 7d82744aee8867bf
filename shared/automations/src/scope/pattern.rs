use super::glob::{covers, fits};
use super::place::Place;
use crate::Organization;
use crate::nearest::nearest;
use std::fmt;

/// One line of a scope, such as `aws:111122223333` or `!azure:/subscriptions/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopePattern {
    /// Whether what it means is left out.
    pub excludes: bool,
    text: String,
    target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Everything,
    AwsAccount(String),
    AwsUnit(String),
    Azure(String),
    GcpProject(String),
}

/// What is wrong with a scope pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScopeFault {
    /// What is wrong.
    pub message: String,
    /// What was probably meant, or what may be written.
    pub help: Option<String>,
}

impl fmt::Display for ScopePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ScopePattern {
    /// The id of the organisational unit, root or organisation it names, if it names one.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        match &self.target {
            Target::AwsUnit(unit) => Some(unit),
            _ => None,
        }
    }

    pub(super) fn means(&self, place: &Place, organization: Option<&Organization>) -> bool {
        match (&self.target, place) {
            (Target::Everything, _) => true,
            (Target::AwsAccount(glob), Place::Aws(account)) => fits(glob, account),
            (Target::AwsUnit(unit), Place::Aws(account)) => {
                match organization.and_then(|known| known.accounts.get(account)) {
                    Some(units) => units.iter().any(|known| fits(unit, known)),
                    None => self.excludes,
                }
            }
            (Target::Azure(glob), Place::Azure(path)) => glob == "*" || covers(glob, path),
            (Target::GcpProject(glob), Place::Gcp(project)) => fits(glob, project),
            _ => false,
        }
    }
}

/// Reads a scope pattern.
///
/// `aws:` and an account or the id of an organisational unit, root or organisation; `azure:` and the path of a
/// subscription or of something in it; `gcp:projects/` and a project. `*` stands for any letters, in a path for any but
/// `/`; alone, or after the colon, it means all. A leading `!` excludes.
///
/// # Errors
/// What is wrong, with what was probably meant.
pub fn parse(pattern: &str) -> Result<ScopePattern, ScopeFault> {
    let text = pattern.trim();
    let (excludes, body) = match text.strip_prefix('!') {
        Some(body) => (true, body.trim_start()),
        None => (false, text),
    };
    let mark = if excludes { "!" } else { "" };
    if body.is_empty() {
        return Err(fault(
            "scope is empty".to_owned(),
            Some("leave `scope` out to mean everything".to_owned()),
        ));
    }
    let target = if body == "*" {
        Target::Everything
    } else if let Some(meant) = without_cloud(body) {
        return Err(fault(
            format!("scope `{text}` does not begin with its cloud"),
            Some(format!("did you mean `{mark}{meant}`?")),
        ));
    } else {
        let (cloud, rest) = body.split_once(':').unwrap_or((body, ""));
        match (cloud, rest) {
            ("aws", rest) => aws(rest, mark)?,
            ("azure", rest) => azure(rest, mark)?,
            ("gcp", rest) => gcp(rest, mark)?,
            _ => return Err(unknown_cloud(cloud, rest, mark)),
        }
    };
    Ok(ScopePattern {
        excludes,
        text: text.to_owned(),
        target,
    })
}

fn aws(rest: &str, mark: &str) -> Result<Target, ScopeFault> {
    const FORMS: &str = "write an account of 12 digits such as `aws:111122223333`, `aws:1111*`, or a unit such as `aws:ou-ab12-11111111`";
    if rest.is_empty() {
        return Err(fault(
            "scope `aws:` names no account".to_owned(),
            Some("write `aws:*` to mean every account".to_owned()),
        ));
    }
    if rest
        .bytes()
        .all(|letter| letter.is_ascii_digit() || letter == b'*')
    {
        let digits = rest.bytes().filter(u8::is_ascii_digit).count();
        let fits = if rest.contains('*') {
            digits < 12
        } else {
            digits == 12
        };
        return if fits {
            Ok(Target::AwsAccount(rest.to_owned()))
        } else {
            Err(fault(
                format!("account `{rest}` has {digits} digits, not 12"),
                (digits < 12).then(|| {
                    format!("write `{mark}aws:{rest}*` to mean every account that begins so")
                }),
            ))
        };
    }
    let lower = rest.to_lowercase();
    if is_unit(&lower) {
        return Ok(Target::AwsUnit(lower));
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    if is_account(&digits)
        && rest
            .chars()
            .all(|letter| letter.is_ascii_digit() || matches!(letter, '-' | ' '))
    {
        return Err(fault(
            format!("account `{rest}` is not written as 12 digits"),
            Some(format!("did you mean `{mark}aws:{digits}`?")),
        ));
    }
    let what = if lower.starts_with("ou") || lower.starts_with("r-") || lower.starts_with("o-") {
        format!("`{rest}` is not the id of an organisational unit")
    } else {
        format!("`{rest}` is not an account")
    };
    Err(fault(what, Some(FORMS.to_owned())))
}

fn azure(rest: &str, mark: &str) -> Result<Target, ScopeFault> {
    const FORMS: &str = "write `azure:/subscriptions/GUID`, `azure:/subscriptions/GUID/resourceGroups/NAME` or `azure:*`";
    if rest == "*" {
        return Ok(Target::Azure("*".to_owned()));
    }
    if is_guid(rest) {
        return Err(fault(
            format!("`{rest}` is not the path of a subscription"),
            Some(format!("did you mean `{mark}azure:/subscriptions/{rest}`?")),
        ));
    }
    let path = rest.trim_end_matches('/').to_lowercase();
    let parts: Vec<&str> = path.split('/').collect();
    let (subscription, below) = match parts.as_slice() {
        ["", "subscriptions", subscription, below @ ..] => (*subscription, below),
        ["", "providers", "microsoft.management", ..] => {
            return Err(fault(
                format!("`{rest}` is a management group, which scopes cannot name"),
                Some("name its subscriptions".to_owned()),
            ));
        }
        ["", word, _, ..] if nearest(word, ["subscriptions"]).is_some() => {
            return Err(fault(
                format!("`{word}` is not known in the path of a subscription"),
                Some("did you mean `/subscriptions/`?".to_owned()),
            ));
        }
        ["subscriptions", ..] => {
            return Err(fault(
                format!("`{rest}` does not begin with `/`"),
                Some(format!("did you mean `{mark}azure:/{rest}`?")),
            ));
        }
        _ => {
            return Err(fault(
                format!("`{rest}` is not the path of a subscription"),
                Some(FORMS.to_owned()),
            ));
        }
    };
    let globbed = subscription.contains('*')
        && subscription
            .chars()
            .all(|letter| letter.is_ascii_hexdigit() || matches!(letter, '-' | '*'));
    if !globbed && !is_guid(subscription) {
        return Err(fault(
            format!("subscription `{subscription}` is not a GUID"),
            Some(FORMS.to_owned()),
        ));
    }
    match below {
        [] => {}
        ["resourcegroups", group, ..] if !group.is_empty() => {}
        ["providers", _, ..] => {}
        [word, ..] => {
            let help = nearest(word, ["resourcegroups", "providers"])
                .filter(|near| near != word)
                .map(|near| match near {
                    "resourcegroups" => "did you mean `resourceGroups`?".to_owned(),
                    near => format!("did you mean `{near}`?"),
                })
                .unwrap_or_else(|| FORMS.to_owned());
            let message = if below.len() == 1 {
                format!("`{word}` in the path of a subscription has no name after it")
            } else {
                format!("`{word}` is not known in the path of a subscription")
            };
            return Err(fault(message, Some(help)));
        }
    }
    Ok(Target::Azure(path))
}

fn gcp(rest: &str, mark: &str) -> Result<Target, ScopeFault> {
    const FORMS: &str = "write `gcp:projects/NAME` or `gcp:*`";
    if rest == "*" {
        return Ok(Target::GcpProject("*".to_owned()));
    }
    let lower = rest.to_lowercase();
    let Some((word, project)) = lower.split_once('/') else {
        let help = if is_project(&lower) {
            format!("did you mean `{mark}gcp:projects/{rest}`?")
        } else {
            FORMS.to_owned()
        };
        return Err(fault(format!("`{rest}` is not a project"), Some(help)));
    };
    if word != "projects" {
        let help = match nearest(word, ["projects"]) {
            Some(_) => format!("did you mean `{mark}gcp:projects/{project}`?"),
            None => FORMS.to_owned(),
        };
        return Err(fault(
            format!("`{word}` cannot be named in a scope of Google Cloud"),
            Some(help),
        ));
    }
    if project.is_empty() {
        return Err(fault(
            format!("scope `gcp:{rest}` names no project"),
            Some(FORMS.to_owned()),
        ));
    }
    if !is_project(project) {
        return Err(fault(
            format!("`{project}` is not the name of a project"),
            Some(FORMS.to_owned()),
        ));
    }
    Ok(Target::GcpProject(project.to_owned()))
}

/// What a body without its cloud probably means.
fn without_cloud(body: &str) -> Option<String> {
    let lower = body.to_lowercase();
    if is_account(body) || is_unit(&lower) {
        Some(format!("aws:{lower}"))
    } else if is_guid(body) {
        Some(format!("azure:/subscriptions/{body}"))
    } else if lower.starts_with("/subscriptions/") {
        Some(format!("azure:{body}"))
    } else if lower.starts_with("subscriptions/") {
        Some(format!("azure:/{body}"))
    } else if lower.starts_with("projects/") {
        Some(format!("gcp:{body}"))
    } else if lower.starts_with("arn:") {
        let account = lower.split(':').nth(4)?;
        is_account(account).then(|| format!("aws:{account}"))
    } else {
        None
    }
}

fn unknown_cloud(cloud: &str, rest: &str, mark: &str) -> ScopeFault {
    let meant = match cloud.to_lowercase().as_str() {
        "amazon" | "awscloud" => Some("aws"),
        "microsoft" | "az" | "arm" => Some("azure"),
        "google" | "gcloud" | "googlecloud" => Some("gcp"),
        other => nearest(other, ["aws", "azure", "gcp"]),
    };
    fault(
        format!("cloud `{cloud}` is not known"),
        Some(match meant {
            Some(meant) if !rest.is_empty() => format!("did you mean `{mark}{meant}:{rest}`?"),
            Some(meant) => format!("did you mean `{mark}{meant}:…`?"),
            None => "the clouds are `aws`, `azure` and `gcp`".to_owned(),
        }),
    )
}

fn fault(message: String, help: Option<String>) -> ScopeFault {
    ScopeFault { message, help }
}

/// Whether a text is the id of an AWS account: 12 digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|letter| letter.is_ascii_digit())
}

/// Whether a text is a GUID in its usual form of 8-4-4-4-12 digits.
pub(super) fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|letter| letter.is_ascii_hexdigit() || letter == b'-')
}

/// Whether a text is the id of an AWS organisational unit, root or organisation, `*` allowed for any letters.
///
/// The forms are those of the AWS Organizations API reference.
pub(crate) fn is_unit(text: &str) -> bool {
    let word = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        part.bytes()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == b'*')
            && (part.contains('*') || lengths.contains(&part.len()))
    };
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        ["ou", root, unit] => word(root, 4..=32) && word(unit, 8..=32),
        ["ou", glob] => glob.ends_with('*') && word(glob, 1..=32),
        ["r", root] => word(root, 4..=32),
        ["o", organization] => word(organization, 10..=32),
        _ => false,
    }
}

/// Whether a text can be a Google Cloud project's id or number, `*` allowed; old ids have a domain before a colon.
fn is_project(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| {
            letter.is_ascii_lowercase()
                || letter.is_ascii_digit()
                || matches!(letter, '-' | '.' | ':' | '*')
        })
}
