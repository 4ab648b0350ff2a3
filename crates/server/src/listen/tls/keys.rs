//! The keys of one direction of a connection, and records that are sealed and opened with them.
//!
//! They are kept as they are, in 80 bytes, and made ready for a record each time: that takes less than a microsecond, and what
//! it saves is most of what an idle connection would be.

use super::fault::Fault;
use super::session::PLAIN_MAX;
use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::{AlertDescription, ConnectionTrafficSecrets, ContentType, SupportedCipherSuite};

/// What a record begins with: its kind, a version, its length.
pub(super) const HEADER: usize = 5;
/// What every cipher here adds.
const TAG: usize = 16;
/// What AES-GCM has in front in TLS 1.2 (RFC 5288 section 3).
const EXPLICIT: usize = 8;
/// The version that every record says, but for the first of a client.
const VERSION: [u8; 2] = [3, 3];

/// Too much in one record.
pub(super) const OVERSIZED: Fault = Fault::told(AlertDescription::RecordOverflow, "a record that is too long");
const FOUL: Fault =
    Fault::told(AlertDescription::BadRecordMac, "a record that was not sealed with the connection's keys");

/// Which version of TLS, as far as records go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    Tls12,
    Tls13,
}

impl Layout {
    pub(super) fn of(suite: SupportedCipherSuite) -> Layout {
        if suite.tls13().is_some() { Layout::Tls13 } else { Layout::Tls12 }
    }

    /// The longest a record may be, without its header.
    pub(super) fn longest(self) -> usize {
        match self {
            Layout::Tls12 => (16 << 10) + 2048,
            Layout::Tls13 => (16 << 10) + 256,
        }
    }
}

/// The keys of one direction.
pub(super) struct Keys {
    algorithm: &'static Algorithm,
    key: AeadKey,
    iv: Iv,
    /// The number of the next record.
    next: u64,
}

/// Keys that are ready for records.
pub(super) struct Ready(LessSafeKey);

impl Keys {
    pub(super) fn new((next, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Keys, Fault> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Fault::silent("a cipher that is not known here")),
        };
        Ok(Keys { algorithm, key, iv, next })
    }

    /// How many records these keys have sealed or opened.
    pub(super) fn used(&self) -> u64 {
        self.next
    }

    pub(super) fn ready(&self) -> Result<Ready, Fault> {
        let key =
            UnboundKey::new(self.algorithm, self.key.as_ref()).map_err(|_| Fault::silent("a key of another length"))?;
        Ok(Ready(LessSafeKey::new(key)))
    }

    fn has_explicit(&self, layout: Layout) -> bool {
        layout == Layout::Tls12 && self.algorithm != &CHACHA20_POLY1305
    }

    /// The next record's nonce (RFC 8446 section 5.3, RFC 7905 section 2).
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(self.iv.as_ref());
        nonce[NONCE_LEN - 8..].iter_mut().zip(self.next.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        nonce
    }

    /// What is vouched for beside the content (RFC 8446 section 5.2, RFC 5246 section 6.2.3.3). `plain` is its length.
    fn vouched(&self, layout: Layout, header: [u8; HEADER], plain: usize) -> Vouched {
        match layout {
            Layout::Tls13 => Vouched { bytes: [0; 13], length: 0 }.with(&header),
            Layout::Tls12 => Vouched { bytes: [0; 13], length: 0 }
                .with(&self.next.to_be_bytes())
                .with(&header[..3])
                .with(&(plain as u16).to_be_bytes()),
        }
    }

    /// Appends a record of this content, which is [`PLAIN_MAX`] at most.
    pub(super) fn seal(
        &mut self,
        layout: Layout,
        kind: ContentType,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let Ready(key) = self.ready()?;
        let nonce = self.nonce();
        let explicit = self.has_explicit(layout);
        let hidden_kind = layout == Layout::Tls13;
        let length = plain.len() + TAG + usize::from(hidden_kind) + if explicit { EXPLICIT } else { 0 };
        let shown = if hidden_kind { ContentType::ApplicationData } else { kind };
        let [high, low] = (length as u16).to_be_bytes();
        let header = [u8::from(shown), VERSION[0], VERSION[1], high, low];
        out.extend_from_slice(&header);
        if explicit {
            out.extend_from_slice(&nonce[NONCE_LEN - EXPLICIT..]);
        }
        let begin = out.len();
        out.extend_from_slice(plain);
        if hidden_kind {
            out.push(u8::from(kind));
        }
        let vouched = self.vouched(layout, header, plain.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(vouched), &mut out[begin..]);
        out.extend_from_slice(tag.map_err(|_| Fault::silent("a record that cannot be sealed"))?.as_ref());
        self.next += 1;
        Ok(())
    }

    /// Opens a record in place: its kind and its content.
    pub(super) fn open<'a>(
        &mut self,
        Ready(key): &Ready,
        layout: Layout,
        header: [u8; HEADER],
        sealed: &'a mut [u8],
    ) -> Result<(ContentType, &'a [u8]), Fault> {
        let explicit = if self.has_explicit(layout) { EXPLICIT } else { 0 };
        let plain = sealed.len().checked_sub(TAG + explicit).ok_or(FOUL)?;
        let mut nonce = self.nonce();
        if explicit > 0 {
            nonce[..NONCE_LEN - EXPLICIT].copy_from_slice(&self.iv.as_ref()[..NONCE_LEN - EXPLICIT]);
            nonce[NONCE_LEN - EXPLICIT..].copy_from_slice(&sealed[..EXPLICIT]);
        }
        let vouched = self.vouched(layout, header, plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = key.open_within(nonce, Aad::from(vouched), sealed, explicit..).map_err(|_| FOUL)?;
        self.next += 1;
        let (kind, content) = match layout {
            Layout::Tls12 => (ContentType::from(header[0]), &*opened),
            Layout::Tls13 => {
                // Behind the content stands its kind, and zeros behind that (RFC 8446 section 5.4).
                let end = opened.iter().rposition(|byte| *byte != 0);
                let end = end.ok_or(Fault::told(AlertDescription::UnexpectedMessage, "a record of no kind"))?;
                (ContentType::from(opened[end]), &opened[..end])
            }
        };
        match content.len() {
            0..=PLAIN_MAX => Ok((kind, content)),
            _ => Err(OVERSIZED),
        }
    }
}

/// At most thirteen bytes.
struct Vouched {
    bytes: [u8; 13],
    length: usize,
}

impl Vouched {
    fn with(mut self, more: &[u8]) -> Vouched {
        self.bytes[self.length..self.length + more.len()].copy_from_slice(more);
        self.length += more.len();
        self
    }
}

impl AsRef<[u8]> for Vouched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
