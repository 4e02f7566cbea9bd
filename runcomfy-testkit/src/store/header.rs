//! Checks the header of a file before the database opens it.
//!
//! The database trusts a file that starts with its magic number and panics if the file is truncated.

use redb::StorageBackend;

/// The beginning of an unfinished file, which contains nothing. It has the length of [`REDB`], which replaces
/// it at last.
pub(super) const UNFINISHED: &[u8; 9] = b"runcomfy\0";

/// The magic number of redb.
pub(super) const REDB: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// The file formats that this version of redb reads.
const READABLE: [u8; 2] = [2, 3];

const PAGE: u64 = 4096;
/// The length of the part that is checked: the layout and two slots, each of which starts with a format.
const LENGTH: usize = 320;
const SLOTS: [usize; 2] = [64, 192];

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum HeaderKind {
    /// Empty or never finished, so that it can be overwritten.
    Empty,
    /// A database.
    Database,
    Damaged,
    Other,
    /// A database in another file format.
    OtherFormat(u8),
}

pub(super) fn kind(file: &impl StorageBackend) -> std::io::Result<HeaderKind> {
    let length = file.len()?;
    let known = length.min(LENGTH as u64);
    let start = file.read(0, usize::try_from(known).unwrap_or(LENGTH))?;
    Ok(read(&start, length))
}

fn read(start: &[u8], length: u64) -> HeaderKind {
    let mark = start.get(..UNFINISHED.len()).unwrap_or(start);
    if length == 0 || mark == UNFINISHED {
        return HeaderKind::Empty;
    }
    if !REDB.starts_with(mark) {
        return HeaderKind::Other;
    }
    if start.len() < LENGTH {
        return HeaderKind::Damaged;
    }
    if let Some(format) = SLOTS.map(|at| start[at]).into_iter().find(|f| !READABLE.contains(f)) {
        return HeaderKind::OtherFormat(format);
    }
    let number = |at: usize| {
        let bytes = [start[at], start[at + 1], start[at + 2], start[at + 3]];
        u64::from(u32::from_le_bytes(bytes))
    };
    let [page, region_header, region, full, trailing] = [12, 16, 20, 24, 28].map(number);
    let trailing = if trailing > 0 { region_header + trailing } else { 0 };
    // The numbers are below 2^32, and the last product saturates.
    let pages = (1 + trailing).saturating_add(full.saturating_mul(region_header + region));
    if page != PAGE || region == 0 || pages == 1 || length < pages.saturating_mul(PAGE) {
        return HeaderKind::Damaged;
    }
    HeaderKind::Database
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: &[u8], length: u64, expected: HeaderKind) {
        assert_eq!(read(start, length), expected, "{:?}", start.get(..40));
    }

    /// A header of one page and one full region, with these bytes changed.
    fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut start = vec![0; LENGTH];
        start[..9].copy_from_slice(REDB);
        for (at, number) in [(12, 4096_u32), (16, 1), (20, 10), (24, 1), (28, 0)] {
            start[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        for slot in SLOTS {
            start[slot] = 3;
        }
        start[at..at + bytes.len()].copy_from_slice(bytes);
        start
    }

    #[test]
    fn a_file_is_known_by_its_start_and_length() {
        const WHOLE: u64 = 12 * PAGE;
        check(b"", 0, HeaderKind::Empty);
        check(UNFINISHED, 9, HeaderKind::Empty);
        check(&changed(0, UNFINISHED), 5, HeaderKind::Empty);
        check(b"runcomfy", 8, HeaderKind::Other);
        check(b"{\"deployments\": []}", 19, HeaderKind::Other);
        check(&REDB[..5], 5, HeaderKind::Damaged);
        check(REDB, 9, HeaderKind::Damaged);
        check(&changed(0, REDB), WHOLE, HeaderKind::Database);
        check(&changed(0, REDB), WHOLE + 1, HeaderKind::Database);
        check(&changed(0, REDB), WHOLE - 1, HeaderKind::Damaged);
        check(&changed(28, &[1]), WHOLE + 2 * PAGE, HeaderKind::Database);
        check(&changed(28, &[1]), WHOLE + 2 * PAGE - 1, HeaderKind::Damaged);
        check(&changed(12, &[1]), WHOLE, HeaderKind::Damaged);
        check(&changed(20, &[0; 4]), WHOLE, HeaderKind::Damaged);
        check(&changed(16, &[0xff; 16]), u64::MAX, HeaderKind::Database);
        check(&changed(16, &[0xff; 16]), u64::MAX - 1, HeaderKind::Damaged);
        check(&changed(64, &[4]), WHOLE, HeaderKind::OtherFormat(4));
        check(&changed(192, &[1]), WHOLE, HeaderKind::OtherFormat(1));
    }
}
