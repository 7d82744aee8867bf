//! Rules of security groups: read with all that they hold, revoked by their ids, and authorised again as they were.

use super::api::{Api, Form, Pages, form};
use super::fault::Fault;
use crate::aws::{Element, Service};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most rules in one call.
const AT_ONCE: usize = 50;

/// The two lists of rules that a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    fn operation(self, verb: &str) -> String {
        match self {
            Self::Ingress => format!("{verb}SecurityGroupIngress"),
            Self::Egress => format!("{verb}SecurityGroupEgress"),
        }
    }
}

/// Reads the rules of a group as `ingress` and `egress`, each rule under what it says, such as `tcp 22 from 0.0.0.0/0`.
///
/// A rule without what it says is no other rule: AWS has none twice.
pub(super) async fn read(api: &Api<'_>, group: &str) -> Result<Value, Fault> {
    let form = form([("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)]);
    let list = ("securityGroupRuleSet", Pages::Token);
    let found = api
        .list(Service::Ec2, "DescribeSecurityGroupRules", form, list)
        .await?;
    let (mut ingress, mut egress) = (Map::new(), Map::new());
    for rule in &found {
        let rule_is = |name| rule.text_at(name) == Some("true");
        let list = if rule_is("isEgress") {
            &mut egress
        } else {
            &mut ingress
        };
        let (name, rule) = entry(rule)?;
        list.insert(name, rule);
    }
    Ok(json!({ "ingress": ingress, "egress": egress }))
}

fn entry(rule: &Element) -> Result<(String, Value), Fault> {
    let text = |path: &str| rule.text_at(path).filter(|text| !text.is_empty());
    let mut fields = Map::new();
    let id = text("securityGroupRuleId").ok_or_else(|| Fault::lacks("securityGroupRuleId"))?;
    let protocol = text("ipProtocol").ok_or_else(|| Fault::lacks("ipProtocol"))?;
    fields.insert("id".to_owned(), id.into());
    fields.insert("protocol".to_owned(), protocol.into());
    let ports = (text("fromPort"), text("toPort"));
    for (name, port) in [("from", ports.0), ("to", ports.1)] {
        if let Some(port) = port.and_then(|port| port.parse::<i32>().ok()) {
            fields.insert(name.to_owned(), port.into());
        }
    }
    let mut peer = String::new();
    for (name, path) in [
        ("ipv4", "cidrIpv4"),
        ("ipv6", "cidrIpv6"),
        ("prefix_list", "prefixListId"),
        ("group", "referencedGroupInfo/groupId"),
        ("group_account", "referencedGroupInfo/userId"),
    ] {
        if let Some(value) = text(path) {
            if name != "group_account" {
                peer = value.to_owned();
            }
            fields.insert(name.to_owned(), value.into());
        }
    }
    if let Some(description) = rule.text_at("description").filter(|text| !text.is_empty()) {
        fields.insert("description".to_owned(), description.into());
    }
    let tags: Map<String, Value> = rule
        .items("tagSet")
        .filter_map(|tag| {
            let value = tag.text_at("value").unwrap_or_default();
            Some((tag.text_at("key")?.to_owned(), value.into()))
        })
        .collect();
    if !tags.is_empty() {
        fields.insert("tags".to_owned(), tags.into());
    }
    Ok((name(protocol, ports, &peer), fields.into()))
}

fn name(protocol: &str, ports: (Option<&str>, Option<&str>), peer: &str) -> String {
    match (protocol, ports) {
        ("-1", _) => format!("all with {peer}"),
        (protocol, (Some(first), Some(last))) if first == last => {
            format!("{protocol} {first} with {peer}")
        }
        (protocol, (Some(first), Some(last))) => format!("{protocol} {first}-{last} with {peer}"),
        (protocol, _) => format!("{protocol} with {peer}"),
    }
}

/// Rules without the ids that AWS gives them, anew each time.
pub(super) fn compared(rules: &Value) -> Value {
    let Some(rules) = rules.as_object() else {
        return rules.clone();
    };
    let rules: Map<String, Value> = rules
        .iter()
        .map(|(name, rule)| {
            let mut rule = rule.clone();
            if let Some(fields) = rule.as_object_mut() {
                fields.remove("id");
            }
            (name.clone(), rule)
        })
        .collect();
    rules.into()
}

/// Makes one list of rules of another: revokes what is too much, then authorises what is lacking.
pub(super) async fn write(
    api: &Api<'_>,
    group: &str,
    direction: Direction,
    (from, to): (&Value, &Value),
) -> Result<(), Fault> {
    let empty = Map::new();
    let [from, to] = [from, to].map(|state| state[direction.field()].as_object().unwrap_or(&empty));
    let is_in = |rules: &Map<String, Value>, name: &str, rule: &Value| {
        let same = |value: &Value| {
            compared(&json!({ "rule": value })) == compared(&json!({ "rule": rule }))
        };
        rules.get(name).is_some_and(same)
    };
    let surplus: Vec<&Value> = from
        .iter()
        .filter(|(name, rule)| !is_in(to, name, rule))
        .map(|(_, rule)| rule)
        .collect();
    for some in surplus.chunks(AT_ONCE) {
        let mut form = form([("GroupId", group)]);
        for (place, rule) in some.iter().enumerate() {
            let id = rule["id"].as_str().ok_or_else(|| Fault::lacks("id"))?;
            form.push((format!("SecurityGroupRuleId.{}", place + 1), id.to_owned()));
        }
        // On doubt the rules are read again: those that are gone cannot be revoked.
        let operation = direction.operation("Revoke");
        api.query_once(Service::Ec2, &operation, form).await?;
    }
    // The tags of a call are those of all its rules.
    let mut lacking: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for (_, rule) in to.iter().filter(|(name, rule)| !is_in(from, name, rule)) {
        let tags = rule["tags"].to_string();
        lacking.entry(tags).or_default().push(rule);
    }
    for rules in lacking.values() {
        for some in rules.chunks(AT_ONCE) {
            let mut form = form([("GroupId", group)]);
            form.extend(permissions(some));
            let operation = direction.operation("Authorize");
            api.query_once(Service::Ec2, &operation, form).await?;
        }
    }
    Ok(())
}

fn permissions(rules: &[&Value]) -> Form {
    let mut form = Form::new();
    for (place, rule) in rules.iter().enumerate() {
        let mut put = |name: &str, value: &Value| {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Null => return,
                other => other.to_string(),
            };
            form.push((format!("IpPermissions.{}.{name}", place + 1), value));
        };
        put("IpProtocol", &rule["protocol"]);
        put("FromPort", &rule["from"]);
        put("ToPort", &rule["to"]);
        for (name, list, item) in [
            ("ipv4", "IpRanges", "CidrIp"),
            ("ipv6", "Ipv6Ranges", "CidrIpv6"),
            ("prefix_list", "PrefixListIds", "PrefixListId"),
            ("group", "Groups", "GroupId"),
        ] {
            if rule[name].is_null() {
                continue;
            }
            put(&format!("{list}.1.{item}"), &rule[name]);
            put(&format!("{list}.1.Description"), &rule["description"]);
            if name == "group" {
                put(&format!("{list}.1.UserId"), &rule["group_account"]);
            }
        }
    }
    let tags = rules.first().and_then(|rule| rule["tags"].as_object());
    for (place, (key, value)) in tags.into_iter().flatten().enumerate() {
        if place == 0 {
            let kind = "TagSpecification.1.ResourceType".to_owned();
            form.push((kind, "security-group-rule".to_owned()));
        }
        let name = |part| format!("TagSpecification.1.Tag.{}.{part}", place + 1);
        form.push((name("Key"), key.clone()));
        form.push((name("Value"), value.as_str().unwrap_or_default().to_owned()));
    }
    form
}

/// Makes sure that a group is there.
pub(super) async fn group(api: &Api<'_>, id: &str) -> Result<Element, Fault> {
    let answer = api
        .ec2("DescribeSecurityGroups", form([("GroupId.1", id)]))
        .await?;
    let mut groups = answer.items("securityGroupInfo").cloned();
    groups
        .find(|group| group.text_at("groupId") == Some(id))
        .ok_or_else(|| Fault::missing(api.target, "it is not listed"))
}
