use crate::action::unrendered;
use crate::aws::is_region;
use crate::{ActionError, Context, neutral};
use quench_automations::templates::{self, Escape};
use serde::Serialize;
use serde_json::Value;

/// Where in AWS something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Account, by its twelve digits.
    pub account: String,
    /// Region.
    pub region: String,
}

impl Place {
    /// Reads what a step says, and takes account and region of the finding for what it does not.
    pub(crate) fn read(
        account: Option<&str>,
        region: Option<&str>,
        context: &Context,
    ) -> Result<Self, ActionError> {
        let of = |part: &str, template: Option<&str>| match template {
            Some(template) => chosen(part, template, context),
            None => context.all["finding"][part]
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| {
                    ActionError::permanent(format!("the finding has no {part}; name `{part}`"))
                }),
        };
        Self::checked(of("account", account)?, of("region", region)?)
    }

    /// Takes an account and a region that have the form of ones.
    pub(crate) fn checked(account: String, region: String) -> Result<Self, ActionError> {
        let no = |text: &str, what: &str| {
            let text = neutral::line(text, 80);
            ActionError::permanent(format!("`{text}` is no {what} of AWS"))
        };
        if !is_account(&account) {
            return Err(no(&account, "account"));
        }
        if !is_region(&region) {
            return Err(no(&region, "region"));
        }
        Ok(Self { account, region })
    }
}

pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// Renders a text that says what is called: of the finding it may take account and region alone, or its sender would
/// choose.
pub(crate) fn chosen(part: &str, template: &str, context: &Context) -> Result<String, ActionError> {
    let text = templates::render(template, &context.all, Escape::None).map_err(unrendered(part))?;
    if !context.is_placed(&Value::String(template.to_owned())) {
        return Err(ActionError::permanent(format!(
            "`{part}` is chosen by the finding, of which it may take `finding.account` and `finding.region` alone; name it in the playbook or in a parameter"
        )));
    }
    Ok(text.trim().to_owned())
}

/// The id of the run, which names sessions in the logs of accounts.
pub(crate) fn run_of(context: &Context) -> String {
    let id = context.all["run"]["id"].as_str();
    id.unwrap_or_default().to_owned()
}

/// Account and region of an ARN.
pub(crate) fn account_of(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.strip_prefix("arn:")?.split(':').skip(2);
    let (region, account) = (parts.next()?, parts.next()?);
    Some((account, region))
}
