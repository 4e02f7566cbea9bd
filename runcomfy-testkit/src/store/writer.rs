//! The thread that writes: everything that waits in one commit, then word to those who wait for it.

use std::{path::PathBuf, sync::mpsc::Receiver};

use redb::Database;
use tokio::sync::oneshot;

use super::{
    error::WriteError,
    tables::{self, DatabaseError, Record},
};

/// Whom to tell how it went.
pub(super) type Done = oneshot::Sender<Result<(), WriteError>>;

/// A record to be written, if any, and whom to tell.
pub(super) type WriteRequest = (Option<Record>, Done);

pub(super) struct Writer {
    database: Database,
    /// The number of the next record.
    next: u64,
    path: PathBuf,
    /// The first failure. A log with a hole in it would be worse than one that ends.
    failed: Option<WriteError>,
}

impl Writer {
    pub(super) fn new(database: Database, next: u64, path: PathBuf) -> Self {
        Self { database, next, path, failed: None }
    }

    /// Until every handle is gone and all that they ordered is done.
    pub(super) fn run(mut self, requests: &Receiver<WriteRequest>) {
        while let Ok(first) = requests.recv() {
            let requests = std::iter::once(first).chain(requests.try_iter());
            let (records, waiting): (Vec<_>, Vec<_>) = requests.unzip();
            let records: Vec<_> = records.into_iter().flatten().collect();
            let written = self.write(&records);
            for done in waiting {
                // Nobody need wait.
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

    /// Durable when this returns: redb syncs the file on every commit unless told otherwise.
    fn commit(&self, records: &[Record]) -> Result<(), DatabaseError> {
        let transaction = self.database.begin_write()?;
        tables::add(&transaction, self.next, records.iter())?;
        Ok(transaction.commit()?)
    }
}
