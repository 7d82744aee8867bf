use crate::specimen::moment;
use crate::store::{Change, Store, StoreError};
use quench_automations::{Automation, Playbook};
use serde_json::{Value, json};

fn playbook(name: &str, version: &str, calls: &[&str]) -> Change {
    let steps: Vec<Value> = calls
        .iter()
        .map(|call| json!({"id": call, "kind": {"playbook": {"playbook": call}}}))
        .collect();
    // A call in a branch of a loop counts as well.
    let steps = json!([{"id": "each", "kind": {"for_each": {
        "items": "[]", "as": "x", "max": 1,
        "steps": [{"id": "if", "kind": {"if": {"condition": "true", "then": [], "else": steps}}}],
    }}}]);
    let definition: Playbook =
        serde_json::from_value(json!({"name": name, "triggers": ["alert"], "steps": steps}))
            .unwrap();
    Change::Playbook {
        definition,
        version: version.to_owned(),
        text: format!("playbook: {name}"),
    }
}

fn automation(name: &str, version: &str, playbook: &str) -> Change {
    let definition: Automation = serde_json::from_value(
        json!({"name": name, "trigger": "alert", "run": [{"playbook": playbook}]}),
    )
    .unwrap();
    Change::Automation {
        definition,
        version: version.to_owned(),
        text: format!("automation: {name}"),
    }
}

pub(crate) async fn definitions_are_put_all_or_none(store: &Store) {
    let applied = store
        .put_definitions(
            vec![
                automation("a", "1", "p"),
                playbook("p", "1", &["q"]),
                playbook("q", "1", &[]),
            ],
            moment(1),
        )
        .await
        .unwrap();
    assert_eq!(
        applied.created,
        ["automation `a`", "playbook `p`", "playbook `q`"]
    );
    assert_eq!(store.revision().await.unwrap(), 1);

    let lacking = vec![playbook("q", "2", &[]), automation("b", "1", "nowhere")];
    let refused = store.put_definitions(lacking, moment(2)).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no playbook `nowhere`");
    let q = store.playbook("q").await.unwrap().unwrap();
    assert_eq!((q.version.as_str(), q.updated), ("1", moment(1)));
    assert_eq!(store.automation("b").await.unwrap(), None);
    assert_eq!(store.revision().await.unwrap(), 1);

    let again = vec![playbook("q", "1", &[]), playbook("p", "2", &["q"])];
    let applied = store.put_definitions(again, moment(3)).await.unwrap();
    assert_eq!(applied.unchanged, ["playbook `q`"]);
    assert_eq!(applied.updated, ["playbook `p`"]);
    let p = store.playbook("p").await.unwrap().unwrap();
    assert_eq!((p.created, p.updated), (moment(1), moment(3)));
    assert_eq!(store.revision().await.unwrap(), 2);

    let same = vec![playbook("q", "1", &[])];
    store.put_definitions(same, moment(4)).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), 2);
}

pub(crate) async fn every_version_of_a_playbook_is_kept(store: &Store) {
    for version in ["1", "2", "3"] {
        let changes = vec![playbook("p", version, &[])];
        store.put_definitions(changes, moment(1)).await.unwrap();
    }
    store.delete_playbook("p").await.unwrap();
    assert_eq!(store.playbook("p").await.unwrap(), None);
    for version in ["1", "2", "3"] {
        let kept = store.playbook_version("p", version).await.unwrap();
        assert_eq!(kept.unwrap().name, "p");
    }
    assert_eq!(store.playbook_version("p", "4").await.unwrap(), None);
}

pub(crate) async fn a_playbook_in_use_is_not_deleted(store: &Store) {
    let changes = vec![
        playbook("inner", "1", &[]),
        playbook("outer", "1", &["inner"]),
        automation("a", "1", "outer"),
        automation("b", "1", "inner"),
    ];
    store.put_definitions(changes, moment(1)).await.unwrap();
    assert_eq!(
        store
            .delete_playbook("inner")
            .await
            .unwrap_err()
            .to_string(),
        "playbook `inner` is used by automation `b`, playbook `outer`; change or delete those first"
    );
    store.delete_automation("b").await.unwrap();
    assert!(store.delete_playbook("inner").await.is_err());
    store.delete_automation("a").await.unwrap();
    store.delete_playbook("outer").await.unwrap();
    store.delete_playbook("inner").await.unwrap();
    assert_eq!(
        store.delete_playbook("inner").await.unwrap_err(),
        StoreError::Missing {
            what: "playbook",
            name: "inner".to_owned()
        }
    );
}

