//! Reading: received bytes in, messages and control frames out (RFC 6455 sections 5.4 to 5.6 and 8.1).
//!
//! A [`Reader`] is given whatever has arrived. A frame that lies whole in the input is unmasked where it lies, checked
//! and copied once. What is not whole is kept inside, and checked as far as it goes: text that stops being UTF-8 in
//! the middle of an unfinished frame fails there and then. Between messages a reader holds nothing but its settings.
//!
//! ```text
//!            ┌────────── whole frame, message or control ──────────┐
//!            │                                                     ▼
//!          idle ── part of a frame, or of a message ──▶ partial ──▶ event
//!            ▲                                                     │
//!            └──────────────── nothing left over ──────────────────┘
//!
//!          any ── close frame, or broken rule ──▶ done: swallows all that follows
//! ```

use super::close::Close;
use super::deflate::{Inflate, Inflaters};
use super::header::{HEADER_MAX, Header, Opcode};
use super::{Role, mask};
use crate::code::{Code, Problem};
use crate::limits::CONTROL_FRAME_MAX;
use bytes::Bytes;

/// What was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// A text message. The bytes are valid UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// To be answered with a pong with the same payload, of at most 125 bytes.
    Ping(Bytes),
    /// The answer to a ping, or a sign of life that nobody asked for.
    Pong(Bytes),
    /// The other side closes. Nothing comes after it.
    Close(Close),
}

/// What a reader takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest message, in bytes, inflated.
    pub message: usize,
    /// Most frames in one message. An empty frame that ends it does not count: some senders cut a message into frames of
    /// one length, and write such a frame behind them where nothing is left.
    pub fragments: u32,
}

impl Default for Limits {
    /// 1 MiB, in at most 65,536 frames.
    fn default() -> Limits {
        Limits { message: 1 << 20, fragments: 1 << 16 }
    }
}

/// Reads what one side of a connection receives. See the [module](self).
#[derive(Debug)]
pub struct Reader {
    /// Boxed, because most connections are idle most of the time.
    partial: Option<Box<Partial>>,
    limit: usize,
    fragments: u32,
    role: Role,
    deflate: bool,
    done: bool,
}

impl Reader {
    /// A reader at the beginning of a connection. `role` is its own side; `deflate` says whether
    /// `permessage-deflate` was negotiated.
    pub fn new(role: Role, deflate: bool, limits: Limits) -> Reader {
        let Limits { message: limit, fragments } = limits;
        Reader { partial: None, limit, fragments, role, deflate, done: false }
    }

    /// Whether the reader stands between messages, holding nothing: it can be dropped, and a new one made when more
    /// arrives.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none() && !self.done
    }

    /// Whether a close frame was read or a rule broken. Whatever else arrives is swallowed.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes of the heap held for what is not whole yet, without the inflater of a compressed message.
    pub fn held(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| {
            size_of::<Partial>() + partial.message.as_ref().map_or(0, |message| message.data.capacity())
        })
    }

    /// Whether a compressed message is being read, which takes an inflater of [`INFLATER`] bytes.
    ///
    /// [`INFLATER`]: super::deflate::INFLATER
    pub fn is_inflating(&self) -> bool {
        self.partial.as_ref().and_then(|partial| partial.message.as_ref()).is_some_and(|it| it.inflate.is_some())
    }

    /// Reads up to the end of the next message or control frame, moves `input` past what was read, and unmasks in
    /// place on the way. `None` means that all of the input was taken and more is needed: call again, in a loop,
    /// until it says so.
    ///
    /// # Errors
    ///
    /// The code to close the connection with: [`Code::WsProtocol`] (1002), [`Code::InvalidText`] (1007) or
    /// [`Code::TooLarge`] (1009), and what was wrong. The reader is then done.
    pub fn read(&mut self, input: &mut &mut [u8], inflaters: &mut Inflaters) -> Result<Option<Incoming>, Problem> {
        if self.done {
            *input = &mut [];
            return Ok(None);
        }
        let found = match self.whole(input, inflaters) {
            Ok(None) if !input.is_empty() => self.piecewise(input, inflaters),
            found => found,
        };
        if matches!(&found, Err(_) | Ok(Some(Incoming::Close(_)))) {
            self.done = true;
            if let Some(inflate) = self.partial.take().and_then(|partial| partial.message?.inflate) {
                inflaters.give_back(inflate);
            }
        } else if self.partial.as_ref().is_some_and(|partial| partial.is_empty()) {
            self.partial = None;
        }
        found
    }

    /// Reads a frame that is a message or a control frame of its own and lies whole in the input, with nothing before
    /// it: nearly all of them. `None`, with nothing taken, if it is not so.
    fn whole(&self, input: &mut &mut [u8], inflaters: &mut Inflaters) -> Result<Option<Incoming>, Problem> {
        if self.partial.is_some() {
            return Ok(None);
        }
        let Some((header, taken)) = Header::parse(input, self.role, self.deflate)? else { return Ok(None) };
        if !header.fin || header.opcode == Opcode::Continuation {
            return Ok(None);
        }
        let Ok(length) = usize::try_from(header.length) else { return Ok(None) };
        if input.len() - taken < length {
            return Ok(None);
        }
        if !header.opcode.is_control() {
            check_size(header.length, header.compressed, self.limit)?;
        }
        take(input, taken);
        let payload = take(input, length);
        if let Some(key) = header.mask {
            mask::apply(key, 0, payload);
        }
        if header.opcode.is_control() {
            return control(header.opcode, payload).map(Some);
        }
        let text = header.opcode == Opcode::Text;
        let data = if header.compressed { inflate_whole(payload, self.limit, inflaters)? } else { Bytes::new() };
        let plain: &[u8] = if header.compressed { &data } else { payload };
        if text && simdutf8::basic::from_utf8(plain).is_err() {
            return Err(not_utf8());
        }
        let data = if header.compressed { data } else { Bytes::copy_from_slice(payload) };
        Ok(Some(if text { Incoming::Text(data) } else { Incoming::Binary(data) }))
    }

    /// Reads on, keeping what is not whole.
    fn piecewise(&mut self, input: &mut &mut [u8], inflaters: &mut Inflaters) -> Result<Option<Incoming>, Problem> {
        let partial = self.partial.get_or_insert_default();
        loop {
            if partial.frame.is_none() {
                let Some(header) = partial.head.read(input, self.role, self.deflate)? else { return Ok(None) };
                partial.begin(header, self.limit, self.fragments, inflaters)?;
            }
            match partial.payload(input, self.limit, inflaters)? {
                None if partial.frame.is_some() => return Ok(None),
                None => {}
                event => return Ok(event),
            }
        }
    }
}

