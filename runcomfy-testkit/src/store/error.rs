//! Errors of the store: one line each, with the file and what to do.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::tables::DatabaseError;

/// Why a log could not be opened. The file is unchanged.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Bytes are missing or changed.
    #[error("the state in {} is damaged: restore a copy, or name another file", path.display())]
    Damaged { path: PathBuf },
    #[error("the state {} is a directory: name a file in it", path.display())]
    Directory { path: PathBuf },
    /// It is open in another process or in this one.
    #[error("the state {} is in use: stop the emulator that has it, or name another file", path.display())]
    InUse { path: PathBuf },
    /// For example a device.
    #[error("the state {} is not a regular file: name another", path.display())]
    NotAFile { path: PathBuf },
    #[error("the file {} is not a state file of the emulator: name another; this one is unchanged", path.display())]
    NotOurs { path: PathBuf },
    #[error("the state {} cannot be created because its directory does not exist: create the directory first", path.display())]
    NoDirectory { path: PathBuf },
    #[error("the state {} cannot be read and written: change its permissions, or name another file", path.display())]
    NoPermission { path: PathBuf },
    /// Written by another version of the program.
    #[error("the state {} has format {found}, not {expected}: use the version that wrote it, or name another file", path.display())]
    OtherFormat { path: PathBuf, found: u64, expected: u64 },
    /// A record was refused by the reader.
    #[error("record {number} of the state {} cannot be used: {reason}: restore a copy, or name another file", path.display())]
    Record { path: PathBuf, number: u64, reason: String },
    /// Another system error.
    #[error("the state {} cannot be used: {cause}", path.display())]
    Unusable { path: PathBuf, cause: Arc<redb::Error> },
}

impl OpenError {
    /// An error of the file system.
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

    /// An error of the database, which rarely says more than that the file is damaged.
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
    /// The first write that failed. Nothing is written after it.
    #[error("the state could not be written to {}: check the disk and start again: {cause}", path.display())]
    Failed { path: PathBuf, cause: Arc<redb::Error> },
    /// The writer thread has ended.
    #[error("the state is no longer written because the writer has stopped")]
    Stopped,
}
