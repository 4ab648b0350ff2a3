//! A page of events, at once or after a wait for the first.

use crate::auth::Identity;
use crate::gate::{Gate, Pass};
use crate::node::Node;
use crate::reading::{PageWanted, Reading};
use crate::shard::{SharedShard, Turns, Waiter};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use switchboard_hub::Place;
use switchboard_store::{Budget, Cursor, Entry, Pause, Read, Since};
use switchboard_wire::code::Problem;
use switchboard_wire::name::Selection;
use switchboard_wire::{Form, Gap, form};
use tokio::time::{Instant, sleep_until};

/// Most bytes of data on a page; it has one event at least.
const PAGE_BYTES: usize = 4 << 20;
/// A page of more than this is made in its turn: of 4 MiB it takes a millisecond, and it is cheap to ask for.
const LARGE: usize = 64 << 10;
/// What an event takes on a page besides its text and data.
const AROUND: usize = 64;

impl PageWanted {
    fn budget(&self) -> Budget {
        Budget { items: self.limit, bytes: PAGE_BYTES }
    }
}

/// A page, found in the log.
struct Page {
    events: Vec<Arc<Entry>>,
    gap: Option<Gap>,
    /// The position to hand out.
    position: u64,
    /// How far the log was read: a wait goes on from here.
    cursor: Cursor,
    ended: bool,
    /// More was there than the page has room for.
    cut: bool,
    /// From where it can be read again; what was handed over cannot.
    start: Option<Start>,
}

/// Where a page begins.
#[derive(Clone)]
struct Start {
    cursor: Cursor,
    gap: Option<Gap>,
    /// The position that a page with nothing on it hands out.
    position: u64,
}

impl Page {
    fn says_nothing(&self) -> bool {
        self.events.is_empty() && self.gap.is_none() && !self.ended
    }

    /// Where one begins that goes on behind this one, on which there is nothing.
    fn next(&self) -> Start {
        Start { cursor: self.cursor, gap: None, position: self.position }
    }

    fn tag(&self, node: &Node) -> String {
        format!("W/\"{}{}\"", node.log.position(self.position), if self.ended { ".ended" } else { "" })
    }

    /// Whether it is to be made in its turn.
    fn is_large(&self) -> bool {
        let cost = |entry: &Arc<Entry>| entry.event().draft.cost() + AROUND;
        self.events.iter().map(cost).sum::<usize>() > LARGE
    }

    /// Its events as they are written.
    fn encode(&self) -> Vec<Bytes> {
        self.events.iter().map(|entry| entry.encoded(Form::NdJson { gzip: false }).payload()).collect()
    }
}

/// The page of a reader that was waiting at the head of the log and was handed what came.
fn handed(events: &[Arc<Entry>], wanted: &PageWanted, waited: Page) -> Page {
    let room = &events[..events.len().min(wanted.limit)];
    let position = room.last().map_or(waited.position, |entry| entry.seq());
    Page { events: room.to_vec(), position, cut: room.len() < events.len(), start: None, ..waited }
}

