//! How the log lies in its file: one table of records, one that says whose file it is and in which format.

use std::sync::Arc;

use redb::{
    Database, ReadTransaction, ReadableTable as _, TableDefinition, TableError, WriteTransaction,
};

/// Which format this program writes. Raise it when the tables, or the events in them, change.
///
/// In 1, all ids follow from the account's key, and a run goes by its request's id on its machine. In 2, an
/// account has a seed for its ids, and each hand-over to a machine an id.
pub(super) const FORMAT: u64 = 2;

/// The first format that this program reads. What it finds in one is of this program's from then on.
pub(super) const OLDEST: u64 = 1;

const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("runcomfy-emulator state");
const RECORDS: TableDefinition<'_, u64, (u64, &[u8])> = TableDefinition::new("records");
const FORMAT_KEY: &str = "format";

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Whose it is.
    pub(crate) account: u64,
    /// What happened.
    pub(crate) event: Vec<u8>,
}

/// What the database said. Its own type is too large to be returned everywhere.
#[derive(Debug)]
pub(super) struct DatabaseError(pub(super) Arc<redb::Error>);

impl<E: Into<redb::Error>> From<E> for DatabaseError {
    fn from(error: E) -> Self {
        Self(Arc::new(error.into()))
    }
}

/// Says whose file it is, and in which format.
pub(super) fn begin(database: &Database, format: u64) -> Result<(), DatabaseError> {
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert(FORMAT_KEY, format)?;
    transaction.open_table(RECORDS)?;
    Ok(transaction.commit()?)
}

/// In which format the file is. `None`: somebody else's.
pub(super) fn format(transaction: &ReadTransaction) -> Result<Option<u64>, DatabaseError> {
    match transaction.open_table(ABOUT) {
        Ok(about) => Ok(about.get(FORMAT_KEY)?.map(|format| format.value())),
        Err(TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Adds these, the first under number `next`.
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

/// Why the records could not be read to the end.
pub(super) enum Stopped {
    Database(DatabaseError),
    /// One is missing.
    Gap,
    /// This one was refused.
    Refused(u64, String),
}

impl<E: Into<redb::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Database(DatabaseError::from(error))
    }
}

/// Hands every record to `each`, in order, and says which number the next will have.
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
