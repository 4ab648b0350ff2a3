//! The contract suite, run against every log.

// A test fails by panicking, also in what it is made of.
#![allow(clippy::unwrap_used, clippy::panic)]

mod suite;

use switchboard_store::{Memory, Policy};
use switchboard_wire::Epoch;

macro_rules! contract {
    ($make:expr, $($module:ident: $($sentence:ident)*;)*) => {
        $(mod $module {
            $(#[test]
            fn $sentence() {
                super::suite::$module::$sentence($make);
            })*
        })*
    };
}

fn memory(policy: Policy) -> Memory {
    Memory::new(Epoch::new(42), policy)
}

contract! { super::memory,
    writing:
        names_rise_across_channels
        time_never_goes_back
        a_batch_is_appended_whole_or_not_at_all
        an_ended_channel_refuses_and_its_deletion_frees_the_name
        an_end_needs_no_last_event
        deleting_what_is_not_there_does_nothing
        channels_are_listed_by_name
        the_ring_hands_over_everything_once_in_order
        a_taker_that_is_too_slow_is_overrun;
    reading:
        a_channel_never_published_to_is_empty
        latest_is_followed_by_everything_published_after
        several_channels_are_one_stream_of_rising_positions
        patterns_select_what_they_match
        one_position_resumes_any_set_of_channels
        a_quiet_channel_beside_a_busy_one_resumes_without_a_gap
        a_piece_keeps_to_its_budget_and_gives_at_least_one
        a_page_begins_at_the_earliest
        a_reading_stops_where_the_shard_is
        a_gap_reaches_past_the_shard_where_the_loss_does
        a_sparse_pattern_is_found_in_a_long_log;
    gaps:
        trimming_by_count_is_told_exactly
        trimming_by_bytes_keeps_a_single_large_event
        an_event_expires_to_the_millisecond
        the_oldest_of_all_goes_first
        a_forgotten_channel_is_told
        channels_forgotten_together_are_one_gap
        a_deletion_is_told
        a_foreign_position_is_a_gap_of_reason_epoch
        a_position_beyond_the_head_is_a_gap_of_reason_ahead
        garbage_is_a_gap_of_reason_unknown
        a_position_of_several_logs_is_read_by_its_own_mark
        a_loss_of_one_channel_is_told_in_its_place_among_what_another_still_holds
        an_ephemeral_event_is_skipped;
    classes:
        a_state_is_its_newest_event_and_never_a_gap
        a_stream_by_default_gives_the_state_but_no_history
        ephemeral_events_are_not_held
        the_systems_own_channels_hold_nothing_and_take_the_room_of_one;
    ends:
        an_end_comes_after_the_last_event
        a_cursor_at_the_last_event_is_finished
        without_a_cursor_an_ended_channel_is_read_from_the_earliest
        an_unusable_cursor_gets_its_gap_then_the_events_then_the_end
        of_several_channels_all_must_end
        a_pattern_never_ends
        a_named_channel_that_has_ended_is_told_beside_one_that_has_not;
    keys:
        a_repeat_is_answered_as_the_first_was
        another_body_is_refused
        a_key_is_looked_at_before_the_end
        a_key_holds_within_publisher_and_channel
        a_key_is_kept_for_its_age
        a_new_key_is_refused_when_all_are_young
        a_stream_that_is_old_makes_place_for_its_own_key
        a_batch_repeats_itself
        a_stream_goes_on_where_it_stopped
        a_stream_that_differs_is_refused
        a_stream_and_a_body_share_no_key
        a_finished_stream_takes_no_more_lines
        the_end_of_a_stream_repeats_as_it_was_answered;
}
