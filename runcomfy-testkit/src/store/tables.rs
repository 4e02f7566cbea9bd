//! The tables of the log: one with the records, one with the file's owner and format.

use std::sync::Arc;

use redb::{
    Database, ReadTransaction, ReadableTable as _, TableDefinition, TableError, WriteTransaction,
};

/// The format that this program writes. Increment it when the tables or the serialized events change.
///
/// Format 1: all ids are derived from the account's key, and the prompt id is the request's id. Format 2: an
/// account has a seed for its ids, and each hand-over to a machine has its own prompt id.
pub(super) const FORMAT: u64 = 2;

/// The oldest format that this program reads. Such a file is converted to the current format.
pub(super) const OLDEST: u64 = 1;

const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("runcomfy-emulator state");
const RECORDS: TableDefinition<'_, u64, (u64, &[u8])> = TableDefinition::new("records");
const FORMAT_KEY: &str = "format";

/// An entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// The account's key.
    pub(crate) account: u64,
    /// The serialized event.
    pub(crate) event: Vec<u8>,
}

/// An error of the database, in an `Arc` because its own type is large.
#[derive(Debug)]
pub(super) struct DatabaseError(pub(super) Arc<redb::Error>);

impl<E: Into<redb::Error>> From<E> for DatabaseError {
    fn from(error: E) -> Self {
        Self(Arc::new(error.into()))
    }
}

/// Marks the file as the emulator's, with this format.
pub(super) fn begin(database: &Database, format: u64) -> Result<(), DatabaseError> {
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert(FORMAT_KEY, format)?;
    transaction.open_table(RECORDS)?;
    Ok(transaction.commit()?)
}

/// The format of the file. `None` if it is not the emulator's.
pub(super) fn format(transaction: &ReadTransaction) -> Result<Option<u64>, DatabaseError> {
    match transaction.open_table(ABOUT) {
        Ok(about) => Ok(about.get(FORMAT_KEY)?.map(|format| format.value())),
        Err(TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Adds records, the first with the number `next`.
pub(super) fn add<'a>(
    transaction: &WriteTransaction,
    next: u64,
    records: impl Iterator<Item = &'a Record>,
) -> Result<(), DatabaseError> {
    let mut table = transaction.open_table(RECORDS)?;
    for (number, record) in (next..).zip(records) {
        table.insert(number, (record.account, record.event.as_slice()))?;
    }
    Ok(())
}

/// Why reading stopped.
pub(super) enum Stopped {
    Database(DatabaseError),
    /// A record is missing.
    Gap,
    /// The reader refused this record.
    Refused(u64, String),
}

impl<E: Into<redb::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Database(DatabaseError::from(error))
    }
}

/// Passes every record to `each` in order. Returns the number of the next record.
pub(super) fn replay(
    transaction: &ReadTransaction,
    mut each: impl FnMut(Record) -> Result<(), String>,
) -> Result<u64, Stopped> {
    let mut next = 0;
    for entry in transaction.open_table(RECORDS)?.iter()? {
        let (number, record) = entry?;
        if number.value() != next {
            return Err(Stopped::Gap);
        }
        let (account, event) = record.value();
        each(Record { account, event: event.to_vec() })
            .map_err(|reason| Stopped::Refused(next, reason))?;
        next += 1;
    }
    Ok(next)
}
