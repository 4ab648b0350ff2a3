//! Opens files below a directory, and nothing else. The kernel itself refuses a path that leads out, also while somebody
//! moves directories around.

use super::settings::Symlinks;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The directory of a site. It is looked up anew for each file, so that a link to it may be moved to another.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    symlinks: Symlinks,
}

/// What is known of a file or directory that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) is_directory: bool,
    pub(crate) length: u64,
    pub(crate) modified: SystemTime,
}

impl Directory {
    pub(crate) fn new(path: PathBuf, symlinks: Symlinks) -> Directory {
        Directory { path, symlinks }
    }

    /// Opens a file for reading. What is no file is not there: a pipe would be waited for.
    pub(crate) fn open(&self, relative: &Path) -> io::Result<(File, Found)> {
        let file = self.find(relative, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let file = File::from(file);
        let found = Found::of(&file)?;
        match found.is_directory {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok((file, found)),
        }
    }

    /// Tells of a file or directory, without opening it for reading.
    pub(crate) fn look(&self, relative: &Path) -> io::Result<Found> {
        // Invariant of Linux: such a descriptor serves `fstat`. Elsewhere there is none of the kind.
        #[cfg(target_os = "linux")]
        let flags = OFlags::PATH;
        #[cfg(not(target_os = "linux"))]
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        found(&fstat(self.find(relative, flags)?)?)
    }

    fn find(&self, relative: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let root = openat(CWD, &self.path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let flags = flags | OFlags::CLOEXEC;
        let opened = match self.symlinks {
            Symlinks::Anywhere => openat(&root, relative, flags, Mode::empty()),
            Symlinks::Within => beneath(root, relative, flags),
        };
        opened.map_err(|error| match error {
            // It leads out, through too many links or through a file, or is nothing that we may or can read.
            Errno::XDEV
            | Errno::LOOP
            | Errno::NOTDIR
            | Errno::NAMETOOLONG
            | Errno::ACCESS
            | Errno::PERM
            | Errno::NXIO => io::ErrorKind::NotFound.into(),
            other => other.into(),
        })
    }
}

/// Times that a path is tried again because it was moved while it was walked.
#[cfg(target_os = "linux")]
const RETRIES: usize = 8;

/// Links are followed as long as they stay below `root`.
#[cfg(target_os = "linux")]
fn beneath(root: OwnedFd, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RETRIES {
        match openat2(&root, relative, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Before Linux 5.6, and where a sandbox forbids what it does not know.
            Err(Errno::NOSYS | Errno::PERM) => return walk(root, relative, flags),
            done => return done,
        }
    }
    Err(Errno::NXIO)
}

#[cfg(not(target_os = "linux"))]
fn beneath(root: OwnedFd, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    walk(root, relative, flags)
}

/// The same where the kernel does not help: step by step, and no link is followed.
fn walk(root: OwnedFd, relative: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut at = root;
    let mut names = relative.components().peekable();
    while let Some(name) = names.next() {
        let step = match names.peek() {
            Some(_) => OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            None => flags,
        };
        match name {
            std::path::Component::Normal(_) | std::path::Component::CurDir => {
                at = openat(&at, name.as_os_str(), step | OFlags::NOFOLLOW, Mode::empty())?;
            }
            _ => return Err(Errno::XDEV),
        }
    }
    Ok(at)
}

impl Found {
    /// What is so of an open file now.
    pub(crate) fn of(file: &File) -> io::Result<Found> {
        found(&fstat(file)?)
    }
}

/// What is neither a file nor a directory is not there.
fn found(stat: &Stat) -> io::Result<Found> {
    let is_directory = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => true,
        FileType::RegularFile => false,
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
    // A file from before 1970 is as old as one of then: dates of HTTP that are older help nobody.
    let modified = UNIX_EPOCH + Duration::new(u64::try_from(stat.st_mtime).unwrap_or_default(), nanoseconds);
    Ok(Found { is_directory, length: u64::try_from(stat.st_size).unwrap_or_default(), modified })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A directory with a file outside, and links to it of every kind.
    fn directory(name: &str) -> PathBuf {
        let base = std::env::temp_dir().join(format!("switchboard-open-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&base);
        let site = base.join("site");
        std::fs::create_dir_all(site.join("sub")).unwrap();
        std::fs::write(base.join("secret"), "secret").unwrap();
        std::fs::write(site.join("sub/file"), "file").unwrap();
        symlink("sub/file", site.join("within")).unwrap();
        symlink("sub", site.join("directory")).unwrap();
        symlink("../secret", site.join("out")).unwrap();
        symlink(base.join("secret"), site.join("absolute")).unwrap();
        symlink("..", site.join("up")).unwrap();
        symlink("loop", site.join("loop")).unwrap();
        rustix::fs::mknodat(CWD, site.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        base
    }

    #[test]
    fn links_are_followed_as_far_as_they_stay_within() {
        let base = directory("links");
        let within = Directory::new(base.join("site"), Symlinks::Within);
        let anywhere = Directory::new(base.join("site"), Symlinks::Anywhere);
        for file in ["sub/file", "within", "directory/file"] {
            assert_eq!(within.open(Path::new(file)).unwrap().1.length, 4, "{file}");
            assert!(!within.look(Path::new(file)).unwrap().is_directory, "{file}");
        }
        for out in ["out", "absolute", "up/secret", "../secret", "loop", "none", "sub/file/x", "pipe"] {
            assert_eq!(within.open(Path::new(out)).unwrap_err().kind(), io::ErrorKind::NotFound, "{out}");
            assert_eq!(within.look(Path::new(out)).unwrap_err().kind(), io::ErrorKind::NotFound, "{out}");
        }
        for out in ["out", "absolute", "up/secret"] {
            assert_eq!(anywhere.open(Path::new(out)).unwrap().1.length, 6, "{out}");
        }
        assert!(
            within.look(Path::new("")).unwrap().is_directory
                && within.look(Path::new("directory")).unwrap().is_directory
        );
        assert!(within.open(Path::new("sub")).is_err());
        std::fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn where_the_kernel_does_not_help_no_link_is_followed() {
        let base = directory("walk");
        let root = || OwnedFd::from(File::open(base.join("site")).unwrap());
        let walked = |path: &str| walk(root(), Path::new(path), OFlags::RDONLY | OFlags::CLOEXEC).is_ok();
        assert!(walked("sub/file") && walked(".") && walked("./sub"));
        for no in ["within", "directory/file", "out", "absolute", "up/secret", "../secret", "/etc/hostname", "none"] {
            assert!(!walked(no), "{no}");
        }
        std::fs::remove_dir_all(&base).unwrap();
    }
}
