use super::*;
use crate::memory::Memory;
use crate::policy::Retention;
use crate::read::{Budget, Cursor, Read};
use switchboard_wire::Kind;

/// However many losses lie between events that are held, the marks stay bounded, and each loss is still told.
#[test]
fn marks_are_bounded_and_every_loss_is_told() {
    let retention = Retention { events: 40, ..Retention::default() };
    let policy = Policy { default: Class::History(retention), ..Policy::default() };
    let memory = Memory::new(Epoch::new(1), policy);
    memory.lock().limits.marks = 10;
    let names = ["a", "b", "c"].map(|text| ChannelName::new(text).unwrap());
    let lost_ones = 500;
    for i in 0..lost_ones {
        // `a` churns; `b` and `c` now and then say something that is held between its losses.
        let channel = if i % 7 == 3 { &names[1 + i % 2] } else { &names[0] };
        let draft = Draft::new(None, Kind::Text, None, "x".into()).unwrap();
        let item = Append { channel: channel.clone(), draft: Some(draft), end: false, key: None };
        memory.append(0, &[item]).unwrap();
        assert!(memory.lock().marked.len() <= 11);
    }
    let selection = switchboard_wire::name::Selection { channels: names.to_vec(), patterns: Vec::new() };
    let budget = Budget { items: usize::MAX, bytes: usize::MAX };
    let piece = memory.read(0, &selection, Cursor::at(0), memory.head(), budget);
    let mut known = vec![false; memory.head() as usize + 1];
    for found in &piece.found {
        match &found.what {
            Read::Event(entry) => known[entry.seq() as usize] = true,
            Read::Gap(gap) => {
                let from: switchboard_wire::Position = gap.from.parse().unwrap();
                let (from, to) = (from.in_log(memory.epoch()).unwrap(), gap.to.in_log(memory.epoch()).unwrap());
                known[from as usize + 1..=to as usize].fill(true);
            }
            Read::End(_) => {}
        }
    }
    assert_eq!(known.iter().skip(1).position(|known| !known), None);
}
