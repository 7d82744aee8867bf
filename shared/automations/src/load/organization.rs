use super::reader::Reader;
use crate::Organization;
use crate::scope::{is_account, is_unit};
use crate::yaml::Node;
use std::collections::BTreeMap;

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Organization> {
    let fields = reader.fields(root, "an organization", &["organization", "accounts"])?;
    let name = reader
        .require(&fields, "organization", "name it")
        .and_then(|node| reader.filled_text(node, "the name"));
    let help = "add the accounts, each with the units above it: `\"111122223333\": [ou-ab12-11111111, r-ab12]`";
    let node = reader.require(&fields, "accounts", help);
    let mut accounts = BTreeMap::new();
    if let Some(entries) = node.and_then(|node| reader.entries(node, "`accounts`")) {
        for (account, units) in entries {
            if !is_account(&account.text) {
                let message = format!("`{}` is not an account of 12 digits", account.text);
                let digits: String = account.text.chars().filter(char::is_ascii_digit).collect();
                let help = if is_account(&digits) {
                    format!("did you mean `\"{digits}\"`?")
                } else {
                    "such as `\"111122223333\"`".to_owned()
                };
                reader.fault_with_help(&account.span, message, help);
            }
            let units = reader.one_or_more(units);
            let units = units.into_iter().filter_map(|node| unit(reader, node));
            accounts.insert(account.text.clone(), units.collect());
        }
    }
    Some(Organization {
        name: name?,
        accounts,
    })
}

/// Reads the id of a unit in the form that scopes name it by.
fn unit(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.filled_text(node, "an organisational unit")?;
    let unit = text.to_lowercase();
    if is_unit(&unit) && !unit.contains('*') {
        return Some(unit);
    }
    reader.fault_with_help(
        &node.span,
        format!("`{text}` is not the id of an organisational unit or root"),
        "write each id whole, such as `ou-ab12-11111111` or `r-ab12`",
    );
    None
}
