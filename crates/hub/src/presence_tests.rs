use super::*;
use proptest::prelude::*;

const DEBOUNCE: u64 = 50;

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn profile(id: u64, user: Option<&str>, info: Option<&str>) -> Arc<Profile> {
    let profile = Profile::new(id / 3, id, &format!("s{id}"), user);
    Arc::new(match info {
        Some(text) => profile.with_info(Json::parse(text).unwrap()).unwrap(),
        None => profile,
    })
}

/// In words: `+a ann` came, `-a ann` left, `(a` has somebody, `)a` nobody.
fn word(change: &Change) -> String {
    let member = |profile: &Profile| {
        let shown = profile.shown();
        let info = shown.info.map(|info| format!(" {}", info.as_str())).unwrap_or_default();
        format!("{}{info}", shown.user.unwrap_or(shown.session))
    };
    match change {
        Change::Joined(channel, profile) => format!("+{channel} {}", member(profile)),
        Change::Left(channel, profile) => format!("-{channel} {}", member(profile)),
        Change::Occupied(channel) => format!("({channel}"),
        Change::Vacated(channel) => format!("){channel}"),
    }
}

fn told(presence: &mut Presence) -> Vec<String> {
    std::iter::from_fn(|| presence.change()).map(|change| word(&change)).collect()
}

/// A channel `a` whose members are told of.
struct Room(Presence);

impl Room {
    fn new() -> Room {
        Room(Presence::new(DEBOUNCE, 1000))
    }

    fn join(&mut self, profile: &Arc<Profile>, now: u64) -> Vec<String> {
        self.0.join(&name("a"), Track::Members, profile, now);
        told(&mut self.0)
    }

    fn leave(&mut self, profile: &Profile, now: u64) -> Vec<String> {
        self.0.leave(&name("a"), profile, now);
        told(&mut self.0)
    }

    fn tick(&mut self, now: u64) -> Vec<String> {
        self.0.tick(now);
        told(&mut self.0)
    }

    fn listed(&self) -> Vec<String> {
        let crowd = self.0.on(&name("a"));
        crowd.map(|crowd| crowd.members().map(|member| member.shown().session.to_owned()).collect()).unwrap_or_default()
    }
}

const NOTHING: [String; 0] = [];

#[test]
fn who_comes_and_goes_is_told_and_who_comes_back_in_time_is_not() {
    let mut room = Room::new();
    let (ann, again, ben) = (profile(1, Some("ann"), None), profile(3, Some("ann"), None), profile(2, None, Some("7")));
    assert_eq!(room.join(&ann, 0), ["(a", "+a ann"]);
    assert_eq!(room.join(&ben, 0), ["+a s2 7"]);
    assert_eq!(room.leave(&ann, 10), NOTHING);
    assert_eq!(room.listed(), ["s1", "s2"], "who is leaving has not left");
    assert_eq!(room.tick(10 + DEBOUNCE - 1), NOTHING);
    assert_eq!(room.join(&again, 10 + DEBOUNCE - 1), NOTHING);
    assert_eq!(room.listed(), ["s3", "s2"]);
    assert_eq!(room.tick(1000), NOTHING);
    room.leave(&again, 1000);
    room.leave(&ben, 1001);
    assert_eq!(room.0.deadline(), Some(1000 + DEBOUNCE));
    assert_eq!(room.tick(1000 + DEBOUNCE), ["-a ann"]);
    assert_eq!(room.listed(), ["s2"]);
    assert_eq!(room.tick(2000), ["-a s2 7", ")a"]);
    assert_eq!((room.listed(), room.0.totals(), room.0.deadline()), (vec![], Totals::default(), None));
}