/// Answers with a page, and with the number of events on it; waits, if that is wanted, until there is something to say,
/// but no longer than who asks may wait. `None` if the client went away.
pub(crate) async fn answer(
    node: &Node,
    shard: &SharedShard,
    headers: &HeaderMap,
    identity: &Identity,
    reading: &Reading,
    wanted: &PageWanted,
    gone: impl Future<Output = ()>,
) -> Result<Option<(Response<Bytes>, usize)>, Problem> {
    let (turns, gate) = (shard.borrow().turns(), shard.borrow().pages());
    let mut pass = None;
    let first = async {
        let opened = node.log.open_in_steps(node.now(), &reading.selection, reading.since(), true, &*turns).await;
        let start = Start { cursor: opened.cursor, gap: opened.gap, position: opened.cursor.seq };
        read(node, &*turns, &reading.selection, wanted.budget(), start).await
    };
    let mut page = node.unless_draining(first).await?;
    if let Some(wait) = wanted.wait
        && page.says_nothing()
    {
        let left = identity.expires().map(|expires| Duration::from_millis(expires.saturating_sub(node.now()) + 1));
        let deadline = Instant::now() + left.map_or(wait, |left| left.min(wait));
        let mut draining = node.draining.subscribe();
        tokio::pin!(gone);
        while page.says_nothing() {
            drop(pass.take());
            // Others may have come while the log was read.
            shard.borrow().allow_names(&reading.selection)?;
            let place = Place { cursor: page.cursor.seq, floor: page.cursor.floor };
            let mut waiter = Waiter::new(shard, reading.selection.clone(), place, identity);
            let events = tokio::select! {
                events = waiter.woken() => events,
                () = sleep_until(deadline) => break,
                () = &mut gone => return Ok(None),
                _ = draining.wait_for(|draining| *draining) => break,
            };
            node.auth.standing(identity, node.now())?;
            node.auth.allow_reading(identity, &reading.selection)?;
            // One event may wake a crowd.
            let turn = Turn::begin(&gate, &turns);
            if !events.iter().all(|entry| entry.event().resumable) {
                // An ephemeral event is nowhere but here.
                pass = turn.await.pass.into_inner();
                page = handed(&events, wanted, page);
                continue;
            }
            let again = async {
                let turn = turn.await;
                let found = read(node, &turn, &reading.selection, wanted.budget(), page.next()).await;
                (found, turn.pass.into_inner())
            };
            // Who is told nothing by a server that stops asks again from the same place.
            let Ok(found) = node.unless_draining(again).await else { break };
            (page, pass) = found;
        }
        node.auth.standing(identity, node.now())?;
    }
    if pass.is_none() && page.is_large() && !matches_tag(headers, &page.tag(node)) {
        pass = in_turn(node, &gate, &turns, (reading, wanted), &mut page).await;
    }
    let response = respond(node, headers, reading, wanted, &page)?;
    drop(pass);
    let sent = if response.body().is_empty() { 0 } else { page.events.len() };
    Ok(Some((response, sent)))
}

/// Waits until a large page may be made. What is on it is not kept meanwhile, but read again: many may wait for long, and would
/// hold on to what the log has let go of.
async fn in_turn<'a>(
    node: &Node,
    gate: &'a Gate,
    turns: &'a Turns,
    (reading, wanted): (&Reading, &PageWanted),
    page: &mut Page,
) -> Option<Pass<'a>> {
    if let Some(pass) = gate.pass_at_once() {
        return Some(pass);
    }
    let Some(start) = page.start.clone() else { return Some(gate.pass().await) };
    page.events = Vec::new();
    let turn = Turn::begin(gate, turns).await;
    *page = read(node, &turn, &reading.selection, wanted.budget(), start).await;
    turn.pass.into_inner()
}

/// A turn of a page that is read in it: each step that takes long has one of its own.
struct Turn<'a> {
    gate: &'a Gate,
    turns: &'a Turns,
    pass: RefCell<Option<Pass<'a>>>,
}

impl<'a> Turn<'a> {
    async fn begin(gate: &'a Gate, turns: &'a Turns) -> Turn<'a> {
        Turn { gate, turns, pass: RefCell::new(Some(gate.pass().await)) }
    }
}

impl Pause for Turn<'_> {
    async fn pause(&self) {
        drop(self.pass.take());
        self.turns.pause().await;
        let pass = self.gate.pass().await;
        self.pass.replace(Some(pass));
    }
}

/// A page as a session is given it: of at most so many events, and bytes of data beyond the first.
pub(crate) async fn page(
    node: &Node,
    turns: &Turns,
    selection: &Selection,
    since: Since<'_>,
    (limit, bytes): (usize, usize),
) -> Vec<u8> {
    let opened = node.log.open_in_steps(node.now(), selection, since, true, turns).await;
    let start = Start { cursor: opened.cursor, gap: opened.gap, position: opened.cursor.seq };
    let page = read(node, turns, selection, Budget { items: limit, bytes }, start).await;
    let mut body = Vec::new();
    form::page(&page.encode(), &node.log.position(page.position), page.gap.as_ref(), page.ended, &mut body);
    body
}

