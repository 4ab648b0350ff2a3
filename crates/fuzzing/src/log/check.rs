//! What a reader was told, looked at from behind.

use super::twin::{Past, Twin};
use super::{EPOCH, Reader};
use switchboard_store::{Class, Read};
use switchboard_wire::{ChannelName, Position, Reason};

/// Every event from where the reader began to where it is was told once, in order, or is in a gap; and every gap is
/// of something that was lost.
pub(super) fn check(twin: &Twin, reader: &Reader) {
    let mut at = 0;
    for found in &reader.told {
        assert!(
            found.cursor.seq > at || (found.cursor.seq == at && matches!(found.what, Read::Gap(_))),
            "positions rise"
        );
        at = found.cursor.seq;
    }
    let told = |seq| reader.told.iter().any(|found| matches!(&found.what, Read::Event(entry) if entry.seq() == seq));
    let gaps: Vec<(Option<ChannelName>, u64, u64, Reason)> = reader
        .told
        .iter()
        .filter_map(|found| match &found.what {
            Read::Gap(gap) => {
                let from = gap.from.parse::<Position>().ok().and_then(|from| from.in_log(EPOCH)).unwrap_or(0);
                Some((gap.channel.clone(), from, gap.to.in_log(EPOCH).unwrap(), gap.reason))
            }
            _ => None,
        })
        .collect();
    let past = twin.past.iter().filter(|past| past.seq <= reader.cursor.seq && reader.selection.selects(&past.channel));
    for past in past.clone().filter(|past| past.seq > reader.start && past.is_event()) {
        let of = |channel: &Option<ChannelName>| channel.as_ref().is_none_or(|channel| *channel == past.channel);
        let covered = gaps.iter().any(|(channel, from, to, _)| of(channel) && (from + 1..=*to).contains(&past.seq));
        let is_state = matches!(twin.policy.class_of(&past.channel), Class::State);
        assert!(told(past.seq) || covered || is_state, "{} of {} is missing: {gaps:?}", past.seq, past.channel);
    }
    for found in &reader.told {
        if let Read::Event(entry) = &found.what {
            let is_state = matches!(twin.policy.class_of(&entry.event().channel), Class::State);
            assert!(entry.seq() > reader.start || (reader.fresh && is_state), "{} was not asked for", entry.seq());
        }
    }
    for (channel, from, to, reason) in &gaps {
        if matches!(reason, Reason::Epoch | Reason::Ahead | Reason::Unknown | Reason::Forgotten) {
            continue;
        }
        let within = |seq| *from < seq && seq <= *to;
        let of = |past: &&Past| channel.as_ref().is_none_or(|channel| *channel == past.channel);
        let mut lost = past.clone().filter(|past| of(past) && within(past.seq));
        assert!(lost.clone().any(|past| !told(past.seq)), "a gap of nothing: {channel:?} {from} {to} {reason:?}");
        if reader.selection.len() == 1 && reader.selection.patterns.is_empty() {
            assert!(!lost.any(|past| told(past.seq)), "a gap of what was told: {channel:?} {from} {to} {reason:?}");
        }
    }
}
