//! `Store`: an append-only log of records in one file, kept across restarts and crashes.
//!
//! One thread writes. It takes all records that wait, commits them together, and only then says so: a record
//! that was acknowledged is on disk, and what is on disk is never less than a beginning of what was appended.
//! What the bytes of a record mean is for others to know.

use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use redb::Database;
use tokio::sync::oneshot;

mod error;
mod guarded;
mod header;
mod open;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use error::{OpenError, WriteError};
pub(crate) use tables::Record;
use writer::{WriteRequest, Writer};

/// A handle on the log. When the last one is dropped, everything appended is on disk and the file is free for
/// others; that drop waits for the disk.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    writer: Arc<WriterHandle>,
}

/// The thread that writes, and the way to it.
#[derive(Debug)]
struct WriterHandle {
    /// Taken on drop only.
    requests: Option<mpsc::Sender<WriteRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the log, or begins one where there is no file or an empty one. Hands every record so far, in
    /// order, to `each`, one at a time.
    ///
    /// Blocks. Until every record was taken, the file is not written to: what can't be read stays as it is.
    ///
    /// # Errors
    /// Where the file can't be opened, is not such a log, or `each` says what is wrong with a record.
    pub(crate) fn open(
        path: &Path,
        each: impl FnMut(Record) -> Result<(), String>,
    ) -> Result<Self, OpenError> {
        let (database, next) = open::open(path, each)?;
        Self::over(database, next, path).map_err(|cause| OpenError::Unusable {
            path: path.to_owned(),
            cause: Arc::new(cause.into()),
        })
    }

    /// Makes a log as a program of that format leaves it.
    #[cfg(test)]
    pub(crate) fn write_in_format(path: &Path, format: u64, records: &[Record]) {
        let database = Database::create(path).unwrap();
        tables::begin(&database, format).unwrap();
        let transaction = database.begin_write().unwrap();
        tables::add(&transaction, 0, records.iter()).unwrap();
        transaction.commit().unwrap();
    }

    /// Over a database whose next record has this number.
    fn over(database: Database, next: u64, path: &Path) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let writer = Writer::new(database, next, path.to_owned());
        let thread =
            thread::Builder::new().name("state".to_owned()).spawn(move || writer.run(&inbox))?;
        Ok(Self {
            writer: Arc::new(WriterHandle { requests: Some(requests), thread: Some(thread) }),
        })
    }

    /// Appends a record. Its place in the order is taken when this returns; whoever must know that it is on
    /// disk awaits the pending. Dropping the pending takes nothing back.
    ///
    /// Once a write has failed, all later ones fail for the same cause.
    pub(crate) fn append(&self, record: Record) -> PendingWrite {
        self.order(Some(record))
    }

    /// Resolves when all that was appended so far is on disk. Writes nothing itself.
    pub(crate) fn flush(&self) -> PendingWrite {
        self.order(None)
    }

    fn order(&self, record: Option<Record>) -> PendingWrite {
        let (done, pending) = oneshot::channel();
        if let Some(requests) = &self.writer.requests {
            // Where the thread is gone, the sender goes with the order, and the pending says so.
            drop(requests.send((record, done)));
        }
        PendingWrite(pending)
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            // Whoever is woken by the writer may drop the last handle there.
            && thread.thread().id() != thread::current().id()
        {
            drop(thread.join());
        }
    }
}

/// Resolves when a record is on disk, or never will be.
#[derive(Debug)]
#[must_use = "a record that nobody waited for may not be on disk yet"]
pub(crate) struct PendingWrite(oneshot::Receiver<Result<(), WriteError>>);

impl Future for PendingWrite {
    type Output = Result<(), WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let written = Pin::new(&mut self.0).poll(context);
        written.map(|written| written.unwrap_or(Err(WriteError::Stopped)))
    }
}
