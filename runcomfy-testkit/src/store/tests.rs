//! Tests of the log: records are kept in order, and an unreadable file is not changed.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{Database, StorageBackend, TableDefinition, backends::InMemoryBackend};
use tempfile::TempDir;

use super::*;

mod killed;
mod unreadable;

/// A temporary directory and the log in it.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    (directory, path)
}

fn record(account: u64, number: u64) -> Record {
    Record { account, event: number.to_le_bytes().to_vec() }
}

/// Opens the log and reads all records.
fn reopen(path: &Path) -> (Store, Vec<Record>) {
    let mut records = Vec::new();
    let store = Store::open(path, |record| {
        records.push(record);
        Ok(())
    });
    (store.unwrap(), records)
}

#[tokio::test]
async fn records_of_many_writers_keep_the_order_in_which_they_were_appended() {
    let (_directory, path) = place();
    let (store, _) = reopen(&path);
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut writers = tokio::task::JoinSet::new();
    for account in 0..8 {
        let (store, order) = (store.clone(), order.clone());
        writers.spawn(async move {
            for number in 0..25 {
                let pending = {
                    let mut order = order.lock().unwrap();
                    order.push(record(account, number));
                    store.append(record(account, number))
                };
                pending.await.unwrap();
            }
        });
    }
    writers.join_all().await;
    drop(store);
    let (_store, records) = reopen(&path);
    assert_eq!(records, *order.lock().unwrap());
}

#[tokio::test]
async fn a_log_goes_on_where_it_ended() {
    let (_directory, path) = place();
    for round in 0..4 {
        let (store, records) = reopen(&path);
        assert_eq!(records, (0..round).map(|number| record(1, number)).collect::<Vec<_>>());
        store.append(record(1, round)).await.unwrap();
    }
}

#[tokio::test]
async fn a_record_whose_ticket_is_dropped_is_written_all_the_same() {
    let (_directory, path) = place();
    let (store, _) = reopen(&path);
    drop(store.append(record(1, 0)));
    store.append(record(1, 1)).await.unwrap();
    // Read from a copy while the store is open, so that closing it cannot have written the record.
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).unwrap();
    assert_eq!(reopen(&copy).1, [record(1, 0), record(1, 1)]);
}

#[tokio::test]
async fn a_flush_waits_for_all_before_it_and_writes_nothing() {
    let (_directory, path) = place();
    let (store, _) = reopen(&path);
    let pending = store.append(record(1, 1));
    store.flush().await.unwrap();
    let there = std::pin::pin!(pending).poll(&mut Context::from_waker(std::task::Waker::noop()));
    assert!(matches!(there, Poll::Ready(Ok(()))));
    store.flush().await.unwrap();
    drop(store);
    assert_eq!(reopen(&path).1, [record(1, 1)]);
}

#[tokio::test]
async fn records_of_any_size_come_back_as_they_were() {
    let (_directory, path) = place();
    let events = [0, 1, 4_096, 3_000_000].map(|length| Record {
        account: u64::MAX,
        event: (0..length).map(|byte| (byte % 251) as u8).collect(),
    });
    let (store, _) = reopen(&path);
    for record in &events {
        drop(store.append(record.clone()));
    }
    drop(store);
    assert_eq!(reopen(&path).1, events);
}

#[test]
fn two_can_not_have_a_log_at_once() {
    let (_directory, path) = place();
    let (store, _) = reopen(&path);
    let second = Store::open(&path, |_| Ok(()));
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    drop(store);
    reopen(&path);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_a_new_log() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, path) = place();
    let _store = reopen(&path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A disk that fails once it is full.
#[derive(Debug, Default)]
struct Disk {
    memory: InMemoryBackend,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn takes_more(&self) -> io::Result<()> {
        let full = self.full.load(Ordering::Relaxed);
        if full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.memory.read(offset, length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.takes_more()?;
        self.memory.set_len(length)
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        self.memory.sync_data(eventual)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.takes_more()?;
        self.memory.write(offset, data)
    }
}

#[tokio::test]
async fn after_a_write_failed_nothing_more_is_written_and_all_hear_the_first_cause() {
    fn cause(written: Result<(), WriteError>) -> ErrorKind {
        match written {
            Err(WriteError::Failed { cause, .. }) => match &*cause {
                redb::Error::Io(error) => error.kind(),
                other => panic!("{other}"),
            },
            other => panic!("{other:?}"),
        }
    }

    let disk = Disk::default();
    let full = disk.full.clone();
    let database = Database::builder().create_with_backend(disk).unwrap();
    let store = Store::over(database, 0, Path::new("disk")).unwrap();
    store.append(record(1, 0)).await.unwrap();
    full.store(true, Ordering::Relaxed);
    assert_eq!(cause(store.append(record(1, 1)).await), ErrorKind::StorageFull);
    full.store(false, Ordering::Relaxed);
    assert_eq!(cause(store.append(record(1, 2)).await), ErrorKind::StorageFull);
}