/// Reads a page. It has one gap at most, in front: what follows another is for the next page.
async fn read(node: &Node, turns: &impl Pause, selection: &Selection, budget: Budget, start: Start) -> Page {
    let head = node.log.head();
    let mut piece = node.log.read_in_steps(node.now(), selection, start.cursor, head, budget, turns).await;
    // A pattern may come upon nothing but ends, which a page has no words for: what is behind them is to be reached.
    while !piece.caught_up && piece.found.iter().all(|found| matches!(found.what, Read::End(_))) {
        piece = node.log.read_in_steps(node.now(), selection, piece.cursor, head, budget, turns).await;
    }
    let mut page = Page {
        events: Vec::with_capacity(piece.found.len()),
        gap: start.gap.clone(),
        position: start.position,
        cursor: piece.cursor,
        ended: piece.ended,
        cut: !piece.caught_up,
        start: Some(start),
    };
    for found in piece.found {
        match found.what {
            Read::Event(entry) => page.events.push(entry),
            Read::Gap(gap) if page.events.is_empty() && page.gap.is_none() => page.gap = Some(gap),
            Read::Gap(_) => {
                page.cut = true;
                page.ended = false;
                break;
            }
            // A page says `ended` once all have.
            Read::End(_) => continue,
        }
        page.position = found.cursor.seq;
    }
    page
}