pub(crate) async fn an_automation_stays_disabled_until_its_text_changes(store: &Store) {
    let changes = |version| vec![playbook("p", "1", &[]), automation("a", version, "p")];
    store
        .put_definitions(changes("1"), moment(1))
        .await
        .unwrap();
    store.set_enabled("a", false, moment(2)).await.unwrap();
    let revision = store.revision().await.unwrap();
    store.set_enabled("a", false, moment(3)).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), revision);

    store
        .put_definitions(changes("1"), moment(4))
        .await
        .unwrap();
    let stored = store.automation("a").await.unwrap().unwrap();
    assert!(!stored.definition.enabled);
    store
        .put_definitions(changes("2"), moment(5))
        .await
        .unwrap();
    assert!(
        store
            .automation("a")
            .await
            .unwrap()
            .unwrap()
            .definition
            .enabled
    );
    assert!(store.set_enabled("b", true, moment(6)).await.is_err());
}

pub(crate) async fn any_number_of_definitions_is_put_all_or_none(store: &Store) {
    let names: Vec<String> = (0..150).map(|number| format!("n{number:03}")).collect();
    let changes = |version: &str| {
        let playbooks = names.iter().map(|name| playbook(name, version, &[]));
        let automations = names.iter().map(|name| automation(name, version, name));
        automations.chain(playbooks).collect::<Vec<_>>()
    };
    let applied = store.put_definitions(changes("1"), moment(1)).await;
    assert_eq!(applied.unwrap().created.len(), 300);

    let mut lacking = changes("2");
    lacking.push(automation("z", "2", "nowhere"));
    let refused = store.put_definitions(lacking, moment(2)).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no playbook `nowhere`");
    assert_eq!(versions_in_force(store).await, ["1"; 300]);

    // Whoever reads meanwhile sees one state or the other.
    let reading = async {
        let mut seen = Vec::new();
        while seen.last() != Some(&"4".to_owned()) {
            let versions = versions_in_force(store).await;
            assert_eq!(versions.len(), 300);
            assert!(versions.iter().all(|version| *version == versions[0]));
            seen.push(versions[0].clone());
        }
        assert!(seen.is_sorted());
    };
    let writing = async {
        for version in 2..=4 {
            let changes = changes(&version.to_string());
            store.put_definitions(changes, moment(3)).await.unwrap();
        }
    };
    tokio::join!(reading, writing);
    for version in ["1", "4"] {
        let kept = store.playbook_version("n149", version).await.unwrap();
        assert_eq!(kept.unwrap().name, "n149");
    }
}

async fn versions_in_force(store: &Store) -> Vec<String> {
    let inventory = store.inventory().await.unwrap();
    let automations = inventory.automations.into_iter();
    let playbooks = inventory.playbooks.into_iter();
    let automations = automations.map(|stored| stored.version);
    automations
        .chain(playbooks.map(|stored| stored.version))
        .collect()
}

pub(crate) async fn changes_at_the_same_time_are_all_kept(store: &Store) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let name = format!("n{number}");
            let changes = vec![playbook(&name, "1", &[]), automation(&name, "1", &name)];
            let applied = store
                .put_definitions(changes, moment(number))
                .await
                .unwrap();
            assert_eq!(applied.created.len(), 2);
            if number % 2 == 0 {
                store.set_enabled(&name, false, moment(9)).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let inventory = store.inventory().await.unwrap();
    assert_eq!(inventory.revision, 12);
    let automations = inventory.automations.iter();
    let enabled: Vec<_> = automations
        .map(|stored| (stored.definition.name.as_str(), stored.definition.enabled))
        .collect();
    let expected: Vec<_> = (0..8)
        .map(|number| (format!("n{number}"), number % 2 == 1))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, on)| (name.as_str(), *on))
        .collect();
    assert_eq!(enabled, expected);
    assert_eq!(inventory.playbooks.len(), 8);
}
