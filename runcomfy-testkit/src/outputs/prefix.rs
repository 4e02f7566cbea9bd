//! Evaluates a `filename_prefix` as ComfyUI on Linux does: it may contain any character but a zero byte, and
//! must not lead out of the output folder.

use std::fmt;

use chrono::{DateTime, Utc};

/// The folder below the output folder, and the beginning of the name.
type FolderAndName = (String, String);

/// The longest name on common file systems, in bytes.
const LONGEST: usize = 255;

/// Why a prefix is refused, with ComfyUI's exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrefixError {
    Outside,
    TooLong,
    ZeroByte,
}

impl PrefixError {
    pub(super) fn exception(self) -> &'static str {
        match self {
            Self::Outside => "Exception",
            Self::TooLong => "OSError",
            Self::ZeroByte => "ValueError",
        }
    }
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outside => "Saving image outside the output folder is not allowed.",
            Self::TooLong => "[Errno 36] File name too long",
            Self::ZeroByte => "embedded null byte",
        })
    }
}

/// Replaces the placeholders for size and time. Others between percent signs are kept.
pub(super) fn expand(prefix: &str, (width, height): (u32, u32), at: DateTime<Utc>) -> String {
    if !prefix.contains('%') {
        return prefix.to_owned();
    }
    let time = |format| at.format(format).to_string();
    [
        ("%width%", width.to_string()),
        ("%height%", height.to_string()),
        ("%year%", time("%Y")),
        ("%month%", time("%m")),
        ("%day%", time("%d")),
        ("%hour%", time("%H")),
        ("%minute%", time("%M")),
        ("%second%", time("%S")),
    ]
    .into_iter()
    .fold(prefix.to_owned(), |prefix, (mark, value)| prefix.replace(mark, &value))
}

/// The folder and the name for a prefix and an extension.
pub(super) fn read(prefix: &str, ending: &str) -> Result<FolderAndName, PrefixError> {
    if prefix.contains('\0') {
        return Err(PrefixError::ZeroByte);
    }
    if prefix.starts_with('/') {
        return Err(PrefixError::Outside);
    }
    let parts = normal(prefix);
    let (name, folders) = match parts.split_last() {
        Some((name, folders)) => (*name, folders),
        // The empty path is the folder itself in Python.
        None => (".", [].as_slice()),
    };
    if folders.contains(&"..") {
        return Err(PrefixError::Outside);
    }
    let longest = name.len() + "_00001".len() + ending.len();
    if longest > LONGEST || folders.iter().any(|folder| folder.len() > LONGEST) {
        return Err(PrefixError::TooLong);
    }
    Ok((folders.join("/"), name.to_owned()))
}

/// The normalized parts of a path, with `..` resolved.
fn normal(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." && parts.last().is_some_and(|last| *last != "..") {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_takes_is_taken_as_it_is() {
        for (prefix, folder, name) in [
            ("ComfyUI", "", "ComfyUI"),
            ("a/b/c", "a/b", "c"),
            ("a//./b/", "a", "b"),
            ("a/../b", "", "b"),
            ("back\\slash", "", "back\\slash"),
            ("..\\x", "", "..\\x"),
            ("c:\\x", "", "c:\\x"),
            ("a:b*?\"<>|", "", "a:b*?\"<>|"),
            ("line\nbreak\t/x", "line\nbreak\t", "x"),
            ("100 %", "", "100 %"),
            ("日本語/ネコ ñ", "日本語", "ネコ ñ"),
            // Python's result for this odd path.
            ("", "", "."),
            ("a/..", "", "."),
            ("..", "", ".."),
        ] {
            let expected = Ok((folder.to_owned(), name.to_owned()));
            assert_eq!(read(prefix, "_.png"), expected, "{prefix:?}");
        }
    }

    #[test]
    fn what_leads_out_is_too_long_or_is_no_name_is_refused() {
        let long = "x".repeat(300);
        let (longest, deep) = ("x".repeat(244), format!("{long}/x"));
        for (prefix, fault) in [
            ("../evil", PrefixError::Outside),
            ("../../evil", PrefixError::Outside),
            ("a/../../evil", PrefixError::Outside),
            ("/etc/evil", PrefixError::Outside),
            ("/", PrefixError::Outside),
            (long.as_str(), PrefixError::TooLong),
            (deep.as_str(), PrefixError::TooLong),
            (&format!("{longest}x"), PrefixError::TooLong),
            ("a\0b", PrefixError::ZeroByte),
        ] {
            assert_eq!(read(prefix, "_.png"), Err(fault), "{prefix:?}");
        }
        assert!(read(&longest, "_.png").is_ok());
    }

    #[test]
    fn size_and_time_are_filled_in_and_other_marks_stay() {
        let at = DateTime::from_timestamp(1_776_310_852, 0).unwrap();
        let filled = |prefix| expand(prefix, (640, 384), at);
        assert_eq!(filled("%width%x%height%"), "640x384");
        assert_eq!(filled("%year%-%month%-%day%/%hour%%minute%%second%"), "2026-04-16/034052");
        assert_eq!(filled("%date:yyyy% 100% %"), "%date:yyyy% 100% %");
    }
}
