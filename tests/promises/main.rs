//! What this handler promises to its users, one module for each promise.
//!
//! Every module that starts the real binary does so through [`support`], which searches
//! everything the process wrote, at `RUST_LOG=trace`, and every answer for secrets.

#![expect(
    clippy::disallowed_methods,
    reason = "switches of the tests, not settings"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod support;

mod a_broken_function_harms_one_request;
mod a_cap_is_told;
mod a_clone_answers_both_routes;
mod a_cold_secret_is_read_once;
mod a_crowd_costs_what_one_caller_costs;
mod a_fleet_stays_below_the_vaults_limit;
#[cfg(unix)]
mod a_person_at_a_terminal_is_served;
mod a_rotation_survives_a_crash;
mod a_secret_that_expires_is_a_line_in_time;
mod a_wrong_setting_is_an_answer_under_a_host;
mod all_protocol_modes_give_the_same_answer;
mod an_app_is_checked_from_outside;
mod an_instance_spares_the_vaults;
mod an_unresolved_setting_of_ours_is_explained;
mod bad_settings_are_reported_at_once;
mod bodies_that_nobody_reads_are_drained;
mod broken_vaults_are_answered_by_cause;
mod code_and_manifests_fit;
mod config_check_has_one_shape;
mod documents_match_the_code;
mod envelopes_are_always_answered;
mod every_fault_has_an_answer;
mod every_read_of_a_vault_is_a_line;
mod every_setting_has_its_own_name;
mod every_unresolved_reference_is_explained;
mod expiry_is_told_for_each_reference;
mod explanations_are_true_where_they_are_read;
mod failed_sign_ins_are_told_by_cause;
mod fixes_work_where_beginners_are;
mod freshness_is_told_without_the_value;
mod it_stays_up;
mod json_reads_well_in_a_terminal;
mod keys_open_what_they_should;
mod metadata_comes_without_the_value;
mod no_answer_is_stored;
mod nothing_secret_is_ever_written;
mod rooms_know_only_whom_the_picture_shows;
mod rotation_heals_itself;
mod silent_vaults_do_not_hold_up_config_check;
mod stopping_drains_requests;
mod telemetry_reaches_its_receiver;
mod the_contract_is_kept;
mod the_dev_vault_sends_what_event_grid_would;
mod the_dev_vault_serves_other_programs;
mod the_host_grades_every_line;
mod the_network_path_is_told;
mod the_package_runs_by_itself;
mod the_page_is_safe_and_complete;
mod the_streams_wait_for_no_reader;
mod the_template_fits_the_code;
mod tokens_are_asked_for_key_vault_only;
mod traces_continue_into_the_vault;
mod unresolved_references_are_never_set;
#[cfg(target_os = "linux")]
mod values_leave_no_trace_in_memory;
mod what_breaks_when_is_told;
