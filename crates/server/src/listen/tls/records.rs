//! What follows a handshake: data, farewells, and keys that change.

use super::fault::Fault;
use super::keys::{HEADER, Keys, Layout, OVERSIZED};
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{AlertDescription, ContentType, ExtractedSecrets, SupportedCipherSuite};

/// Records that bring nothing, be they empty, warnings or new keys: so many a peer may send, and one more for so many bytes of
/// data. Beyond that it only makes work: new keys cost a hundred times what their record does.
const SPARE: u8 = 32;
const EARNS: usize = 256;
/// Records that could be opened while keys change: some 4 µs, where a record of a byte takes a quarter of one.
const CHANGE: u32 = 16;
/// Records that are left to the keys that seal when they are changed: what says so is one itself.
const RESERVE: u64 = 8;

/// A message that changes its sender's keys (RFC 8446 section 4.6.3), but for its last byte: whether the other side is to
/// change its own.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];

/// A connection whose handshake is done.
pub(super) struct Records {
    layout: Layout,
    seal: Keys,
    open: Keys,
    /// Where keys come from that follow these; TLS 1.2 has none.
    next_keys: Option<Box<KernelConnection<ServerConnectionData>>>,
    /// Records that these keys may seal.
    limit: u64,
    /// The keys that seal are to be changed before the next record.
    change: bool,
    /// Records that may come now that bring nothing.
    spare: u8,
    /// Bytes that have come towards the next of these.
    earned: u8,
    /// Records that were opened since they were last counted. Keys that changed count for as many as could be opened meanwhile.
    opened: u32,
}

/// What a record was.
pub(super) enum Heard<'a> {
    Data(&'a [u8]),
    /// The peer sends nothing more.
    End,
    Nothing,
}

impl Records {
    pub(super) fn new(
        secrets: ExtractedSecrets,
        connection: KernelConnection<ServerConnectionData>,
    ) -> Result<Records, Fault> {
        let suite = connection.negotiated_cipher_suite();
        let layout = Layout::of(suite);
        let limit = match suite {
            SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
        };
        Ok(Records {
            layout,
            seal: Keys::new(secrets.tx)?,
            open: Keys::new(secrets.rx)?,
            next_keys: (layout == Layout::Tls13).then(|| Box::new(connection)),
            limit,
            change: false,
            spare: SPARE,
            earned: 0,
            opened: 0,
        })
    }

    /// How many records were opened since this was last asked, or could have been.
    pub(super) fn take_opened(&mut self) -> u32 {
        std::mem::take(&mut self.opened)
    }