#[test]
fn a_user_comes_with_the_first_session_and_goes_with_the_last() {
    let mut room = Room::new();
    let sessions = [5, 3, 4].map(|id| profile(id, Some("ann"), None));
    assert_eq!(room.join(&sessions[0], 0), ["(a", "+a ann"]);
    assert_eq!(room.join(&sessions[1], 0), NOTHING);
    assert_eq!(room.join(&sessions[2], 0), NOTHING);
    assert_eq!(room.join(&sessions[2], 0), NOTHING, "twice is once");
    assert_eq!(room.listed(), ["s3"]);
    for session in &sessions[..2] {
        assert_eq!(room.leave(session, 0), NOTHING);
        assert_eq!(room.leave(session, 0), NOTHING, "twice is once");
    }
    assert_eq!(room.tick(500), NOTHING);
    assert_eq!(room.listed(), ["s4"]);
    room.leave(&sessions[2], 500);
    assert_eq!(room.tick(500 + DEBOUNCE), ["-a ann", ")a"]);
}

#[test]
fn who_shows_something_else_of_themselves_joins_again_but_not_without_end() {
    let mut room = Room::new();
    let ann = |info: &str| profile(1, Some("ann"), Some(info));
    assert_eq!(room.join(&ann("1"), 0), ["(a", "+a ann 1"]);
    for i in 2..10 {
        assert_eq!(room.join(&ann(&i.to_string()), i), NOTHING);
    }
    assert_eq!(room.tick(DEBOUNCE), ["+a ann 9"]);
    assert_eq!(room.join(&ann("10"), 3 * DEBOUNCE), ["+a ann 10"], "a while after the last it is told at once");
    room.join(&ann("11"), 3 * DEBOUNCE);
    room.join(&ann("10"), 3 * DEBOUNCE);
    assert_eq!(room.tick(9 * DEBOUNCE), NOTHING, "as before");
    room.join(&ann("12"), 9 * DEBOUNCE);
    room.join(&ann("13"), 9 * DEBOUNCE);
    room.leave(&ann("13"), 9 * DEBOUNCE);
    assert_eq!(room.tick(10 * DEBOUNCE), ["-a ann 12", ")a"], "who leaves is told of as they were known");
}

#[test]
fn where_members_are_counted_alone_nobody_is_told_of() {
    let mut presence = Presence::new(DEBOUNCE, 1000);
    let (one, other) = (profile(1, Some("ann"), Some("1")), profile(2, None, None));
    presence.join(&name("a"), Track::Count, &one, 0);
    presence.join(&name("a"), Track::Count, &other, 0);
    presence.join(&name("a"), Track::Count, &profile(1, Some("ann"), Some("2")), 0);
    assert_eq!(told(&mut presence), ["(a"]);
    let counted = |presence: &Presence| presence.on(&name("a")).map(|crowd| (crowd.track(), crowd.count()));
    assert_eq!(counted(&presence), Some((Track::Count, 2)));
    presence.leave(&name("a"), &one, 0);
    presence.leave(&name("a"), &other, 0);
    assert_eq!(counted(&presence), Some((Track::Count, 2)));
    presence.tick(DEBOUNCE);
    assert_eq!(told(&mut presence), [")a"]);
    assert_eq!(counted(&presence), None);
}

#[test]
fn what_somebody_shows_is_bounded() {
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let with = |length| Profile::new(0, 1, "s", None).with_info(Json::parse(&text(length)).unwrap());
    assert!(with(INFO_MAX).is_some() && with(INFO_MAX + 1).is_none());
}

#[test]
fn the_first_pattern_decides_what_is_kept_track_of() {
    let rule = |pattern: &str, track| (Pattern::new(pattern).unwrap(), track);
    let rules = vec![
        rule("room/secret", None),
        rule("room/*", Some(Track::Members)),
        rule("room/**", Some(Track::Count)),
        rule("**", None),
    ];
    let tracking = Tracking { rules };
    for (channel, expected) in
        [("room/secret", None), ("room/1", Some(Track::Members)), ("room/1/x", Some(Track::Count)), ("other", None)]
    {
        assert_eq!(tracking.of(&name(channel)), expected, "{channel}");
    }
    assert_eq!(Tracking::default().of(&name("a")), None);
}

