//! What this handler promises to its users, one module for each promise.
//!
//! Every module that starts the real binary does so through [`support`], which searches
//! everything the process wrote, at `RUST_LOG=trace`, and every answer for secrets.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod support;

mod a_clone_answers_both_routes;
mod a_cold_secret_is_read_once;
mod a_panic_is_a_500_without_its_text;
mod all_protocol_modes_give_the_same_answer;
mod bad_settings_are_reported_at_once;
mod broken_vaults_are_answered_by_cause;
mod code_and_manifests_fit;
mod documents_match_the_code;
mod envelopes_are_always_answered;
mod keys_open_what_they_should;
mod metadata_comes_without_the_value;
mod stopping_drains_requests;
mod unresolved_references_are_never_set;
