//! What goes to the application, and comes back: methods that the server has none of, and questions before something is
//! done.
//!
//! Nothing here waits. What takes its time is an [`Errand`], which a task of the thread runs; it comes back with what it
//! came to. Calls go side by side. What changes what the session reads or what it has published goes in [`Line`], so that
//! it happens in the client's order, though the application is asked in between:
//!
//! ```text
//!   subscribe, unsubscribe, publish ──► is anything asked? ──► done
//!                                          │ yes
//!                                          └──► waits in line ──► asked, one at a time ──► done, or refused
//! ```

use super::super::{Shard, SharedShard, Turns};
use super::asked::tell;
use super::methods::{Asked, Page};
use super::{Conversation, Params, opening};
use crate::application::{Allowed, Answer, Application, Caller, Publishing, Question, Subscribing, Taken, is_reserved};
use crate::node::Node;
use crate::session::opening::{Begin, Beginning};
use crate::session::{Outcome, Reply};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use switchboard_store::{Opened, Pause as _};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::event::{Draft, Kind};
use switchboard_wire::jsonrpc::{ErrorObject, Json};
use switchboard_wire::name::Selection;
use switchboard_wire::ndjson::{Publish, parse_line};
use tokio::sync::Notify;

use super::down::names;

/// Something to be done outside of the shard.
pub(crate) struct Errand {
    session: u64,
    what: What,
}

enum What {
    /// A new token is to be looked into.
    Renew { ticket: Option<u64>, token: String },
    /// The application works on a call.
    Call { ticket: u64, answer: Answer<Json<'static>> },
    /// A page of history is to be found.
    History { ticket: u64, page: Page },
    /// The application is asked about the first in line.
    Ask(Answer<Verdict>),
    /// It is to be found where the reading of the first in line begins, once the application lets it.
    Open(Begin, Option<Answer<Allowed>>),
    /// It is to be found where that begins which a backend has a session read.
    Begin { begin: Begin, params: Params<'static>, reply: Reply<Json<'static>> },
}

/// What the application says of what it was asked about, where it lets it happen.
enum Verdict {
    Subscribe(Allowed, Option<Box<Opened>>),
    Publish(Taken),
}

impl Errand {
    /// Runs the errand, and comes back with what it came to.
    pub(crate) async fn run(self, node: Arc<Node>, shard: SharedShard, bell: Arc<Notify>) {
        let Errand { session, what } = self;
        match what {
            What::Renew { ticket, token } => {
                let found = node.auth.identify_token(&token, node.now()).await;
                shard.borrow_mut().renewed(session, ticket, found);
            }
            What::Call { ticket, answer } => {
                let outcome = answer.await;
                shard.borrow_mut().with(session, |_, conversation| conversation.session.answer(ticket, outcome));
            }
            What::History { ticket, page } => {
                let turns = shard.borrow().turns();
                turns.pause().await;
                let outcome = page.find(&node, &turns).await;
                shard.borrow_mut().with(session, |_, conversation| conversation.session.answer(ticket, outcome));
            }
            What::Ask(answer) => {
                let verdict = answer.await;
                shard.borrow_mut().judged(session, verdict);
            }
            What::Open(begin, asked) => {
                let turns = shard.borrow().turns();
                let verdict = open(begin, &node, &turns, asked).await;
                shard.borrow_mut().judged(session, verdict);
            }
            What::Begin { begin, params, reply } => {
                let turns = shard.borrow().turns();
                let opened = begin.find(&node, &turns).await;
                shard.borrow_mut().with(session, |shard, conversation| {
                    shard.subscribe_from(conversation, &params, opened, reply);
                });
            }
        }
        // It may be due at another time from now on.
        bell.notify_one();
    }
}

/// Finds where a subscription begins, once the application has said so.
async fn open(
    begin: Begin,
    node: &Node,
    turns: &Turns,
    asked: Option<Answer<Allowed>>,
) -> Result<Verdict, ErrorObject<'static>> {
    let allowed = match asked {
        Some(asked) => asked.await?,
        None => Allowed { since: None },
    };
    let begin = Begin { since: allowed.since.clone().or(begin.since), ..begin };
    let opened = begin.find(node, turns).await;
    Ok(Verdict::Subscribe(allowed, opened.map(Box::new)))
}

/// What is done in the client's order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    Subscribe,
    Unsubscribe,
    Publish,
}