fn respond(
    node: &Node,
    headers: &HeaderMap,
    reading: &Reading,
    wanted: &PageWanted,
    page: &Page,
) -> Result<Response<Bytes>, Problem> {
    let tag = page.tag(node);
    let matches = matches_tag(headers, &tag);
    let mut response = Response::new(Bytes::new());
    if matches {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let events = page.encode();
        let length = events.iter().map(|event| event.len() + 1).sum();
        let load = node.limits.transit.leaving.load_of(length)?;
        let mut body = Vec::with_capacity(length + AROUND);
        form::page(&events, &node.log.position(page.position), page.gap.as_ref(), page.ended, &mut body);
        *response.body_mut() = Bytes::from(body);
        // For as long as the peer takes to read it.
        response.extensions_mut().insert(Arc::new(load));
    }
    // Others may keep what anyone could have asked for in the same words, and what more events do not make wrong.
    let shareable = reading.is_explicit()
        && !page.events.is_empty()
        && page.gap.is_none()
        && !wanted.credentials
        && (page.cut || wanted.named);
    let cache = match shareable {
        true if page.cut => "public, max-age=60",
        true => "public, max-age=1",
        false => "private, no-store",
    };
    let fields = response.headers_mut();
    if !matches {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    fields.insert(VARY, HeaderValue::from_static("Accept"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        fields.insert(ETAG, tag);
    }
    if let (true, Some(wait)) = (wanted.preferred, wanted.wait)
        && let Ok(applied) = HeaderValue::try_from(format!("wait={}", wait.as_secs()))
    {
        fields.insert("preference-applied", applied);
    }
    Ok(response)
}

/// Whether `If-None-Match` names the tag (RFC 9110 section 13.1.2), compared weakly.
fn matches_tag(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let listed = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|listed| listed.trim() == "*" || opaque(listed) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::query::Query;
    use crate::config::Config;
    use crate::listen::http1::head;
    use crate::reading::How;
    use crate::shard::Shard;
    use std::rc::Rc;
    use switchboard_store::Append;
    use switchboard_wire::ChannelName;
    use switchboard_wire::event::Draft;
    use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};

    /// A shard that has a turn when it is given one, of a node with so many events of 1,000 bytes.
    fn shard_with(events: usize) -> (Arc<Node>, SharedShard) {
        let node = Arc::new(Node::new(Config::default(), None, 1).unwrap());
        publish(&node, events);
        let registry = mio::Poll::new().unwrap().registry().try_clone().unwrap();
        (node.clone(), Rc::new(RefCell::new(Shard::new(node, 0, registry, Arc::default()))))
    }

    fn publish(node: &Node, events: usize) {
        let channel = ChannelName::new("a").unwrap();
        for _ in 0..events {
            let draft = Draft::from_body(None, None, Bytes::from(vec![b'"'; 1000])).unwrap();
            let append = Append { channel: channel.clone(), end: false, key: None, draft: Some(draft) };
            node.log.append(node.now(), &[append]).unwrap();
        }
    }

    /// Asks for a page, and tells how many events are on it.
    fn ask(node: &Arc<Node>, shard: &SharedShard, query: &'static str) -> JoinHandle<usize> {
        let (node, shard) = (node.clone(), shard.clone());
        spawn_local(async move {
            let text = format!("GET /channels/a?{query} HTTP/1.1\r\nHost: h\r\n\r\n");
            let (head, _) = head::parse(text.as_bytes(), 64 << 10).unwrap().unwrap();
            let query = Query::parse(head.query.as_deref()).unwrap();
            let channel = ChannelName::new("a").unwrap();
            let reading = Reading::of(&head, &query, Some(channel), &node.config).unwrap();
            let How::Page(wanted) = &reading.how else { panic!("a page") };
            let (identity, gone) = (Identity::default(), std::future::pending());
            let answer = answer(&node, &shard, &head.headers, &identity, &reading, wanted, gone).await;
            answer.unwrap().unwrap().1
        })
    }

    async fn a_while() {
        for _ in 0..16 {
            yield_now().await;
        }
    }

    #[test]
    fn large_pages_are_made_in_what_is_theirs_of_a_turn_and_small_ones_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (node, shard) = shard_with(100);
            let gate = shard.borrow().pages();
            let held = gate.pass().await;
            let large: Vec<_> = (0..8).map(|_| ask(&node, &shard, "limit=100")).collect();
            let small = ask(&node, &shard, "limit=50");
            a_while().await;
            assert!(small.is_finished(), "it is 50 KB");
            assert!(large.iter().all(|page| !page.is_finished()), "somebody else has the turn");
            drop(held);
            for page in large {
                assert_eq!(page.await.unwrap(), 100);
            }
        });
    }

    #[test]
    fn a_crowd_that_one_event_wakes_reads_its_pages_in_what_is_theirs_of_a_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (node, shard) = shard_with(1);
            let crowd: Vec<_> = (0..20).map(|_| ask(&node, &shard, "wait=60&since=latest")).collect();
            a_while().await;
            assert_eq!(shard.borrow().len(), 20);
            let gate = shard.borrow().pages();
            let held = gate.pass().await;
            publish(&node, 1);
            shard.borrow_mut().turn(std::time::Instant::now());
            a_while().await;
            assert_eq!(shard.borrow().len(), 0, "they are woken");
            assert!(crowd.iter().all(|page| !page.is_finished()), "somebody else has the turn");
            drop(held);
            for page in crowd {
                assert_eq!(page.await.unwrap(), 1);
            }
        });
    }

    /// Whoever waits for its turn holds on to nothing, and has what is there then.
    #[test]
    fn pages_that_wait_for_their_turn_keep_nothing_of_the_log() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (node, shard) = shard_with(100);
            let kept = || {
                let piece = node.log.read(
                    node.now(),
                    &Selection::one(ChannelName::new("a").unwrap()),
                    Cursor::default(),
                    node.log.head(),
                    Budget { items: 1000, bytes: PAGE_BYTES },
                );
                let found = piece.found.into_iter().filter_map(|found| match found.what {
                    Read::Event(entry) => Some(Arc::strong_count(&entry)),
                    _ => None,
                });
                found.collect::<Vec<usize>>()
            };
            let before = kept();
            assert_eq!(before.len(), 100);
            let gate = shard.borrow().pages();
            let held = gate.pass().await;
            let pages: Vec<_> = (0..8).map(|_| ask(&node, &shard, "limit=100")).collect();
            a_while().await;
            assert_eq!(kept(), before);
            pages[3].abort();
            drop(held);
            for (number, page) in pages.into_iter().enumerate() {
                assert_eq!(page.await.ok(), (number != 3).then_some(100));
            }
        });
    }
}
