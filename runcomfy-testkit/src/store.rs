//! `Store`: an append-only log of records in one file that survives restarts and crashes.
//!
//! One thread writes. It commits all waiting records together and then acknowledges them, so an acknowledged
//! record is on disk, and the file always holds a prefix of the appended records. The store does not
//! interpret the records.

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

/// A handle to the log. Dropping the last handle waits until all records are on disk and releases the file.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    writer: Arc<WriterHandle>,
}

/// The writer thread and its channel.
#[derive(Debug)]
struct WriterHandle {
    /// `None` only while it is dropped.
    requests: Option<mpsc::Sender<WriteRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the log, or creates it if the file is missing or empty. Passes all records in order to `each`.
    ///
    /// Blocks. The file is not written to before all records have been accepted, so an unreadable file stays
    /// unchanged.
    ///
    /// # Errors
    /// If the file cannot be opened, is not a log, or `each` refuses a record.
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

    /// Creates a log as a program with that format writes it.
    #[cfg(test)]
    pub(crate) fn write_in_format(path: &Path, format: u64, records: &[Record]) {
        let database = Database::create(path).unwrap();
        tables::begin(&database, format).unwrap();
        let transaction = database.begin_write().unwrap();
        tables::add(&transaction, 0, records.iter()).unwrap();
        transaction.commit().unwrap();
    }

    /// Starts the writer on a database whose next record has this number.
    fn over(database: Database, next: u64, path: &Path) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let writer = Writer::new(database, next, path.to_owned());
        let thread =
            thread::Builder::new().name("state".to_owned()).spawn(move || writer.run(&inbox))?;
        Ok(Self {
            writer: Arc::new(WriterHandle { requests: Some(requests), thread: Some(thread) }),
        })
    }

    /// Appends a record. The order is fixed when this returns; await the result to know that the record is on
    /// disk. Dropping the result does not undo the append.
    ///
    /// After a failed write, all later writes fail with the same cause.
    pub(crate) fn append(&self, record: Record) -> PendingWrite {
        self.order(Some(record))
    }

    /// Resolves when all records appended so far are on disk. Writes nothing.
    pub(crate) fn flush(&self) -> PendingWrite {
        self.order(None)
    }

    fn order(&self, record: Option<Record>) -> PendingWrite {
        let (done, pending) = oneshot::channel();
        if let Some(requests) = &self.writer.requests {
            // If the thread has ended, the sender is dropped with the request and the result reports it.
            drop(requests.send((record, done)));
        }
        PendingWrite(pending)
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take()
            // A task that the writer wakes may drop the last handle on the writer's thread.
            && thread.thread().id() != thread::current().id()
        {
            drop(thread.join());
        }
    }
}

/// Resolves when a record is on disk, or has failed.
#[derive(Debug)]
#[must_use = "without waiting, the record may not be on disk yet"]
pub(crate) struct PendingWrite(oneshot::Receiver<Result<(), WriteError>>);

impl Future for PendingWrite {
    type Output = Result<(), WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let written = Pin::new(&mut self.0).poll(context);
        written.map(|written| written.unwrap_or(Err(WriteError::Stopped)))
    }
}
