//! A socket in the file system.

use crate::config::Socket;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Device, inode and time of creation.
type Identity = (u64, u64, i64, i64);

/// A socket that is listened on, and goes when this is dropped.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    path: PathBuf,
    /// By now the name may be another's.
    file: Identity,
}

impl UnixSocket {
    /// Listens on a socket. One that was left behind, with nobody behind it, gives way.
    pub(crate) fn listen(socket: &Socket, backlog: i32) -> io::Result<(UnixListener, UnixSocket)> {
        let path = &socket.path;
        clear(path)?;
        let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        listener.set_nonblocking(true)?;
        listener.bind(&socket2::SockAddr::unix(path)?)?;
        let bound = UnixSocket { path: path.clone(), file: identity(&fs::symlink_metadata(path)?) };
        // Nobody gets through before it is listened on, and by then only those who may.
        fs::set_permissions(path, fs::Permissions::from_mode(socket.mode))?;
        listener.listen(backlog)?;
        Ok((listener.into(), bound))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.file) {
            // Whoever comes next clears it away.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

/// Removes a socket that nobody listens on. Anything else stays, and is in the way.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(ErrorKind::AlreadyExists.into()),
        Ok(_) => match connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
            // Somebody answers, or has more to answer than there is room to wait.
            Ok(()) => Err(ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
            Err(error) => Err(error),
        },
    }
}

fn connect(path: &Path) -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&socket2::SockAddr::unix(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(name: &str) -> Socket {
        let path = std::env::temp_dir().join(format!("switchboard-{name}-{}.sock", std::process::id()));
        let _ = fs::remove_file(&path);
        Socket { path, mode: 0o640 }
    }

    #[test]
    fn a_socket_has_its_mode_and_goes_with_its_listener() {
        let socket = socket("mode");
        let (_listener, bound) = UnixSocket::listen(&socket, 8).unwrap();
        assert_eq!(fs::metadata(&socket.path).unwrap().mode() & 0o777, 0o640);
        connect(&socket.path).unwrap();
        drop(bound);
        assert!(!socket.path.exists());
    }

    #[test]
    fn one_left_behind_gives_way_and_one_in_use_does_not() {
        let socket = socket("stale");
        let (listener, bound) = UnixSocket::listen(&socket, 8).unwrap();
        assert_eq!(UnixSocket::listen(&socket, 8).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        // Its inode stays taken, so that the next one is another.
        let old = socket.path.with_extension("old");
        fs::hard_link(&socket.path, &old).unwrap();
        let (_next, new) = UnixSocket::listen(&socket, 8).unwrap();
        // It is another's by now.
        drop(bound);
        assert!(socket.path.exists());
        drop(new);
        fs::remove_file(&old).unwrap();
        fs::write(&socket.path, "kept").unwrap();
        assert_eq!(UnixSocket::listen(&socket, 8).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&socket.path).unwrap(), "kept");
        fs::remove_file(&socket.path).unwrap();
    }
}
