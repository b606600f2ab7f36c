//! Whether the files that were opened are still those under their names.
//!
//! Whoever deletes or replaces them while they are open does not disturb SQLite: it goes on writing into files that
//! nobody will ever find again. So every answer looks first.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The database and its write-ahead log, as they were when they were opened.
#[derive(Debug, Clone)]
pub(super) struct Files(Vec<(PathBuf, Option<Identity>)>);

/// What tells one file from another. Platforms without such numbers are not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
}

impl Files {
    /// Remembers the files of an open database.
    pub(super) fn of(database: &Path) -> Self {
        let mut log = OsString::from(database);
        log.push("-wal");
        let known = |path: PathBuf| {
            let identity = identity(&path);
            (path, identity)
        };
        Self([database.to_owned(), log.into()].map(known).into())
    }

    /// Whether all of them are where they were.
    pub(super) fn are_in_place(&self) -> bool {
        self.0.iter().all(|(path, known)| known.is_none() || identity(path) == *known)
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok()?;
    Some(Identity { device: found.dev(), number: found.ino() })
}

#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<Identity> {
    None
}
