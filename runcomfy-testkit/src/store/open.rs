//! Opens the file of a log: checks that it exists, belongs to the emulator and is intact, and reads its
//! records.

use std::{
    fs::{self, File, OpenOptions},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use redb::{Builder, Database, backends::FileBackend};

use super::{
    error::OpenError,
    guarded::Guarded,
    header::{self, HeaderKind},
    tables::{self, FORMAT, OLDEST, Record, Stopped},
};

/// redb's default of up to 1 GiB is of no use, because a log is read once and appended to.
const CACHE_BYTES: usize = 16 << 20;

/// Returns the database and the number of its next record.
pub(super) fn open(
    path: &Path,
    each: impl FnMut(Record) -> Result<(), String>,
) -> Result<(Database, u64), OpenError> {
    let of_io = |error| OpenError::from_io(path, error);
    let damaged = || OpenError::Damaged { path: path.to_owned() };
    // This locks the file.
    let file = FileBackend::new(open_file(path)?)
        .map_err(|error| OpenError::from_database(path, error))?;
    let fresh = match header::kind(&file).map_err(of_io)? {
        HeaderKind::Empty => true,
        HeaderKind::Database => false,
        HeaderKind::Damaged => return Err(damaged()),
        HeaderKind::Other => return Err(OpenError::NotOurs { path: path.to_owned() }),
        HeaderKind::OtherFormat(found) => return Err(other_format(path, found.into())),
    };
    let file = Guarded::new(file, fresh).map_err(of_io)?;
    let database = database(path, &file, fresh)?;
    if fresh {
        tables::begin(&database, FORMAT).map_err(|error| OpenError::from_database(path, error))?;
    }
    let (next, format) = read(path, &database, each)?;
    if format < FORMAT {
        // Marks the new format, because older programs would misread the records that are added from now on.
        tables::begin(&database, FORMAT).map_err(|error| OpenError::from_database(path, error))?;
    }
    file.release().map_err(of_io)?;
    if fresh {
        sync_directory(path).map_err(of_io)?;
    }
    Ok((database, next))
}

/// Opens the file, or creates an empty one that only the owner can read.
fn open_file(path: &Path) -> Result<File, OpenError> {
    if let Ok(metadata) = fs::metadata(path) {
        // Some systems open a directory and fail later with a less clear error.
        if metadata.is_dir() {
            return Err(OpenError::Directory { path: path.to_owned() });
        }
        if !metadata.is_file() {
            return Err(OpenError::NotAFile { path: path.to_owned() });
        }
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| OpenError::from_io(path, error))
}

/// Opens the database in the file and checks every page.
fn database(path: &Path, file: &Guarded, fresh: bool) -> Result<Database, OpenError> {
    let open = || {
        let mut database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            // The format that redb's next versions also read.
            .create_with_file_format_v3(true)
            .create_with_backend(file.clone())?;
        if !fresh {
            // Repairs are expected after a crash, so the result does not matter.
            database.check_integrity()?;
        }
        Ok::<_, redb::DatabaseError>(database)
    };
    // redb asserts on data that it has not checked yet. Its writes are held in memory and discarded.
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(OpenError::from_database(path, error)),
        Err(_panic) => Err(OpenError::Damaged { path: path.to_owned() }),
    }
}

/// The number of the next record, and the format of the existing ones.
fn read(
    path: &Path,
    database: &Database,
    each: impl FnMut(Record) -> Result<(), String>,
) -> Result<(u64, u64), OpenError> {
    let of_database = |fault| OpenError::from_database(path, fault);
    let transaction = database.begin_read().map_err(|error| of_database(error.into()))?;
    let format = match tables::format(&transaction).map_err(of_database)? {
        Some(format @ OLDEST..=FORMAT) => format,
        Some(found) => return Err(other_format(path, found)),
        None => return Err(OpenError::NotOurs { path: path.to_owned() }),
    };
    let next = tables::replay(&transaction, each).map_err(|stopped| match stopped {
        Stopped::Database(error) => of_database(error),
        Stopped::Gap => OpenError::Damaged { path: path.to_owned() },
        Stopped::Refused(number, reason) => {
            OpenError::Record { path: path.to_owned(), number, reason }
        }
    })?;
    Ok((next, format))
}

fn other_format(path: &Path, found: u64) -> OpenError {
    OpenError::OtherFormat { path: path.to_owned(), found, expected: FORMAT }
}

/// Makes the file's name durable.
#[cfg(unix)]
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