impl Deed {
    fn method(self) -> &'static str {
        match self {
            Deed::Subscribe => "subscribe",
            Deed::Unsubscribe => "unsubscribe",
            Deed::Publish => "publish",
        }
    }
}

/// What waits for the application. The first is what it is being asked about.
#[derive(Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    /// What they say, in bytes.
    bytes: usize,
}

impl Line {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn push_back(&mut self, waiting: Waiting) {
        self.bytes += waiting.len();
        self.waiting.push_back(waiting);
    }

    fn push_front(&mut self, waiting: Waiting) {
        self.bytes += waiting.len();
        self.waiting.push_front(waiting);
    }

    fn pop_front(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.len();
        Some(waiting)
    }
}

struct Waiting {
    ticket: Option<u64>,
    deed: Deed,
    params: Params<'static>,
}

impl Waiting {
    fn len(&self) -> usize {
        self.params.as_json().map_or(0, |json| json.as_str().len())
    }
}

/// Calls of methods that the server has none of.
impl Shard {
    /// Passes a call or notification on to the application.
    pub(super) fn pass_on(
        &mut self,
        conversation: &Conversation,
        ticket: Option<u64>,
        method: &str,
        params: Params<'static>,
    ) -> Result<(), Problem> {
        let Some(application) = self.node.application.get().filter(|_| !is_reserved(method)) else {
            return Err(Code::MethodNotFound.because(format!("`{method}` is no method here")));
        };
        match ticket {
            Some(ticket) => {
                let answer = application.call(conversation.caller(), method, params);
                self.send(conversation, What::Call { ticket, answer });
            }
            None => application.notify(conversation.caller(), method, params),
        }
        Ok(())
    }

    pub(super) fn renew_by(&mut self, conversation: &Conversation, ticket: Option<u64>, token: String) {
        self.send(conversation, What::Renew { ticket, token });
    }

    pub(super) fn look_up(&mut self, conversation: &Conversation, ticket: u64, page: Page) {
        self.send(conversation, What::History { ticket, page });
    }

    pub(super) fn look_for(
        &mut self,
        conversation: &Conversation,
        begin: Begin,
        params: Params<'static>,
        reply: Reply<Json<'static>>,
    ) {
        self.send(conversation, What::Begin { begin, params, reply });
    }

    fn send(&mut self, conversation: &Conversation, what: What) {
        self.sessions.errands.push(Errand { session: conversation.id.number, what });
    }
}

/// What is done in the client's order.
impl Shard {
    /// Does something, once it is its turn. `None` if it is answered later.
    pub(super) fn in_line(
        &mut self,
        conversation: &mut Conversation,
        ticket: Option<u64>,
        deed: Deed,
        params: Params<'static>,
    ) -> Option<Outcome> {
        let waiting = Waiting { ticket, deed, params };
        if conversation.line.waiting.is_empty() {
            let outcome = self.begin(conversation, &waiting);
            if let Some(outcome) = &outcome {
                conversation.tell_of(&waiting, outcome);
            }
            if outcome.is_none() {
                conversation.line.push_back(waiting);
            }
            return outcome;
        }
        let settings = &self.node.config.session;
        let line = &conversation.line;
        if line.waiting.len() >= settings.calls || line.bytes + waiting.len() > settings.memory {
            self.node.figures.shard(self.index).session_calls_refused(1);
            let problem = Code::Overloaded.because("too much of this session waits for the application");
            return Some(Err(self.refuse(conversation, deed.method(), &problem)));
        }
        conversation.line.push_back(waiting);
        None
    }

