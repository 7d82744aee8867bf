use super::*;
use crate::conformance;
use crate::specimen::{moment, record};
use crate::store::Store;
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;

async fn fresh() -> (Store, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("quench.db")).await.unwrap();
    (store, folder)
}

macro_rules! store_promises {
    ($($kind:ident: $($promise:ident)*;)*) => {$($(
        #[tokio::test]
        async fn $promise() {
            let (store, _folder) = fresh().await;
            conformance::$kind::$promise(&store).await;
        }
    )*)*};
}

store_promises! {
    approvals:
        a_question_is_put_once_and_found_by_the_tokens_that_were_made_for_it
        a_question_is_decided_once_in_time_and_about_what_was_asked
        one_of_many_deciders_wins_and_the_others_are_told_who
        questions_are_listed_by_filter_and_page
        a_decision_is_unheard_until_the_run_has_heard_of_it
        a_large_question_is_like_any_other
        a_waiting_run_is_woken_and_a_finished_one_is_not
        a_run_that_is_woken_while_it_is_held_does_not_wait
        no_more_places_are_had_within_an_hour_than_there_are
        a_place_is_free_again_after_an_hour
        old_questions_expire;
    definitions:
        definitions_are_put_all_or_none
        every_version_of_a_playbook_is_kept
        a_playbook_in_use_is_not_deleted
        an_automation_stays_disabled_until_its_text_changes
        any_number_of_definitions_is_put_all_or_none
        changes_at_the_same_time_are_all_kept;
    findings:
        a_finding_is_put_only_over_the_version_that_was_read
        a_pending_mark_goes_only_with_its_own_transition
        findings_are_listed_by_filter_and_page
        one_of_many_puts_of_a_version_wins
        a_large_finding_is_put_and_read_whole
        a_finding_may_have_any_id;
    runs:
        a_run_is_made_once
        a_run_is_held_by_one_worker_at_a_time
        a_late_worker_writes_nothing_more
        runs_are_due_when_somebody_should_take_them_up
        only_a_failed_run_is_queued_again
        only_a_finished_run_is_queued_again_to_be_undone
        runs_are_listed_by_filter_and_page
        a_run_is_found_by_how_its_id_begins
        some_runs_stand_apart_from_all_others
        one_of_many_claims_holds_the_run
        one_of_many_retries_queues_the_run
        a_journal_of_any_length_keeps_its_order
        a_run_of_a_large_finding_is_like_any_other
        what_is_old_and_over_expires;
}

async fn open_again(folder: &TempDir) -> Result<Store, StoreError> {
    Store::open(&folder.path().join("quench.db")).await
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let (store, folder) = fresh().await;
    store.put_finding(&record("f", moment(1))).await.unwrap();
    drop(store);
    let store = open_again(&folder).await.unwrap();
    assert_eq!(
        store.finding("f").await.unwrap().unwrap(),
        record("f", moment(1))
    );
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let (store, folder) = fresh().await;
    drop(store);
    let file = folder.path().join("quench.db");
    let connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let told = open_again(&folder).await.unwrap_err();
    assert!(!told.is_transient());
    let told = told.to_string();
    assert!(
        told.contains("is of version 99") && told.contains(&file.display().to_string()),
        "{told}"
    );
}

#[tokio::test]
async fn a_file_of_an_older_version_is_brought_up_to_date_with_what_is_in_it() {
    let (store, folder) = fresh().await;
    let run = crate::specimen::run("r", moment(1));
    store.create_run(&run).await.unwrap();
    store.put_finding(&record("f", moment(1))).await.unwrap();
    drop(store);
    // As the first version left it: what came later is taken away.
    let connection = Connection::open(folder.path().join("quench.db")).unwrap();
    connection
        .execute_batch(
            "DROP TABLE approvals; DROP TABLE approval_tokens; DROP TABLE reservations;
             ALTER TABLE runs DROP COLUMN woken; ALTER TABLE findings DROP COLUMN sent; PRAGMA user_version = 1;",
        )
        .unwrap();
    let first = Connection::open_in_memory().unwrap();
    first.execute_batch(include_str!("schema/1.sql")).unwrap();
    let objects = |connection: &Connection| {
        let sql = "SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1";
        let mut statement = connection.prepare(sql).unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.collect::<Result<Vec<String>, _>>().unwrap()
    };
    assert_eq!(objects(&connection), objects(&first));
    drop(connection);

    let store = open_again(&folder).await.unwrap();
    assert_eq!(store.run("r").await.unwrap().unwrap(), run);
    assert!(store.finding("f").await.unwrap().is_some());
    assert!(store.wake_run("r", moment(2)).await.unwrap());
    conformance::approvals::a_decision_is_unheard_until_the_run_has_heard_of_it(&store).await;
}