    /// Appends a record of data, and in front of it what has to be said before.
    pub(super) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.change || self.seal.used() >= self.limit - RESERVE {
            self.change_keys(out)?;
        }
        self.seal.seal(self.layout, ContentType::ApplicationData, plain, out)
    }

    fn change_keys(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        // Of TLS 1.2 no other keys are to be had: a client that connects anew gets some.
        let Some(next) = &mut self.next_keys else { return Err(Fault::silent("its keys are used up")) };
        let [a, b, c, d] = KEY_UPDATE;
        self.seal.seal(self.layout, ContentType::Handshake, &[a, b, c, d, 0], out)?;
        self.seal = Keys::new(next.update_tx_secret().map_err(|_| NO_KEYS)?)?;
        self.change = false;
        Ok(())
    }

    /// Appends an alert: the farewell, or why it has come to an end.
    pub(super) fn alert(&mut self, alert: AlertDescription, out: &mut Vec<u8>) -> Result<(), Fault> {
        let warning = matches!(alert, AlertDescription::CloseNotify | AlertDescription::NoRenegotiation);
        let level = if warning { 1 } else { 2 };
        self.seal.seal(self.layout, ContentType::Alert, &[level, u8::from(alert)], out)
    }

    /// Works on all records that have arrived whole, in place, and tells how many bytes that were, also where it ends with
    /// an error.
    pub(super) fn take_in(
        &mut self,
        arrived: &mut [u8],
        mut heard: impl FnMut(Heard<'_>),
    ) -> (usize, Result<(), Fault>) {
        let mut used = 0;
        let mut ready = None;
        while let Some(header) = arrived[used..].first_chunk::<HEADER>().copied() {
            let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
            if let Err(error) = self.check(header, length) {
                return (used, Err(error));
            }
            let (begin, end) = (used + HEADER, used + HEADER + length);
            let Some(sealed) = arrived.get_mut(begin..end) else { break };
            used = end;
            let key = match ready.take().map_or_else(|| self.open.ready(), Ok) {
                Ok(key) => key,
                Err(error) => return (used, Err(error)),
            };
            self.opened = self.opened.saturating_add(1);
            let opened = self.open.open(&key, self.layout, header, sealed);
            match opened.and_then(|(kind, content)| self.hear(kind, content)) {
                Ok((Heard::End, _)) => {
                    heard(Heard::End);
                    return (used, Ok(()));
                }
                Ok((what, same_keys)) => {
                    heard(what);
                    ready = same_keys.then_some(key);
                }
                Err(error) => return (used, Err(error)),
            }
        }
        (used, Ok(()))
    }

    fn check(&self, header: [u8; HEADER], length: usize) -> Result<(), Fault> {
        let kind = ContentType::from(header[0]);
        let known = match self.layout {
            Layout::Tls13 => kind == ContentType::ApplicationData,
            Layout::Tls12 => {
                matches!(kind, ContentType::ApplicationData | ContentType::Alert | ContentType::Handshake)
            }
        };
        match (known, header[1]) {
            (true, 3) if length > self.layout.longest() => Err(OVERSIZED),
            (true, 3) => Ok(()),
            _ => Err(Fault::told(AlertDescription::UnexpectedMessage, "what came is no record")),
        }
    }

    /// What a record says, and whether the keys that open the next one are the same.
    fn hear<'a>(&mut self, kind: ContentType, content: &'a [u8]) -> Result<(Heard<'a>, bool), Fault> {
        if kind == ContentType::ApplicationData && !content.is_empty() {
            let earned = usize::from(self.earned) + content.len();
            self.spare = (usize::from(self.spare) + earned / EARNS).min(usize::from(SPARE)) as u8;
            self.earned = (earned % EARNS) as u8;
            return Ok((Heard::Data(content), true));
        }
        if let (ContentType::Alert, &[_, alert]) = (kind, content)
            && AlertDescription::from(alert) == AlertDescription::CloseNotify
        {
            return Ok((Heard::End, true));
        }
        let Some(spare) = self.spare.checked_sub(1) else {
            return Err(Fault::told(AlertDescription::UnexpectedMessage, "too many records that bring nothing"));
        };
        self.spare = spare;
        match (kind, content, self.layout) {
            (ContentType::ApplicationData, ..) => Ok((Heard::Nothing, true)),
            (ContentType::Alert, &[level, alert], layout) => {
                // In TLS 1.3 the level means nothing (RFC 8446 section 6).
                match (AlertDescription::from(alert), layout) {
                    (AlertDescription::UserCanceled, Layout::Tls13) => Ok((Heard::Nothing, true)),
                    (_, Layout::Tls12) if level == 1 => Ok((Heard::Nothing, true)),
                    _ => Err(Fault::silent("the peer gave it up, with an alert")),
                }
            }
            (ContentType::Handshake, &[a, b, c, d, asks @ (0 | 1)], Layout::Tls13) if [a, b, c, d] == KEY_UPDATE => {
                let Some(next) = &mut self.next_keys else { return Err(NO_KEYS) };
                self.open = Keys::new(next.update_rx_secret().map_err(|_| NO_KEYS)?)?;
                // Said before the next record, whenever that is: who never reads it is owed none.
                self.change |= asks == 1;
                self.opened = self.opened.saturating_add(CHANGE);
                Ok((Heard::Nothing, false))
            }
            (ContentType::Handshake, _, Layout::Tls12) => {
                Err(Fault::told(AlertDescription::NoRenegotiation, "the peer wants to shake hands again"))
            }
            _ => Err(Fault::told(AlertDescription::UnexpectedMessage, "a message that has no place here")),
        }
    }
}

const NO_KEYS: Fault = Fault::silent("there are no keys to follow");
