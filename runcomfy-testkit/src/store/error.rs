//! Why the log could not be opened or written: one line each, with the file's name and what to do.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::tables::DatabaseError;

/// Why a log could not be opened. In every case the file is as it was.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Bytes are missing or changed.
    #[error("the state in {} is damaged: restore a copy, or name another file", path.display())]
    Damaged { path: PathBuf },
    #[error("the state {} is a directory: name a file in it", path.display())]
    Directory { path: PathBuf },
    /// Another process has it open, or this one has.
    #[error("the state {} is in use: stop the emulator that has it, or name another file", path.display())]
    InUse { path: PathBuf },
    /// A device, say.
    #[error("the state {} is not a regular file: name another", path.display())]
    NotAFile { path: PathBuf },
    #[error("the file {} is not a state of the emulator: name another, it is left as it is", path.display())]
    NotOurs { path: PathBuf },
    #[error("the state {} can't be made, its directory is not there: create that first", path.display())]
    NoDirectory { path: PathBuf },
    #[error("the state {} may not be read and written: change its permissions, or name another file", path.display())]
    NoPermission { path: PathBuf },
    /// Of a version of the program that writes it otherwise.
    #[error("the state {} has format {found}, not {expected}: use the version that wrote it, or name another file", path.display())]
    OtherFormat { path: PathBuf, found: u64, expected: u64 },
    /// Somebody to whom the records were handed could not take this one.
    #[error("record {number} of the state {} can't be used: {reason}: restore a copy, or name another file", path.display())]
    Record { path: PathBuf, number: u64, reason: String },
    /// The system would not.
    #[error("the state {} can't be used: {cause}", path.display())]
    Unusable { path: PathBuf, cause: Arc<redb::Error> },
}

impl OpenError {
    /// What the system said on opening or reading.
    pub(super) fn from_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoDirectory { path },
            io::ErrorKind::IsADirectory => Self::Directory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NoPermission { path }
            }
            _ => Self::Unusable { path, cause: Arc::new(error.into()) },
        }
    }

    /// What the database said. It names most of what it does not understand no more closely.
    pub(super) fn from_database(path: &Path, fault: impl Into<DatabaseError>) -> Self {
        let (path, DatabaseError(cause)) = (path.to_owned(), fault.into());
        match &*cause {
            redb::Error::DatabaseAlreadyOpen => Self::InUse { path },
            redb::Error::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Self::Unusable { path, cause }
            }
            _ => Self::Damaged { path },
        }
    }
}

/// Why a record is not on disk.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The first write that failed; nothing is written after it.
    #[error("the state could not be written to {}: see to its disk and start again: {cause}", path.display())]
    Failed { path: PathBuf, cause: Arc<redb::Error> },
    /// The thread that writes is gone.
    #[error("the state is no longer written")]
    Stopped,
}
