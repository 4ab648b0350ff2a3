//! The log against its slow twin, which keeps everything that ever happened and looks through all of it each time.

use fastrand::Rng;
use switchboard_store::{Append, Memory, Policy, Taken, What};
use switchboard_wire::event::Draft;
use switchboard_wire::{ChannelName, Epoch, Kind};

/// What each seed makes is a sequence of calls, of some hundred where nothing else is said.
#[test]
fn it_agrees_with_its_slow_twin() {
    let base = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = base.map_or(0..2500, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let mut random = Rng::with_seed(seed);
        let calls: Vec<u8> = (0..random.usize(..1200)).map(|_| random.u8(..)).collect();
        let run = std::panic::catch_unwind(|| switchboard_fuzzing::run("log", &calls));
        assert!(run.is_ok(), "run this alone with SEED={seed}");
    }
}

#[test]
fn items_follow_each_other() {
    let log = Memory::new(Epoch::new(1), Policy::default());
    let channel = ChannelName::new("a").unwrap();
    let draft = Draft::new(None, Kind::Text, None, "x".into()).unwrap();
    log.append(0, &[Append { channel: channel.clone(), draft: Some(draft), end: true, key: None }]).unwrap();
    log.delete(0, &channel).unwrap();
    let mut out = Vec::new();
    assert_eq!(log.take(0, 10, &mut out), Taken::Upto(3));
    assert!(matches!((&out[0].what, &out[1].what, &out[2].what), (What::Event(_), What::End, What::Deleted)));
}
