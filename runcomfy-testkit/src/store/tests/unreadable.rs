//! An unreadable file is reported with its cause and not changed.

use super::*;

/// A log with some records, closed properly.
fn written(path: &Path) -> Vec<u8> {
    let (store, _) = reopen(path);
    for number in 0..200 {
        drop(store.append(record(7, number)));
    }
    drop(store);
    fs::read(path).unwrap()
}

/// Opens a file with these bytes, which fails, and checks that it is unchanged.
#[track_caller]
fn refused(bytes: &[u8]) -> OpenError {
    let (_directory, path) = place();
    fs::write(&path, bytes).unwrap();
    let error = Store::open(&path, |_| Ok(())).unwrap_err();
    assert!(fs::read(&path).unwrap() == bytes, "{error}");
    let line = error.to_string();
    assert!(line.contains(path.to_str().unwrap()) && !line.contains('\n'), "{line}");
    error
}

#[test]
fn a_file_of_others_is_not_ours() {
    let noise: Vec<u8> = (0..5_000_u64).map(|number| crate::ids::mix(number) as u8).collect();
    for bytes in [&b"{\"deployments\": []}\n"[..], b"x", b"runcomfy\n", &[0; 4_096], &noise] {
        let error = refused(bytes);
        assert!(matches!(error, OpenError::NotOurs { .. }), "{error:?}");
    }
}

#[test]
fn a_database_of_others_is_not_ours() {
    const THEIRS: TableDefinition<'_, &str, &str> = TableDefinition::new("theirs");
    let (_directory, path) = place();
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(THEIRS).unwrap().insert("a", "b").unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = refused(&fs::read(&path).unwrap());
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error:?}");
}

#[test]
fn a_later_format_is_left_to_later_versions() {
    let (_directory, path) = place();
    let database = Database::create(&path).unwrap();
    tables::begin(&database, tables::FORMAT + 1).unwrap();
    drop(database);
    match refused(&fs::read(&path).unwrap()) {
        OpenError::OtherFormat { found, .. } => assert_eq!(found, tables::FORMAT + 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_format_before_the_first_is_refused() {
    let (_directory, path) = place();
    Store::write_in_format(&path, tables::OLDEST - 1, &[]);
    let error = refused(&fs::read(&path).unwrap());
    assert!(matches!(error, OpenError::OtherFormat { .. }), "{error:?}");
}

/// The format of a closed file.
fn format_of(path: &Path) -> Option<u64> {
    tables::format(&Database::open(path).unwrap().begin_read().unwrap()).unwrap()
}

#[test]
fn an_earlier_format_is_read_and_closed_to_earlier_versions() {
    let (_directory, path) = place();
    Store::write_in_format(&path, tables::OLDEST, &[record(1, 1), record(2, 2)]);
    for _ in 0..2 {
        let (_store, records) = reopen(&path);
        assert_eq!(records, [record(1, 1), record(2, 2)]);
    }
    assert_eq!(format_of(&path), Some(tables::FORMAT));
}

#[test]
fn an_earlier_format_that_is_refused_stays_one() {
    let (_directory, path) = place();
    Store::write_in_format(&path, tables::OLDEST, &[record(1, 1)]);
    let before = fs::read(&path).unwrap();
    assert!(Store::open(&path, |_| Err("unfit".to_owned())).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_log_cut_short_anywhere_is_damaged() {
    let (_directory, path) = place();
    let whole = written(&path);
    for length in [9, 10, 319, 320, 4_096, whole.len() / 2, whole.len() - 1] {
        let error = refused(&whole[..length]);
        assert!(matches!(error, OpenError::Damaged { .. }), "{length}: {error:?}");
    }
}

#[test]
fn a_changed_record_is_found() {
    let (_directory, path) = place();
    let (store, _) = reopen(&path);
    for number in 0..50_u64 {
        let event = format!("the event {number} of fifty").into_bytes();
        drop(store.append(Record { account: 1, event }));
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let wanted = b"the event 20 of fifty";
    let places: Vec<usize> =
        (0..bytes.len() - wanted.len()).filter(|at| bytes[*at..].starts_with(wanted)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] ^= 1;
    }
    let error = refused(&bytes);
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_record_that_is_refused_leaves_the_log_as_it_was() {
    let (_directory, path) = place();
    let before = written(&path);
    let mut seen = 0;
    let error = Store::open(&path, |_| {
        seen += 1;
        if seen == 3 { Err("no such account".to_owned()) } else { Ok(()) }
    })
    .unwrap_err();
    assert!(
        matches!(&error, OpenError::Record { number: 2, reason, .. } if reason == "no such account")
    );
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(reopen(&path).1.len(), 200);
}

/// Neither was ever a log, so nothing is lost.
#[test]
fn an_empty_file_and_one_never_finished_begin_a_log() {
    let (_directory, path) = place();
    let mut unfinished = written(&path);
    unfinished[..9].copy_from_slice(header::UNFINISHED);
    for bytes in [&b""[..], header::UNFINISHED, &unfinished[..100_000], &unfinished] {
        fs::write(&path, bytes).unwrap();
        let (store, records) = reopen(&path);
        assert_eq!(records, []);
        drop(store.append(record(1, 1)));
        drop(store);
        assert_eq!(reopen(&path).1, [record(1, 1)]);
    }
}

#[test]
fn a_directory_and_a_place_without_one_are_told_apart() {
    let (directory, path) = place();
    let error = Store::open(directory.path(), |_| Ok(())).unwrap_err();
    assert!(matches!(error, OpenError::Directory { .. }), "{error:?}");
    let error = Store::open(&path.join("state"), |_| Ok(())).unwrap_err();
    assert!(matches!(error, OpenError::NoDirectory { .. }), "{error:?}");
    fs::write(&path, "a file").unwrap();
    let error = Store::open(&path.join("state"), |_| Ok(())).unwrap_err();
    assert!(matches!(error, OpenError::NoDirectory { .. }), "{error:?}");
}

#[cfg(unix)]
#[test]
fn a_device_is_no_place_for_a_log() {
    let error = Store::open(Path::new("/dev/null"), |_| Ok(())).unwrap_err();
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error:?}");
}

/// Tests may run as root, which can open any file, so the error is simulated.
#[test]
fn a_file_that_may_not_be_opened_says_so() {
    for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
        let error = OpenError::from_io(Path::new("state"), kind.into());
        assert!(matches!(error, OpenError::NoPermission { .. }), "{error:?}");
    }
}