/// What is not whole yet.
#[derive(Debug, Default)]
struct Partial {
    head: Head,
    /// The frame whose payload is arriving.
    frame: Option<Current>,
    /// What has arrived of a control frame's payload.
    control: Vec<u8>,
    /// The message of which a frame has begun; control frames may stand between its frames.
    message: Option<Message>,
}

/// A frame whose payload is arriving.
#[derive(Debug)]
struct Current {
    header: Header,
    /// How much of the payload has arrived, in bytes.
    read: u64,
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.head.length == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Takes up a frame, if it may stand here.
    fn begin(&mut self, header: Header, limit: usize, most: u32, inflaters: &mut Inflaters) -> Result<(), Problem> {
        if header.opcode.is_control() {
            self.control = Vec::with_capacity((header.length as usize).min(CONTROL_FRAME_MAX));
        } else {
            let message = match (header.opcode, &mut self.message) {
                (Opcode::Continuation, Some(message)) => message,
                (Opcode::Continuation, None) => {
                    return Err(Code::WsProtocol.because("a continuation frame continues no message"));
                }
                (_, Some(_)) => {
                    return Err(Code::WsProtocol.because("a message begins before the one in front of it has ended"));
                }
                (opcode, none) => none.insert(Message::new(opcode == Opcode::Text)),
            };
            message.fragments += u32::from(!header.fin || header.length > 0);
            if message.fragments > most {
                return Err(Code::TooLarge.because("the message has too many fragments"));
            }
            if header.compressed {
                message.inflate = Some(inflaters.take());
            }
            message.announced = message.announced.saturating_add(header.length);
            check_size(message.announced, message.inflate.is_some(), limit)?;
        }
        self.frame = Some(Current { header, read: 0 });
        Ok(())
    }

    /// Takes what there is of the current frame's payload; gives the event that ends with it.
    fn payload(
        &mut self,
        input: &mut &mut [u8],
        limit: usize,
        inflaters: &mut Inflaters,
    ) -> Result<Option<Incoming>, Problem> {
        let Some(Current { header, read }) = &mut self.frame else { return Ok(None) };
        let left = usize::try_from(header.length - *read).unwrap_or(usize::MAX);
        let piece = take(input, left);
        if let Some(key) = header.mask {
            mask::apply(key, *read, piece);
        }
        *read += piece.len() as u64;
        let ended = *read == header.length;
        let (opcode, fin) = (header.opcode, header.fin);
        if ended {
            self.frame = None;
        }
        if opcode.is_control() {
            self.control.extend_from_slice(piece);
            return if ended { control(opcode, &std::mem::take(&mut self.control)).map(Some) } else { Ok(None) };
        }
        if let Some(message) = &mut self.message {
            message.push(piece, limit)?;
        }
        match self.message.take_if(|_| ended && fin) {
            Some(message) => message.finish(limit, inflaters).map(Some),
            None => Ok(None),
        }
    }
}

/// The bytes of a header that is not whole yet.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; HEADER_MAX],
    length: u8,
}

