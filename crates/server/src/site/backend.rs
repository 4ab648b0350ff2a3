//! The file system as the library asks for it: names resolved by [`Directory`], and everything that may wait for a disk on
//! the runtime's threads for that, never on a shard's.

use super::open::{Directory, Found};
use std::fs::File;
use std::future::{Ready, ready};
use std::io::{self, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tower_http::services::fs::{self, Backend};

/// Bytes read at once.
pub(super) const PIECE: usize = 64 << 10;

/// Serves the files of a directory.
#[derive(Clone, Debug)]
pub(super) struct Files(pub(super) Arc<Directory>);

type Boxed<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Backend for Files {
    type File = Opened;
    type Metadata = Found;
    type OpenFuture = Boxed<Opened>;
    type MetadataFuture = Boxed<Found>;

    fn open(&self, path: PathBuf) -> Boxed<Opened> {
        let directory = self.0.clone();
        Box::pin(blocking(move || {
            let (file, found) = directory.open(&relative(&path))?;
            Ok(Opened { file: Arc::new(file), found, at: 0, reading: None })
        }))
    }

    fn metadata(&self, path: PathBuf) -> Boxed<Found> {
        let directory = self.0.clone();
        Box::pin(blocking(move || directory.look(&relative(&path))))
    }
}

/// Runs what may wait for a disk on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.unwrap_or_else(lost)
}

fn lost<T>(error: JoinError) -> io::Result<T> {
    Err(io::Error::other(error))
}

/// The library puts `./` in front.
fn relative(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}

impl fs::Metadata for Found {
    fn is_dir(&self) -> bool {
        self.is_directory
    }

    fn modified(&self) -> io::Result<SystemTime> {
        Ok(self.modified)
    }

    fn len(&self) -> u64 {
        self.length
    }
}

/// A file that is being sent, as it was when it was opened. One that changes meanwhile cannot be read on: what was said of
/// it, its length and its entity tag, would not be true of what the peer puts together.
#[derive(Debug)]
pub(super) struct Opened {
    file: Arc<File>,
    found: Found,
    at: u64,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl fs::File for Opened {
    type Metadata = Found;
    type MetadataFuture<'a> = Ready<io::Result<Found>>;

    fn metadata(&self) -> Ready<io::Result<Found>> {
        ready(Ok(self.found))
    }
}

impl AsyncRead for Opened {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining().min(PIECE);
        if self.reading.is_none() {
            let (file, found, at) = (self.file.clone(), self.found, self.at);
            self.reading = Some(spawn_blocking(move || read(&file, found, at, room)));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(Ok(())) };
        let read = ready!(Pin::new(reading).poll(cx)).unwrap_or_else(lost);
        self.reading = None;
        let bytes = read?;
        // Whoever asks with less room than before gets the rest when they ask again.
        let taken = bytes.len().min(room);
        buf.put_slice(&bytes[..taken]);
        self.at += taken as u64;
        Poll::Ready(Ok(()))
    }
}

/// Reads once, and looks whether the file is still what it was.
fn read(file: &File, found: Found, at: u64, room: usize) -> io::Result<Vec<u8>> {
    let left = usize::try_from(found.length.saturating_sub(at)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; room.min(left)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if Found::of(file)? != found || filled < bytes.len() {
        return Err(io::Error::other("the file changed while it was sent"));
    }
    Ok(bytes)
}

impl AsyncSeek for Opened {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        self.reading = None;
        self.at = match position {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.found.length.saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.at))
    }
}