#[test]
fn those_that_leave_in_great_number_are_not_waited_for() {
    let mut presence = Presence::new(DEBOUNCE, 3);
    let all: Vec<_> = (0..10).map(|id| profile(id, None, None)).collect();
    all.iter().for_each(|one| presence.join(&name("a"), Track::Members, one, 0));
    told(&mut presence);
    for (i, one) in all.iter().enumerate() {
        presence.leave(&name("a"), one, i as u64);
        assert!(presence.totals().due <= 3);
    }
    assert_eq!(told(&mut presence), (0..7).map(|id| format!("-a s{id}")).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_of_ten_thousand_sessions_once_they_have_gone() {
    let mut presence = Presence::new(DEBOUNCE, 100_000);
    let channels: Vec<_> = (0..20).map(|i| name(&format!("room/{i}"))).collect();
    let user = |i: u64| (!i.is_multiple_of(3)).then(|| format!("user {}", i / 2));
    let all: Vec<_> = (0..10_000).map(|i| profile(i, user(i).as_deref(), Some("{\"n\":1}"))).collect();
    for (i, one) in all.iter().enumerate() {
        for j in 0..5 {
            presence.join(&channels[(i + j) % 20], Track::Members, one, 0);
        }
    }
    let there = presence.totals();
    assert!(there.channels == 20 && there.members > 40_000 && there.due == 0, "{there:?}");
    for (i, one) in all.iter().enumerate() {
        for j in 0..5 {
            presence.leave(&channels[(i + j) % 20], one, 1);
        }
    }
    assert_eq!(presence.totals(), Totals { due: there.members, ..there });
    presence.tick(1 + DEBOUNCE);
    let left = std::iter::from_fn(|| presence.change()).filter(|change| matches!(change, Change::Left(..))).count();
    assert_eq!((left, presence.totals()), (there.members, Totals::default()));
    // What is kept is in trees, which have no room but for what is in them, and in the queue of changes.
    assert!(presence.channels.is_empty() && presence.due.is_empty() && presence.changes.capacity() == 0);
    assert!(all.iter().all(|one| Arc::strong_count(one) == 1), "somebody is still held on to");
}

/// The slow twin: it looks at everybody, each millisecond.
#[derive(Default)]
struct Twin {
    now: u64,
    people: Vec<Person>,
}

struct Person {
    channel: &'static str,
    who: String,
    /// Sessions and what they show.
    here: Vec<(u64, String)>,
    /// What they were last told to show, and when; `None` while they are not there.
    known: Option<(String, u64)>,
    /// Since when there is no session.
    absent: u64,
}

impl Twin {
    fn person(&mut self, channel: &'static str, who: &str) -> &mut Person {
        let found = self.people.iter().position(|person| person.channel == channel && person.who == who);
        let at = found.unwrap_or_else(|| {
            let (here, known) = (Vec::new(), None);
            self.people.push(Person { channel, who: who.to_owned(), here, known, absent: 0 });
            self.people.len() - 1
        });
        &mut self.people[at]
    }

    fn count(&self, channel: &str) -> usize {
        self.people.iter().filter(|person| person.channel == channel && person.known.is_some()).count()
    }

    /// What is told now.
    fn look(&mut self, out: &mut Vec<(u64, String)>) {
        let now = self.now;
        for i in 0..self.people.len() {
            let channel = self.people[i].channel;
            let before = self.count(channel);
            let person = &mut self.people[i];
            let shows = person.here.iter().min().map(|(_, info)| info.clone());
            match (shows, &person.known) {
                (Some(info), None) => {
                    out.push((now, format!("+{channel} {} {info}", person.who)));
                    person.known = Some((info, now));
                }
                (Some(info), Some((known, told))) if info != *known && now >= told + DEBOUNCE => {
                    out.push((now, format!("+{channel} {} {info}", person.who)));
                    person.known = Some((info, now));
                }
                (None, Some((known, _))) if now >= person.absent + DEBOUNCE => {
                    out.push((now, format!("-{channel} {} {known}", person.who)));
                    person.known = None;
                }
                _ => {}
            }
            match (before, self.count(channel)) {
                (0, 1) => out.push((now, format!("({channel}"))),
                (1, 0) => out.push((now, format!("){channel}"))),
                _ => {}
            }
        }
    }

    fn wait(&mut self, until: u64, out: &mut Vec<(u64, String)>) {
        while self.now < until {
            self.now += 1;
            self.look(out);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Join { channel: usize, session: u64, info: u8 },
    Leave { channel: usize, session: u64 },
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..2usize, 0..6u64, 0..2u8).prop_map(|(channel, session, info)| Step::Join { channel, session, info }),
        3 => (0..2usize, 0..6u64).prop_map(|(channel, session)| Step::Leave { channel, session }),
        2 => prop_oneof![1..5u64, Just(DEBOUNCE - 1), Just(DEBOUNCE), 1..120u64].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn it_agrees_with_its_slow_twin(steps in steps()) {
        let channels = ["a", "b"];
        // Of six sessions, four are of two users.
        let user = |session: u64| (session < 4).then(|| format!("u{}", session % 2));
        let (mut presence, mut twin) = (Presence::new(DEBOUNCE, 1000), Twin::default());
        for step in steps {
            let (mut expected, mut got) = (Vec::new(), Vec::new());
            let now = twin.now;
            let who = |session: u64| user(session).unwrap_or_else(|| format!("s{session}"));
            match step {
                Step::Join { channel, session, info } => {
                    let one = profile(session, user(session).as_deref(), Some(&info.to_string()));
                    presence.join(&name(channels[channel]), Track::Members, &one, now);
                    let here = &mut twin.person(channels[channel], &who(session)).here;
                    here.retain(|(other, _)| *other != session);
                    here.push((session, info.to_string()));
                    twin.look(&mut expected);
                }
                Step::Leave { channel, session } => {
                    // It is known by who it is, whatever it shows.
                    presence.leave(&name(channels[channel]), &profile(session, user(session).as_deref(), None), now);
                    let person = twin.person(channels[channel], &who(session));
                    let before = person.here.len();
                    person.here.retain(|(other, _)| *other != session);
                    if before == 1 && person.here.is_empty() {
                        person.absent = now;
                    }
                    twin.look(&mut expected);
                }
                Step::Wait(time) => {
                    twin.wait(now + time, &mut expected);
                    while let Some(due) = presence.deadline().filter(|due| *due <= now + time) {
                        presence.tick(due);
                        got.extend(told(&mut presence).into_iter().map(|word| (due, word)));
                    }
                }
            }
            got.extend(told(&mut presence).into_iter().map(|word| (now, word)));
            // Who comes and goes at the same time is told in any order.
            got.sort();
            expected.sort();
            prop_assert_eq!(got, expected);
            for channel in channels {
                let crowd = presence.on(&name(channel));
                let listed: Vec<String> = crowd.iter().flat_map(|crowd| crowd.members().map(|one| one.shown()))
                    .map(|one| one.user.unwrap_or(one.session).to_owned()).collect();
                prop_assert_eq!(listed.len(), crowd.map_or(0, Crowd::count));
                let mut expected: Vec<String> = twin.people.iter()
                    .filter(|person| person.channel == channel && person.known.is_some())
                    .map(|person| person.who.clone()).collect();
                expected.sort_by_key(|who| (who.starts_with('s'), who.clone()));
                prop_assert_eq!(listed, expected);
            }
            let members = channels.iter().map(|channel| twin.count(channel)).sum::<usize>();
            prop_assert_eq!(presence.totals().members, members);
        }
    }
}