    /// Does something, or asks about it: then there is nothing yet.
    fn begin(&mut self, conversation: &mut Conversation, waiting: &Waiting) -> Option<Outcome> {
        let Waiting { ticket, deed, params } = waiting;
        let done = match deed {
            Deed::Unsubscribe => self.unsubscribe(conversation, *ticket, params),
            Deed::Subscribe => match self.subscribable(conversation, params) {
                Ok(Asked { begin, notices }) => match self.asked_about(Question::Subscribe) {
                    None if !begin.is_long() => Ok(self.read_from(conversation, *ticket, begin, None, notices)),
                    application => {
                        let (texts, since) = (names(&begin.selection), begin.since.clone());
                        let asked = application.map(|it| ask_to_subscribe(it, conversation.caller(), texts, since));
                        self.send(conversation, What::Open(begin, asked));
                        return None;
                    }
                },
                Err(problem) => Err(problem),
            },
            Deed::Publish => {
                let publish = self.publishable(conversation, params);
                let publish = publish.and_then(|publish| self.spend(conversation, &publish).map(|()| publish));
                match (publish, self.asked_about(Question::Publish)) {
                    (Ok(publish), None) => self.append(conversation, publish),
                    (Ok(publish), Some(application)) => {
                        let asked = application.publish(conversation.caller(), publishing(&publish));
                        let verdict = Box::pin(async move { asked.await.map(Verdict::Publish) });
                        self.send(conversation, What::Ask(verdict));
                        return None;
                    }
                    (Err(problem), _) => Err(problem),
                }
            }
        };
        Some(done.map_err(|problem| self.refuse(conversation, deed.method(), &problem)))
    }

    fn asked_about(&self, question: Question) -> Option<Arc<dyn Application>> {
        self.node.application.get().filter(|application| application.asks(question)).cloned()
    }

    /// The application has said something of the first in line.
    fn judged(&mut self, session: u64, verdict: Result<Verdict, ErrorObject<'static>>) {
        self.with(session, |shard, conversation| {
            let Some(waiting) = conversation.line.pop_front() else { return };
            if conversation.still_waits(&waiting) {
                let outcome = verdict.and_then(|verdict| shard.carry_out(conversation, &waiting, verdict));
                conversation.answer(&waiting, outcome);
            }
            shard.go_on_in_line(conversation);
        });
    }

    /// Does what the application lets happen. The rules may say something else by now.
    fn carry_out(&mut self, conversation: &mut Conversation, waiting: &Waiting, verdict: Verdict) -> Outcome {
        let done = match verdict {
            Verdict::Subscribe(Allowed { since }, opened) => {
                self.subscribable(conversation, &waiting.params).map(|Asked { mut begin, notices }| {
                    begin.since = since.or(begin.since);
                    self.read_from(conversation, waiting.ticket, begin, opened.map(|opened| *opened), notices)
                })
            }
            Verdict::Publish(taken) => {
                let publish = self.publishable(conversation, &waiting.params);
                let publish = publish.and_then(|publish| replaced(publish, taken));
                let publish = publish.and_then(|publish| self.fits(&publish).map(|()| publish));
                publish.and_then(|publish| self.append(conversation, publish))
            }
        };
        done.map_err(|problem| self.refuse(conversation, waiting.deed.method(), &problem))
    }

    /// Does what comes next in line, until something has to be asked about.
    fn go_on_in_line(&mut self, conversation: &mut Conversation) {
        while let Some(waiting) = conversation.line.pop_front() {
            if !conversation.still_waits(&waiting) {
                continue;
            }
            match self.begin(conversation, &waiting) {
                Some(outcome) => conversation.answer(&waiting, outcome),
                None => return conversation.line.push_front(waiting),
            }
        }
        conversation.line = Line::default();
    }
}

/// What the application is told of.
impl Shard {
    /// Lets a session begin with what the application has subscribed it to.
    pub(super) fn begin_with(&mut self, conversation: &mut Conversation, subscriptions: Beginning) {
        for (begin, opened) in subscriptions {
            let channels = names(&begin.selection);
            let answer = self.read_from(conversation, None, begin, opened, Selection::default());
            let Ok(mut told) = answer.read::<serde_json::Value>() else { continue };
            told["channel"] = match &channels[..] {
                [one] => serde_json::json!(one),
                several => serde_json::json!(several),
            };
            conversation.notify("subscribed", &told);
        }
    }

    /// A session subscribes to the second of these, and no longer to the first.
    pub(super) fn occupy(&self, before: Option<&Selection>, after: Option<&Selection>) {
        let occupancy = &self.node.occupancy;
        if !occupancy.is_told() {
            return;
        }
        let (none, now) = (Selection::default(), Instant::now());
        let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
        after.without(before).channels.iter().for_each(|channel| occupancy.enter(channel));
        before.without(after).channels.iter().for_each(|channel| occupancy.leave(channel, now));
    }

    /// A session is over.
    pub(super) fn part(&self, conversation: &Conversation, code: Code) {
        self.occupy(Some(conversation.selection()), None);
        if let Some(application) = self.node.application.get() {
            let reason = match code {
                _ if conversation.closed => "closed",
                Code::NotFound => "gone",
                code => code.row().name,
            };
            opening::farewell(&**application, || conversation.caller(), reason);
        }
    }

