//! The writer thread: commits all waiting records together, then acknowledges them.

use std::{path::PathBuf, sync::mpsc::Receiver};

use redb::Database;
use tokio::sync::oneshot;

use super::{
    error::WriteError,
    tables::{self, DatabaseError, Record},
};

/// Receives the result of a write.
pub(super) type Done = oneshot::Sender<Result<(), WriteError>>;

/// A record to write, if any, and the receiver of the result.
pub(super) type WriteRequest = (Option<Record>, Done);

pub(super) struct Writer {
    database: Database,
    /// The number of the next record.
    next: u64,
    path: PathBuf,
    /// The first failure. Later writes fail too, because a log must not have gaps.
    failed: Option<WriteError>,
}

impl Writer {
    pub(super) fn new(database: Database, next: u64, path: PathBuf) -> Self {
        Self { database, next, path, failed: None }
    }

    /// Runs until all handles are dropped and all requests are done.
    pub(super) fn run(mut self, requests: &Receiver<WriteRequest>) {
        while let Ok(first) = requests.recv() {
            let requests = std::iter::once(first).chain(requests.try_iter());
            let (records, waiting): (Vec<_>, Vec<_>) = requests.unzip();
            let records: Vec<_> = records.into_iter().flatten().collect();
            let written = self.write(&records);
            for done in waiting {
                // The receiver may have been dropped.
                drop(done.send(written.clone()));
            }
        }
    }

    fn write(&mut self, records: &[Record]) -> Result<(), WriteError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if records.is_empty() {
            return Ok(());
        }
        match self.commit(records) {
            Ok(()) => {
                self.next += records.len() as u64;
                Ok(())
            }
            Err(DatabaseError(cause)) => {
                let error = WriteError::Failed { path: self.path.clone(), cause };
                Err(self.failed.insert(error).clone())
            }
        }
    }

    /// Durable when this returns, because redb syncs the file on every commit by default.
    fn commit(&self, records: &[Record]) -> Result<(), DatabaseError> {
        let transaction = self.database.begin_write()?;
        tables::add(&transaction, self.next, records.iter())?;
        Ok(transaction.commit()?)
    }
}
