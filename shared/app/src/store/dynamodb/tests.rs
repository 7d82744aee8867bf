use super::*;
use crate::conformance;
use crate::emulated;
use crate::store::Store;
use quench_emulator::Emulator;

const RETENTION: Duration = Duration::from_secs(100 * 24 * 60 * 60);

async fn fresh() -> (Store, Arc<Emulator>) {
    let emulator = emulated::emulator();
    let aws = emulated::aws(&emulator);
    let table = emulated::table(&aws).await;
    (Store::on_aws(aws, &table, RETENTION), emulator)
}

macro_rules! promises {
    ($($kind:ident: $($promise:ident)*;)*) => {$($(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let (store, _emulator) = fresh().await;
            conformance::$kind::$promise(&store).await;
        }
    )*)*};
}

promises! {
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
        runs_are_listed_by_filter_and_page
        a_run_is_found_by_how_its_id_begins
        some_runs_stand_apart_from_all_others
        one_of_many_claims_holds_the_run
        one_of_many_retries_queues_the_run
        a_journal_of_any_length_keeps_its_order
        a_run_of_a_large_finding_is_like_any_other;
}