    /// The server has stopped, and with it all sessions that were left.
    pub(in super::super) fn part_with_all(&self) {
        let Some(application) = self.node.application.get() else { return };
        for conversation in self.sessions.all.values() {
            opening::farewell(&**application, || conversation.caller(), Code::Draining.row().name);
        }
    }
}

impl Conversation {
    /// How the application knows it.
    fn caller(&self) -> Caller {
        opening::caller(&self.id.to_string(), &self.identity, self.address)
    }

    /// Whether something is still to be done: what was answered with `call_timeout` is not.
    fn still_waits(&self, waiting: &Waiting) -> bool {
        waiting.ticket.is_none_or(|ticket| self.session.is_open(ticket))
    }

    fn answer(&mut self, waiting: &Waiting, outcome: Outcome) {
        match waiting.ticket {
            Some(ticket) => drop(self.session.answer(ticket, outcome)),
            None => self.tell_of(waiting, &outcome),
        }
    }

    /// Tells a client what came of what it said without a call, where that changes what it reads: the change comes with a
    /// message, as it does with an answer.
    fn tell_of(&mut self, waiting: &Waiting, outcome: &Outcome) {
        let method = match waiting.deed {
            Deed::Subscribe => "subscribed",
            Deed::Unsubscribe => "unsubscribed",
            Deed::Publish => return,
        };
        if let (None, Ok(done)) = (waiting.ticket, outcome) {
            // What was read once can be read again.
            let _ = tell(self, method, &waiting.params, Ok(done.clone()));
        }
    }
}

/// Asks about each of several channels, one after the other, so that a call of a client's is one of the application's at a
/// time.
fn ask_to_subscribe(
    application: Arc<dyn Application>,
    caller: Caller,
    channels: Vec<String>,
    since: Option<String>,
) -> Answer<Allowed> {
    Box::pin(async move {
        let mut instead: Option<String> = None;
        for channel in channels {
            let asked = application.subscribe(caller.clone(), Subscribing { channel, since: since.clone() });
            let Allowed { since: other } = asked.await?;
            if let (Some(one), Some(other)) = (&instead, &other)
                && one != other
            {
                tracing::warn!("the application lets one `subscribe` begin at several places");
                return Err((&Problem::from(Code::ApplicationFailed)).into());
            }
            instead = instead.or(other);
        }
        Ok(Allowed { since: instead })
    })
}

/// What is asked about something that is to be published.
fn publishing(publish: &Publish) -> Publishing {
    let draft = &publish.draft;
    let text = || std::str::from_utf8(draft.data()).unwrap_or_default();
    let (data, base64) = match draft.kind() {
        Kind::Json => (Json::parse(text()).map(Json::into_owned), None),
        Kind::Text => (Json::of(&text()).ok(), None),
        Kind::Binary => (None, Some(BASE64_STANDARD.encode(draft.data()))),
    };
    Publishing {
        channel: publish.channel.to_string(),
        event: draft.event().map(str::to_owned),
        content_type: named_type(draft).map(str::to_owned),
        data,
        base64,
    }
}

/// The content type, where the kind of the data does not say as much.
fn named_type(draft: &Draft) -> Option<&str> {
    Some(draft.content_type()).filter(|named| *named != draft.kind().implied_type())
}

/// What the application has made of something that is to be published.
fn replaced(publish: Publish, taken: Taken) -> Result<Publish, Problem> {
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Json<'static>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        event: Option<&'a str>,
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        content_type: Option<&'a str>,
    }
    let (data, base64) = match taken {
        Taken::AsItIs => return Ok(publish),
        Taken::Data(data) => (Some(data), None),
        Taken::Base64(base64) => (None, Some(base64)),
    };
    let (event, content_type) = (publish.draft.event(), named_type(&publish.draft));
    let line = serde_json::to_vec(&Written { data, base64, event, content_type }).map_err(|_| Code::Internal)?;
    let draft = parse_line(&line).map_err(|problem| {
        tracing::warn!("what the application gave to publish instead does not count: {}", problem.detail);
        Problem::from(Code::ApplicationFailed)
    })?;
    Ok(Publish { draft, ..publish })
}
