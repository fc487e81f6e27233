"""docs/outages.md: each line is a test, and here it stands which."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "outages.md"
KINDS = ROOT / "docs" / "kinds.md"

PROMISES: dict[str, tuple[str, ...]] = {
    # -- PostgreSQL --------------------------------------------------------------------------------
    "restarted, killed, sessions terminated, network cut": (
        "process/test_outages_postgres.py::test_server_goes_away_under_writes",
        "process/test_outages_postgres.py::test_connections_cut_under_writes",
        "faults/test_postgres_gone.py::test_server_away",
        "faults/test_postgres_gone.py::test_sessions_end",
    ),
    "network silent: connections open but dead": (
        "process/test_outages_postgres.py::test_silent_connections_are_given_up",
        "faults/test_postgres_gone.py::test_network_silent",
    ),
    "failover to a replica, also one that lagged": (
        "faults/test_postgres_failover.py::test_found_while_it_runs",
        "faults/test_postgres_failover.py::test_found_at_the_start",
    ),
    "both primaries answer": ("faults/test_postgres_failover.py::test_the_old_primary_lives_on",),
    "restored dump, restored volume or snapshot": (
        "faults/test_postgres_restored.py::test_restored_while_it_runs",
        "faults/test_postgres_restored.py::test_volume_put_back",
        "faults/test_postgres_restored.py::test_snapshot_put_back",
        "process/test_state.py::test_database_restored_to_an_earlier_state",
    ),
    "another database under the same name": (
        "process/test_state.py::test_state_of_another_database",
        "process/test_state.py::test_index_of_another_database_behind_the_control_document",
        "faults/test_postgres_restored.py::test_restored_while_it_is_down",
    ),
    "no connection left, wrong password, a right revoked": (
        "faults/test_postgres_refusals.py::test_no_connection_left_at_the_start",
        "faults/test_postgres_refusals.py::test_a_connection_lost_and_none_left",
        "faults/test_postgres_refusals.py::test_a_right_is_revoked",
        "faults/test_postgres_refusals.py::test_another_password",
        "process/test_privileges.py::test_a_catalog_that_may_not_be_read",
    ),
    "a password or API key rotated in its file": (
        "process/test_log_ins.py::test_password_rotated_in_its_file",
        "process/test_log_ins.py::test_api_key_rotated_in_its_file",
        "process/test_log_ins.py::test_postgres_password_with_any_letters",
    ),
    "a certificate that is not trusted": (
        "process/test_log_ins.py::test_certificates",
        "process/test_log_ins.py::test_another_fingerprint",
        "process/test_log_ins.py::test_http_where_https_is_spoken_and_the_reverse",
        "process/test_log_ins.py::test_files_that_are_missing",
    ),
    "a connection pooler in between": (
        "process/test_pooler.py::test_every_command_refuses_it",
        "process/test_pooler.py::test_a_pooler_put_in_between",
    ),
    "the role or the database has defaults of its own": (
        "process/test_role_settings.py::test_a_role_of_odd_defaults",
    ),
    "a function of yours raises": (
        "integration/test_documents.py::test_faults_that_are_no_row_s",
        "integration/test_documents.py::test_which_key_a_mapping_fails_for",
        "integration/test_documents.py::test_any_fault_of_one_row",
    ),
    "an open transaction, prepared ones too": (
        "process/test_polls.py::test_a_standing_watermark_repeats_nothing",
        "process/test_once.py::test_open_transactions_are_not_waited_for",
        "faults/test_postgres_prepared.py::test_prepared_for_long",
    ),
    "queue of NOTIFY fills": (
        "faults/test_postgres_notify_queue.py::test_a_session_holds_the_queue",
        "faults/test_postgres_notify_queue.py::test_the_queue_is_full",
    ),
    "clock set back": (
        "faults/test_postgres_clock.py::test_set_back_and_forward_while_it_runs",
        "faults/test_postgres_clock.py::test_set_back_while_it_is_down",
    ),
    "rows stamped in the future": (
        "process/test_polls.py::test_rows_stamped_in_the_future",
        "faults/test_postgres_clock.py::test_stamped_before_the_clock_was_set_back",
        "process/test_polls.py::test_rows_stamped_in_the_future_while_a_transaction_is_open",
        "process/test_polls.py::test_many_rows_stamped_in_the_future_while_a_transaction_is_open",
        "integration/test_sweep.py::test_many_rows_ahead_while_transactions_are_open",
    ),
    # -- Statements of the application -------------------------------------------------------------
    "triggers are installed, mended, upgraded or removed while transactions are open": (
        "integration/test_triggers_locks.py::test_install_beside_writers",
        "integration/test_triggers_locks.py::test_remove_beside_writers",
        "integration/test_triggers_locks.py::test_another_version_beside_writers",
        "integration/test_triggers_locks.py::test_an_upgrade_of_the_schema_beside_writers",
        "unit/test_startup.py::test_a_start_that_others_are_in_the_way_of_looks_again",
        "process/test_start_and_stop.py::test_a_start_behind_a_long_transaction",
        "integration/test_triggers_locks.py::test_the_least_timeout_that_can_be_read",
    ),
    "another process of listener installs triggers, or is frozen in": (
        "unit/test_startup.py::test_a_start_that_others_are_in_the_way_of_looks_again",
        "unit/test_startup.py::test_once_does_not_wait_for_ever_for_what_is_in_the_way",
        "integration/test_triggers_install.py::test_the_lock_is_waited_for_with_patience",
        "process/test_start_and_stop.py::test_a_start_beside_an_installer_that_hangs",
        "process/test_start_and_stop.py::test_a_session_beside_an_installer_that_hangs",
    ),
    "`temp_file_limit` is low": (
        "integration/test_checks_limits.py::test_a_low_temp_file_limit_is_named",
        "integration/test_checks_limits.py::test_a_large_statement_under_a_low_temp_file_limit",
    ),
    "`max_notify_queue_pages` is low": (
        "integration/test_checks_limits.py::test_a_transaction_larger_than_the_queue",
    ),
    "listener's journal is locked by others": (
        "integration/test_triggers_migrations.py::test_a_journal_that_is_locked",
        "integration/test_triggers_migrations.py"
        "::test_a_journal_that_is_locked_for_writers_without_a_limit",
    ),
    "transactions that are REPEATABLE READ or SERIALIZABLE": (
        "integration/test_checks_limits.py"
        "::test_our_triggers_make_no_transaction_fail_to_serialize",
        "integration/test_checks_limits.py"
        "::test_only_an_index_on_the_stamp_makes_serializable_transactions_fail",
    ),
    "commits that NOTIFY": (
        "faults/test_postgres_notify_queue.py::test_a_session_holds_the_queue",
    ),
    "PREPARE TRANSACTION": ("integration/test_triggers_refusals.py::test_prepared_transactions",),
    "a stamp column is added that was not there": (
        "integration/test_checks_tables.py::test_a_column_that_will_be_added_is_named",
        "integration/test_checks_tables.py::test_statements_that_count_on_the_columns",
    ),
    "a watched table, or all tables, are published": (
        "integration/test_triggers_published.py::test_a_subscriber_without_the_column",
        "integration/test_triggers_published.py::test_publications_that_carry_a_new_column",
        "integration/test_triggers_published.py::test_a_publication_of_all_tables",
    ),
    "a policy, a foreign key, a unique index or a view's CHECK OPTION": (
        "integration/test_triggers_refusals.py::test_what_a_stamp_would_violate",
        "integration/test_triggers_refusals.py::test_what_a_stamp_would_violate_above",
        "integration/test_triggers_refusals.py::test_a_stamp_that_locks_as_a_key_does",
        "integration/test_triggers_refusals.py::test_a_stamp_that_violates_nothing",
    ),
    "a foreign table becomes a partition of a watched table": (
        "integration/test_triggers_refusals.py::test_a_foreign_table_becomes_a_part",
    ),
    "CREATE INDEX CONCURRENTLY, TRUNCATE, ALTER TABLE while": (
        "integration/test_triggers_locks.py::test_an_index_of_the_application_is_not_waited_for",
        "integration/test_triggers_locks.py::test_an_index_gives_way",
    ),
    "ALTER TABLE: the stamp column dropped or retyped": (
        "integration/test_triggers_migrations.py::test_postgresql_itself_keeps_the_stamp_column",
        "process/test_audit_stamps.py::test_dropped",
    ),
    # -- Elasticsearch -----------------------------------------------------------------------------
    "restarted, killed, 429, 503, no primary copy": (
        "process/test_outages_elasticsearch.py::test_server_goes_away_under_writes",
        "faults/test_search_kills.py::test_killed_with_deletes_in_flight",
        "faults/test_search_pressure.py::test_write_queue_is_full",
        "faults/test_search_pressure.py::test_no_copy_to_write_to",
        "process/test_pressure.py::test_bodies_that_are_too_large_or_too_many",
    ),
    "something else answers in its place": (
        "process/test_not_elasticsearch.py::test_under_a_daemon_at_work",
        "process/test_not_elasticsearch.py::test_it_is_there_at_the_start",
    ),
    "answers later than `request_timeout`": (
        "faults/test_search_slow.py::test_every_answer_is_too_late",
        "faults/test_search_kills.py::test_delayed_request_after_tombstones_are_gone",
        "process/test_takeover.py::test_delayed_request_of_a_dead_generation",
    ),
    "write block, read-only (a full disk), closed index": (
        "process/test_outages_elasticsearch.py::test_blocked_index_holds_everything",
        "faults/test_search_blocks.py::test_forbidden_writes_hold_everything",
    ),
    "index or alias deleted, alias moved, mapping or settings altered": (
        "process/test_load.py::test_index_vanishes_while_the_daemon_serves",
        "process/test_load.py::test_index_vanishes_while_the_daemon_is_down",
        "faults/test_search_indexes.py::test_deleted_index_comes_back_as_it_was",
        "faults/test_search_indexes.py::test_alias_changed_by_hand",
        "faults/test_search_indexes.py::test_settings_changed_by_hand",
    ),
    "a snapshot restored, under the same name": (
        "faults/test_search_went_back.py::test_a_snapshot_is_restored_while_the_daemon_is_stopped",
        "faults/test_search_went_back.py::test_a_snapshot_is_restored_while_the_daemon_runs",
        "faults/test_search_went_back.py::test_the_data_folder_is_put_back",
        "faults/test_search_went_back.py::test_an_empty_shard_takes_the_place_of_a_lost_one",
        "faults/test_search_went_back.py::test_a_load_under_way_goes_back",
    ),
    "started anew": ("faults/test_search_went_back.py::test_only_the_restart_tells",),
    "settings or mapping altered while the daemon was away": (
        "process/test_search_settings.py::test_changed_while_the_daemon_was_away",
        "process/test_search_settings.py::test_a_harmless_change_is_found_by_what_was_noted",
    ),
    "such a setting makes the index refuse what is written": (
        "process/test_search_settings.py::test_writes_that_the_index_in_use_refuses",
        "unit/test_answers.py::test_what_one_index_refuses_holds_its_kind_alone",
    ),
    "`blocks.read` on an index in use": (
        "process/test_search_settings.py::test_what_hinders_reads_and_the_control_index",
        "integration/test_checks_search.py::test_an_index_in_use_that_is_hindered",
        "unit/test_bulk.py::test_copies_that_are_not_there",
    ),
    "the same settings in `index_config.json`": (
        "process/test_search_settings.py::test_asked_for_in_the_configuration",
        "unit/test_index_settings.py::test_what_is_refused",
    ),
    "another pipeline, or the same one of another database, has the same index": (
        "process/test_owners.py::test_another_database_with_the_same_index",
        "process/test_owners.py::test_both_begin_at_once",
        "process/test_owners.py::test_a_database_that_was_moved",
    ),
    "the metadata of an index is blocked": (
        "integration/test_checks_search.py::test_an_index_whose_metadata_is_blocked",
        "integration/test_index_templates.py::test_what_a_template_adds_is_refused",
    ),
    "a snapshot is being made": (
        "faults/test_search_snapshot.py::test_start_while_a_snapshot_is_made",
        "integration/test_index_leftovers.py::test_a_deletion_that_is_refused",
    ),
    "the users' alias is given a filter or a routing": (
        "process/test_verify.py::test_the_users_alias_hides_documents",
        "integration/test_checks_search.py::test_elasticsearch_8",
    ),
    "a foreign template that matches listener's names": (
        "faults/test_search_indexes.py::test_template_of_somebody_else_is_there_first",
        "integration/test_index_templates.py::test_what_a_template_adds_is_refused",
        "integration/test_index_templates.py::test_what_would_be_loaded_anew_is_not_made",
    ),
    "another program's index, alias or template has a name that begins like the alias": (
        "integration/test_index_templates.py::test_names_of_other_programs",
        "integration/test_index_leftovers.py::test_indexes_of_an_alias_that_begins_like_this_one",
        "integration/test_index_leftovers.py::test_what_an_operator_has_blocked_of_others",
        "integration/test_checks_search.py::test_names_that_are_taken",
    ),
    "one document refused": (
        "process/test_pressure.py::test_a_bad_document_is_parked_and_comes_back",
        "parked/test_command.py::test_list_explain_and_try_again_with_a_daemon",
    ),
    "the files of a document are changed, and their query fails": (
        "process/test_definitions.py::test_a_query_that_fails_touches_nothing",
        "process/test_definitions.py::test_a_field_is_renamed_under_edits",
    ),
    "a migration drops a column or table that only the former query reads": (
        "process/test_definitions.py::test_a_column_is_dropped_together_with_new_files",
    ),
    "new files turn out to be wrong": (
        "process/test_rollback.py::test_back_and_forth_beside_a_daemon",
        "process/test_rollback.py::test_without_a_daemon",
        "process/test_rollback.py::test_its_time_is_over",
    ),
    "anything is wrong with a former index": (
        "process/test_rollback.py::test_a_former_one_never_holds",
        "unit/test_plan_formers.py::test_any_doubt_gives_it_up",
    ),
    "the process is killed between a swap or a rollback": (
        "process/test_rollback.py::test_killed_before_it_was_written_down",
        "unit/test_plan_formers.py::test_a_swap_that_was_not_written_down",
    ),
    "the document beside it is refused, too": (
        "parked/test_proof.py::test_a_setting_that_refuses_every_document",
        "parked/test_proof.py::test_the_only_row_and_a_setting",
    ),
    "a write alias leads to another index, too": (
        "parked/test_proof.py::test_an_alias_that_leads_to_two_indexes",
        "parked/test_proof.py::test_writes_that_go_elsewhere",
        "integration/test_sink.py::test_accepted_by_another_index",
    ),
    "a write alias has a routing": (
        "parked/test_proof.py::test_an_alias_with_a_routing",
        "parked/test_routing.py::test_the_audit_sees_it",
        "parked/test_routing.py::test_it_is_taken_back_and_the_daemon_killed",
        "parked/test_routing.py::test_it_stands_at_a_start",
        "parked/test_routing.py::test_verify_counts_and_mends_it",
        "parked/test_routing.py::test_a_load_that_was_killed",
    ),
    "a document with a version that is not of listener's making": (
        "process/test_promises.py::test_the_request_that_deletes_a_version_of_somebody_else",
    ),
    "all documents refused": (
        "process/test_pressure.py::test_a_mapping_that_refuses_everything_holds",
        "faults/test_search_backlog.py::test_a_backlog_that_is_refused",
        "faults/test_search_backlog.py::test_a_backlog_that_is_refused_beside_good_documents",
    ),
    "a query or mapping was changed, and its new index lacks": (
        "process/test_swap_guard.py::test_a_query_that_returns_nothing",
        "process/test_swap_guard.py::test_a_mapping_that_refuses_every_document",
        "process/test_swap_guard.py::test_a_person_accepts",
    ),
    "the first load of a table with rows gives no document": (
        "process/test_swap_guard.py::test_a_first_load_without_documents",
    ),
    "a node is frozen for more than `index.gc_deletes`": (
        "faults/test_search_cluster.py::test_a_node_is_frozen_with_requests_in_its_hands",
        "process/test_verify.py::test_verify_mends_beside_a_daemon",
    ),
    # -- the daemon --------------------------------------------------------------------------------
    "an SQL file or the file of an index is mistyped": (
        "process/test_files_of_users.py::test_mistakes_in_all_files_at_once",
        "process/test_files_of_users.py::test_one_mistake_is_one_finding",
    ),
    "a column or table that an SQL file reads is renamed or dropped": (
        "process/test_files_of_users.py::test_what_fails_later_is_told_with_its_line",
    ),
    "SIGKILL, at any moment": (
        "process/test_state.py::test_daemon_killed_again_and_again",
        "faults/test_daemon_kills.py::test_killed_before_the_verdict",
        "faults/test_daemon_kills.py::test_killed_between_verdict_and_state",
        "faults/test_daemon_kills.py::test_killed_around_the_save",
    ),
    "a second one is started": (
        "process/test_takeover.py::test_standby_takes_over_at_once",
        "process/test_pipelines.py::test_a_standby_with_another_configuration",
        "process/test_once.py::test_second_daemon",
        "faults/test_daemon_many.py::test_two_started_in_the_same_second",
    ),
    "its configuration is a copy": (
        "unit/test_peer.py::test_a_copied_configuration",
        "unit/test_peer.py::test_another_elasticsearch",
        "unit/test_signs.py::test_a_standby_of_another_daemon",
    ),
    "its work is stuck": (
        "unit/test_pulse.py::test_work_that_is_stuck",
        "unit/test_state_health.py::test_what_a_restart_mends",
    ),
    "another pipeline is configured with the same `postgres.schema`": (
        "process/test_pipelines.py::test_the_second_is_refused_by_name",
        "process/test_pipelines.py::test_a_schema_of_its_own_is_the_way_out",
        "process/test_pipelines.py::test_a_pipeline_that_was_renamed",
    ),
    "one pipeline name with two values of `postgres.schema` (a configuration that was copied)": (
        "process/test_pipelines.py::test_one_name_in_two_schemas",
    ),
    "frozen (SIGSTOP), or its network silent": (
        "process/test_takeover.py::test_process_that_slept_through_a_takeover",
        "faults/test_daemon_takeover.py::test_takeover_from_a_frozen_daemon",
        "faults/test_daemon_takeover.py::test_takeover_from_a_silent_connection",
        "faults/test_daemon_frozen.py::test_zombie_after_tombstones_are_forgotten",
    ),
    "state.yaml cannot be written": (
        "process/test_state.py::test_state_that_cannot_be_written",
        "faults/test_daemon_disk.py::test_disk_under_the_state",
    ),
    "state.yaml lost": (
        "process/test_state.py::test_missing_state_comes_from_the_control_document",
    ),
    "control document lost": (
        "process/test_state.py::test_lost_control_document",
        "process/test_state.py::test_control_document_lost_at_a_high_generation",
    ),
    "control document damaged, in any field, or not of listener's making": (
        "integration/test_control.py::test_damage_is_as_good_as_loss",
        "process/test_control_document.py::test_whatever_stands_there_at_a_start",
        "process/test_control_document.py::test_with_no_state_file",
        "process/test_control_document.py::test_while_a_daemon_serves",
    ),
    "control document of a newer listener": (
        "integration/test_control.py::test_fields_of_a_newer_release_are_left_out",
        "process/test_control_document.py::test_whatever_stands_there_at_a_start",
    ),
    "control index closed, blocked, an alias": (
        "integration/test_control.py::test_an_index_that_is_closed_or_blocked",
        "integration/test_control.py::test_a_name_that_is_an_alias",
        "integration/test_control.py::test_an_index_that_is_not_as_we_make_it",
        "process/test_control_document.py::test_a_control_index_that_is_closed",
    ),
    "state.yaml lost, and the control document too": (
        "process/test_state.py::test_missing_state_and_control_document",
    ),
    "state.yaml damaged": ("process/test_state.py::test_damaged_state_is_refused",),
    "a document taken out of the configuration, or its query changed, and put back": (
        "process/test_taken_out.py::test_out_and_in_again",
        "process/test_taken_out.py::test_out_on_one_machine_and_in_on_another",
        "process/test_taken_out.py::test_taken_out_while_it_is_loaded",
        "process/test_taken_out.py::test_an_index_renamed_and_named_back",
        "process/test_taken_out.py::test_a_query_changed_and_changed_back_while_it_is_loaded",
    ),
    # -- triggers and tables -----------------------------------------------------------------------
    "trigger disabled, dropped, altered; partition": (
        "process/test_audit_triggers.py::test_altered_while_the_daemon_runs",
        "process/test_audit_triggers.py::test_altered_while_the_daemon_is_away",
        "process/test_audit_partitions.py::test_detached_changed_and_attached",
        "process/test_audit_partitions.py::test_dropped",
        "process/test_audit_tables.py::test_a_table_made_anew",
        "faults/test_audit_under_load.py::test_our_schema_dropped_while_nobody_may_make_it_anew",
    ),
    "a table put under a new root of its name, a part that takes the name of its root": (
        "integration/test_triggers_parts.py::test_the_next_install_mends_it",
        "integration/test_triggers_parts.py::test_nothing_is_written_between",
    ),
    "a watched table that becomes a part of one that is not watched": (
        "integration/test_triggers_parts.py::test_the_next_install_mends_it",
    ),
    "listener's schema dropped": (
        "process/test_privileges.py::test_emergency_exit",
        "faults/test_audit_under_load.py::test_our_schema_dropped",
        "process/test_start_and_stop.py::test_our_schema_is_removed_while_it_starts",
    ),
    "a column added, dropped or rewritten by ALTER TABLE": (
        "process/test_promises.py::test_columns_come_and_go",
        "integration/test_triggers_audit.py::test_altered_and_altered_back",
        "process/test_verify.py::test_a_rewritten_column_is_compared",
    ),
    "a partition or child comes, is written, and goes again": (
        "integration/test_triggers_audit.py::test_altered_and_altered_back",
        "integration/test_triggers_audit.py::test_analyze_forgets_a_child_and_alters_nothing",
        "unit/test_audit.py::test_a_child_that_came_and_went",
    ),
    "a table (or its schema) renamed, moved or detached": (
        "process/test_audit_swapped.py::test_swapped_and_swapped_back",
    ),
    "what a query means altered, not its text": (
        "integration/test_meaning.py::test_what_a_query_depends_on",
        "process/test_audit_meaning.py::test_altered_under_the_daemon",
        "process/test_audit_meaning.py::test_altered_while_the_daemon_was_away",
        "process/test_audit_meaning.py::test_what_routes_changes_is_altered",
    ),
    "another meaning reads a table that is neither watched nor static": (
        "process/test_audit_meaning.py::test_another_meaning_that_reads_an_unwatched_table",
        "process/test_audit_meaning.py::test_another_meaning_that_nobody_can_look_into",
        "process/test_audit_meaning.py::test_another_meaning_that_a_session_finds_and_that_is_taken_back",
    ),
    "a view, static table, enum, domain, composite type or collation renamed or moved": (
        "integration/test_meaning.py::test_swapped_and_swapped_back",
        "integration/test_meaning.py::test_moved_and_moved_back",
        "process/test_audit_meaning.py::test_another_view_of_that_name_for_a_while",
    ),
    "a setting with a dot in its name": (
        "integration/test_meaning.py::test_what_a_query_depends_on",
        "process/test_audit_meaning.py::test_settings_of_the_server",
        "integration/test_meaning.py::test_a_library_that_ends_the_session",
    ),
    "`search_path` or another setting of the role": (
        "process/test_audit_meaning.py::test_search_path_of_the_role",
        "process/test_audit_meaning.py::test_a_connection_that_is_made_later",
    ),
    "a materialized view refreshed, a static table's rows changed": (
        "process/test_promises.py::test_a_static_table_s_rows_change",
    ),
    "what is in the database does not fit what the daemon knows of it": (
        "hostile/test_altered.py::test_altered_under_the_daemon",
        "faults/test_database_altered.py::test_altered_under_the_daemon",
        "process/test_stored_garbage.py::test_rows_of_our_schema",
    ),
    "TRUNCATE": (
        "process/test_edits.py::test_truncate_compares",
        "process/test_promises.py::test_a_truncate_may_empty_the_index",
    ),
    "a key or stamp column renamed, dropped, retyped": (
        "process/test_audit_stamps.py::test_retyped_to_what_cannot_be_stamped",
        "process/test_edits.py::test_migration_under_a_running_daemon",
        "faults/test_audit_keys_movies.py::test_renamed_then_dropped",
        "faults/test_audit_keys_movies.py::test_retyped",
    ),
    "a watched table set UNLOGGED": ("process/test_audit_tables.py::test_a_table_set_unlogged",),
    # -- paragraphs --------------------------------------------------------------------------------
    "No INSERT, UPDATE, DELETE or TRUNCATE of an application fails": (
        "process/test_outages_elasticsearch.py::test_server_goes_away_under_writes",
        "faults/test_audit_under_load.py::test_rights_revoked",
        "process/test_audit_triggers.py::test_what_not_even_the_journal_took",
    ),
    "memory stays bounded": (
        "faults/test_memory.py::test_a_million_rows_change_while_elasticsearch_is_away",
        "faults/test_memory.py::test_one_genre_of_all_films_is_renamed",
    ),
    "A comparison that nobody asked for deletes no more than": (
        "process/test_verify.py::test_a_comparison_does_not_empty_the_index",
        "faults/test_postgres_failover.py::test_more_is_lost_than_may_be_deleted",
        "unit/test_reconcile.py::test_the_guard",
    ),
    "A payload is only ever a request to read again": (
        "hostile/test_payloads.py::test_payloads_that_are_not_ours",
        "hostile/test_payloads.py::test_keys_that_no_row_has",
        "process/test_edits.py::test_payloads_of_strangers",
    ),
    "A flood fills the pending set": (
        "hostile/test_floods.py::test_flood_of_keys",
        "hostile/test_floods.py::test_flood_beside_edits",
        "hostile/test_floods.py::test_storm_of_sweeps",
    ),
    "Barriers carry a nonce": (
        "hostile/test_floods.py::test_barriers_that_are_copied",
        "hostile/test_floods.py::test_barriers_before_an_edit",
    ),
    "A row may hold anything": (
        "hostile/test_values.py::test_by_notifications",
        "hostile/test_values.py::test_by_polls",
        "hostile/test_values.py::test_documents_that_are_no_objects",
        "hostile/test_values.py::test_document_larger_than_all_the_room",
    ),
}
"""How a line begins, or words of a paragraph, and the tests that show it."""


def lines() -> list[str]:
    """What the rows of all tables are about."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    return [row.split(" | ")[0].removeprefix("| ") for row in rows if not row.startswith("| what")]


@pytest.mark.parametrize("line", lines())
def test_each_line_has_its_test(line: str) -> None:
    """A new line needs one, too."""
    assert [start for start in PROMISES if line.startswith(start)], "name its test in PROMISES"


def test_each_kind_names_tests_that_are_there() -> None:
    """docs/kinds.md says where they stand."""
    named = re.findall(r"`([a-z]+/test_\w+\.py)`", KINDS.read_text("utf-8"))
    assert len(named) > 30
    assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.parametrize("start", PROMISES)
def test_each_test_is_there(start: str) -> None:
    """Promises that are no more, and tests with another name, go from the list."""
    page = " ".join(PAGE.read_text("utf-8").split())
    assert start in page
    for name in PROMISES[start]:
        path, _, function = name.partition("::")
        assert function in _functions(ROOT / "tests" / path), name


@cache
def _functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef))