#[tokio::test]
async fn the_file_of_another_program_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let connection = Connection::open(folder.path().join("quench.db")).unwrap();
    connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let told = open_again(&folder).await.unwrap_err().to_string();
    assert!(told.contains("belongs to another program"), "{told}");
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn a_damaged_file_is_told_with_its_path() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("quench.db");
    fs::write(
        &file,
        "this is not a database, but it is long enough to be taken for one".repeat(99),
    )
    .unwrap();
    let told = open_again(&folder).await.unwrap_err();
    assert!(!told.is_transient());
    assert!(
        told.to_string().contains("is damaged or is no database"),
        "{told}"
    );
    assert!(told.to_string().contains("quench.db"), "{told}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (store, folder) = fresh().await;
    store.put_finding(&record("f", moment(1))).await.unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_missing_folder_is_told() {
    let told = Store::open(Path::new("/nowhere/at/all/quench.db"))
        .await
        .unwrap_err();
    assert!(
        told.to_string()
            .contains("`/nowhere/at/all/quench.db` cannot be opened"),
        "{told}"
    );
}

#[tokio::test]
async fn a_full_disk_is_transient_and_harms_nothing() {
    let (store, _folder) = fresh().await;
    store
        .put_finding(&record("before", moment(1)))
        .await
        .unwrap();
    let file = store.sqlite();
    let pages = |pages: i64| async move {
        file.write(move |connection| {
            Ok(
                connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| {
                    row.get::<_, i64>(0)
                })?,
            )
        })
        .await
        .unwrap()
    };
    pages(1).await;
    let mut large = record("large", moment(1));
    Arc::make_mut(&mut large.finding).raw = serde_json::Value::from("x".repeat(1 << 20)).into();
    let told = store.put_finding(&large).await.unwrap_err();
    assert!(told.is_transient(), "{told:?}");
    assert!(told.to_string().contains("is full"), "{told}");
    pages(1_000_000).await;
    assert!(store.put_finding(&large).await.unwrap());
    assert!(store.finding("before").await.unwrap().is_some());
}

#[tokio::test]
async fn a_torn_end_of_the_log_costs_only_the_write_it_belongs_to() {
    let (store, folder) = fresh().await;
    for number in 0..20 {
        store
            .put_finding(&record(&format!("f{number}"), moment(number)))
            .await
            .unwrap();
    }
    // What a loss of power leaves: the file and its log as they are, the last page of the log half written.
    let copy = TempDir::new().unwrap();
    fs::copy(
        folder.path().join("quench.db"),
        copy.path().join("quench.db"),
    )
    .unwrap();
    let log = fs::read(folder.path().join("quench.db-wal")).unwrap();
    fs::write(copy.path().join("quench.db-wal"), &log[..log.len() - 100]).unwrap();
    let store = open_again(&copy).await.unwrap();
    let found = store
        .findings(&Default::default(), Default::default())
        .await
        .unwrap();
    assert_eq!(found.len(), 19);
    assert!(store.put_finding(&record("f19", moment(19))).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_takes_no_neighbour_along() {
    let (store, _folder) = fresh().await;
    let file = store.sqlite();
    let mut writes = Vec::new();
    for number in 0..200_i64 {
        let (store, file) = (store.clone(), file.clone());
        writes.push(tokio::spawn(async move {
            match number % 4 {
                0 => file
                    .write(move |connection| {
                        connection.execute("DELETE FROM findings", [])?;
                        Err::<(), _>(Fault::Store(StoreError::Missing {
                            what: "x",
                            name: String::new(),
                        }))
                    })
                    .await
                    .is_err(),
                _ => store
                    .put_finding(&record(&format!("f{number}"), moment(number)))
                    .await
                    .unwrap(),
            }
        }));
    }
    for write in writes {
        assert!(write.await.unwrap());
    }
    let page = crate::store::Page {
        limit: 999,
        skip: 0,
    };
    assert_eq!(
        store
            .findings(&Default::default(), page)
            .await
            .unwrap()
            .len(),
        150
    );
}

#[tokio::test]
async fn a_write_that_panics_leaves_a_store_that_works() {
    let (store, _folder) = fresh().await;
    let file = store.sqlite();
    let panicked: Result<(), _> = file
        .write(|connection| {
            connection.execute("UPDATE facts SET value = 7", [])?;
            panic!("on purpose")
        })
        .await;
    assert!(panicked.unwrap_err().is_transient());
    assert_eq!(store.revision().await.unwrap(), 0);
    assert!(store.put_finding(&record("f", moment(1))).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_share_one_file() {
    let (first, folder) = fresh().await;
    let second = open_again(&folder).await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..100_i64 {
        for store in [first.clone(), second.clone()] {
            tasks.push(tokio::spawn(async move {
                store
                    .put_finding(&record(&format!("f{number}"), moment(number)))
                    .await
                    .unwrap()
            }));
        }
    }
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_make_one_store() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("quench.db");
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { Store::open(&path).await })
        })
        .collect();
    for opened in opening {
        assert_eq!(opened.await.unwrap().unwrap().revision().await.unwrap(), 0);
    }
}