impl Head {
    /// Takes bytes until there is a header. One by one, so that none is taken beyond it.
    fn read(&mut self, input: &mut &mut [u8], role: Role, deflate: bool) -> Result<Option<Header>, Problem> {
        loop {
            let length = usize::from(self.length);
            if let Some((header, _)) = Header::parse(&self.bytes[..length], role, deflate)? {
                self.length = 0;
                return Ok(Some(header));
            }
            let [byte] = take(input, 1) else { return Ok(None) };
            // Invariant: fourteen bytes are a header whatever they hold, so there is room while there is none.
            if let Some(place) = self.bytes.get_mut(length) {
                *place = *byte;
            }
            self.length += 1;
        }
    }
}

/// A message that is not whole yet.
#[derive(Debug)]
struct Message {
    text: bool,
    /// What has arrived, unmasked and inflated.
    data: Vec<u8>,
    /// How much of the data is whole UTF-8 characters, if it is text.
    checked: usize,
    fragments: u32,
    /// The lengths of all its frames so far, in bytes.
    announced: u64,
    /// There if the message is compressed.
    inflate: Option<Box<Inflate>>,
}

impl Message {
    fn new(text: bool) -> Message {
        Message { text, data: Vec::new(), checked: 0, fragments: 0, announced: 0, inflate: None }
    }

    fn push(&mut self, piece: &[u8], limit: usize) -> Result<(), Problem> {
        match &mut self.inflate {
            Some(inflate) => inflate.push(piece, limit, &mut self.data)?,
            None => {
                self.make_room(piece.len());
                self.data.extend_from_slice(piece);
            }
        }
        self.check_text()
    }

    /// Grows the buffer with what has arrived, not with what was announced, so that announcing is not enough to
    /// take memory; but never beyond it, so that a whole message fits its buffer.
    fn make_room(&mut self, more: usize) {
        let needed = self.data.len() + more;
        if needed > self.data.capacity() {
            let announced = usize::try_from(self.announced).unwrap_or(usize::MAX);
            let goal = needed.max(self.data.capacity() * 2).min(announced.max(needed));
            self.data.reserve_exact(goal - self.data.len());
        }
    }

    /// Checks what has not been checked. A character may be cut by the end of what has arrived; anything that can
    /// no longer become one fails.
    fn check_text(&mut self) -> Result<(), Problem> {
        if !self.text {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(&self.data[self.checked..]) {
            Ok(_) => self.checked = self.data.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(not_utf8()),
        }
        Ok(())
    }

    fn finish(mut self, limit: usize, inflaters: &mut Inflaters) -> Result<Incoming, Problem> {
        if let Some(mut inflate) = self.inflate.take() {
            let finished = inflate.finish(limit, &mut self.data);
            inflaters.give_back(inflate);
            finished?;
            self.check_text()?;
            self.data.shrink_to_fit();
        }
        if self.text && self.checked < self.data.len() {
            return Err(not_utf8());
        }
        let data = Bytes::from(self.data);
        Ok(if self.text { Incoming::Text(data) } else { Incoming::Binary(data) })
    }
}

/// The event of a whole control frame.
fn control(opcode: Opcode, payload: &[u8]) -> Result<Incoming, Problem> {
    Ok(match opcode {
        Opcode::Close => Incoming::Close(Close::parse(payload)?),
        Opcode::Ping => Incoming::Ping(Bytes::copy_from_slice(payload)),
        _ => Incoming::Pong(Bytes::copy_from_slice(payload)),
    })
}

fn inflate_whole(payload: &[u8], limit: usize, inflaters: &mut Inflaters) -> Result<Bytes, Problem> {
    let mut inflate = inflaters.take();
    let mut data = Vec::new();
    let inflated = inflate.push(payload, limit, &mut data).and_then(|()| inflate.finish(limit, &mut data));
    inflaters.give_back(inflate);
    inflated?;
    data.shrink_to_fit();
    Ok(data.into())
}

/// Checks the announced length of a message against the limit, before any of it is kept. Compressed, it may be
/// somewhat longer than the limit: no compressor makes data longer by more than an eighth, but one could send blocks
/// without content for ever.
fn check_size(announced: u64, compressed: bool, limit: usize) -> Result<(), Problem> {
    let most = if compressed { limit.saturating_add(limit / 8).saturating_add(64) } else { limit };
    if announced > most as u64 {
        return Err(Code::TooLarge.because("the message is larger than the limit"));
    }
    Ok(())
}

fn not_utf8() -> Problem {
    Code::InvalidText.because("a text message is not UTF-8")
}

/// Takes up to `most` bytes from the front.
fn take<'a>(input: &mut &'a mut [u8], most: usize) -> &'a mut [u8] {
    let most = most.min(input.len());
    let (taken, rest) = std::mem::take(input).split_at_mut(most);
    *input = rest;
    taken
}

#[cfg(test)]
mod tests;
