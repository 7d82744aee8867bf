//! How a request is told without what looks like a secret.

use quench_automations::names_secret;
use serde::Serializer;
use std::collections::BTreeMap;

const STRUCK_OUT: &str = "…";

pub(super) fn address<S: Serializer>(url: &str, to: S) -> Result<S::Ok, S::Error> {
    let Some((place, query)) = url.split_once('?') else {
        return to.serialize_str(&without_user(url));
    };
    let told: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if names_secret(name) => format!("{name}={STRUCK_OUT}"),
            _ => pair.to_owned(),
        })
        .collect();
    to.serialize_str(&format!("{}?{}", without_user(place), told.join("&")))
}

fn without_user(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else {
        return place.to_owned();
    };
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    match host.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{STRUCK_OUT}@{host}{path}"),
        None => place.to_owned(),
    }
}

pub(super) fn fields<S: Serializer>(
    fields: &BTreeMap<String, String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(fields.iter().map(|(name, value)| {
        let value = if names_secret(name) {
            STRUCK_OUT
        } else {
            value
        };
        (name, value)
    }))
}
