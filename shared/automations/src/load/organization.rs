use super::reader::Reader;
use crate::Organization;
use crate::yaml::Node;
use std::collections::BTreeMap;

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Organization> {
    let fields = reader.fields(root, "an organization", &["organization", "accounts"])?;
    let name = reader
        .require(&fields, "organization", "name it")
        .and_then(|node| reader.filled_text(node, "the name"));
    let help = "add the accounts, each with the units above it: `\"111122223333\": [ou-ab12-prod]`";
    let node = reader.require(&fields, "accounts", help);
    let mut accounts = BTreeMap::new();
    if let Some(entries) = node.and_then(|node| reader.entries(node, "`accounts`")) {
        for (account, units) in entries {
            if account.text.trim().is_empty() || account.text.contains(char::is_whitespace) {
                let message = format!("`{}` is not an account", account.text);
                reader.fault_with_help(&account.span, message, "such as `\"111122223333\"`");
            }
            let units = reader.one_or_more(units);
            let units = units
                .into_iter()
                .filter_map(|unit| reader.filled_text(unit, "an organisational unit"));
            accounts.insert(account.text.clone(), units.collect());
        }
    }
    Some(Organization {
        name: name?,
        accounts,
    })
}
