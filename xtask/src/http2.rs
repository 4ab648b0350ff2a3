//! The suites of tests that know only HTTP/1.1, asked once more over HTTP/2: through a bridge (`TESTKIT_HTTP2`, in
//! `crates/testkit/src/bridge.rs`), so that what they show of the one is shown of the other. And those that know HTTP/2 in
//! clear text, asked once more over TLS (`TESTKIT_TLS`, in `crates/testkit/src/tls.rs`).

use crate::program::{cargo, run_in};
use crate::steps::{Failure, Outcome};
use std::path::Path;

/// The suites, with the tests that are about HTTP/1.1 itself, or about what a bridge changes, and why each is. What else
/// fails over HTTP/2 fails the step.
const SUITES: [(&str, &[Apart]); 3] = [("contract", CONTRACT), ("resume", &[]), ("sessions", SESSIONS)];

/// Tests that are left out, and the reason.
type Apart = (&'static [&'static str], &'static str);

const CONTRACT: &[Apart] = &[
    (
        &[
            "sse::a_client_of_http_1_0_gets_the_stream_until_the_connection_closes",
            "strictness::a_head_may_come_in_any_pieces",
            "strictness::a_head_that_does_not_come_in_time_is_408_or_closed",
            "strictness::a_length_that_is_no_number_is_400_and_close",
            "strictness::a_transfer_coding_that_cannot_be_read_is_refused",
            "strictness::an_idle_connection_is_closed_in_time",
            "strictness::an_oversized_head_is_431",
            "strictness::chunks_that_cannot_be_are_400_and_close",
            "strictness::connection_close_closes_and_http_1_0_closes_by_default",
            "strictness::content_length_with_transfer_encoding_is_400_and_close",
            "strictness::heads_that_are_not_well_formed_are_400_and_close",
            "strictness::no_host_is_400_and_so_are_two",
            "strictness::unlike_lengths_are_400_and_close",
            "strictness::versions_that_are_not_spoken_are_refused",
        ],
        "how HTTP/1.1 is written; the bridge reads it more kindly. RFC 9113's own strictness is in tests/http2",
    ),
    (
        &[
            "websocket::a_doubled_handshake_field_is_400",
            "websocket::a_missing_handshake_field_is_no_websocket",
            "websocket::no_key_or_a_bad_one_is_400",
            "seams::the_body_of_a_handshake_is_no_frame",
        ],
        "the fields of HTTP/1.1's handshake, which RFC 8441 has not",
    ),
    (
        &["open_mode::it_accepts_only_a_loopback_host", "open_mode::the_host_of_an_absolute_target_counts"],
        "`Host` as HTTP/1.1 has it: absent, or overruled by the target. `:authority` is in tests/http2",
    ),
    (
        &[
            "traffic::heartbeats_are_counted",
            "traffic::pages_are_counted_to_the_byte",
            "traffic::streams_are_counted_to_the_byte_live_and_behind",
        ],
        "bytes of HTTP/1.1's heads and chunks",
    ),
    (
        &["publish::a_client_that_expects_100_continue_gets_it", "drain::a_request_that_is_being_answered_is_answered"],
        "the bridge carries no interim answer. Both are in tests/http2",
    ),
    (
        &[
            "bad_input::a_publish_cut_in_the_middle_appends_nothing_of_its_event",
            "publish::a_publish_that_stops_in_the_middle_of_its_body_appends_nothing",
            "publish_stream::a_publish_that_is_cut_off_keeps_its_finished_lines",
            "limits::beyond_the_limit_a_request_is_503_with_retry_after",
            "drain::a_drain_does_not_wait_for_newcomers_who_have_yet_to_be_let_in",
            "drain::a_drain_does_not_wait_for_the_header_of_a_proxy",
            "drain::after_a_drain_nobody_is_accepted_and_the_port_is_free",
            "drain::every_client_is_told_within_3_seconds",
        ],
        "the connection and the port in front are the bridge's, and how the server closes its own is not seen there",
    ),
];

const SESSIONS: &[Apart] = &[];

/// Of the tests that speak HTTP/2 frame by frame, in clear text, those that are asked once more over TLS, where it was agreed
/// on by ALPN.
const SECURED: &[&str] =
    &["flow::", "frames::", "messages::", "streams::", "subscribers::", "websocket::", "windows::"];

/// Runs the suites.
pub(crate) fn suites() -> Result<Outcome, Failure> {
    for (suite, apart) in SUITES {
        let mut arguments = vec!["test", "--package", "switchboard", "--test", suite, "--", "--exact"];
        for name in apart.iter().flat_map(|(names, _)| *names) {
            arguments.extend(["--skip", name]);
        }
        let hint = "the failing test passes over HTTP/1.1: mend what differs, or say in xtask/src/http2.rs why it must";
        run_in(".", &[("TESTKIT_HTTP2", Path::new("1"))], &cargo(), &arguments, hint)?;
    }
    let arguments = [&["test", "--package", "switchboard", "--test", "http2", "--"], SECURED].concat();
    let hint = "the failing test passes in clear text: TESTKIT_TLS=alpn has it asked over TLS";
    run_in(".", &[("TESTKIT_TLS", Path::new("alpn"))], &cargo(), &arguments, hint)?;
    Ok(Outcome::Passed)
}
