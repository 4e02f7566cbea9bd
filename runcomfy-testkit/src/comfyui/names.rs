//! File names from ComfyUI and from inputs, made safe for paths.

use std::path::{Path, PathBuf};

/// The longest name on common file systems, in bytes.
const LONGEST: usize = 255;
const DEEPEST: usize = 16;

/// The path of a copied file below its folder: its own name, or if not every system supports that, a name
/// with its `number` in the run. `None` if the name leads out of the folder.
pub(super) fn stored_path(
    kind: &str,
    subfolder: &str,
    filename: &str,
    number: usize,
) -> Option<PathBuf> {
    if let Some(relative) = relative(subfolder, filename) {
        return Some(Path::new(kind).join(relative));
    }
    let folders = subfolder.split(['/', '\\']).filter(|_| !subfolder.is_empty());
    let leads_out = |name: &str| matches!(name, "" | "." | "..");
    if folders.clone().any(leads_out) || leads_out(filename) || filename.contains('/') {
        return None;
    }
    // A separate folder, so that the new name cannot collide with another file.
    Some(Path::new("renamed").join(plain(number, filename, None)))
}

/// The file's own path, if it is a plain one.
fn relative(subfolder: &str, filename: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    // On Windows, ComfyUI separates subfolders with backslashes.
    let folders: Vec<_> = match subfolder {
        "" => Vec::new(),
        _ => subfolder.split(['/', '\\']).collect(),
    };
    if folders.len() > DEEPEST {
        return None;
    }
    for name in folders.into_iter().chain([filename]) {
        path.push(is_name(name).then_some(name)?);
    }
    Some(path)
}

/// Whether the name is that of a direct child of its folder.
fn is_name(name: &str) -> bool {
    // On Windows, a colon marks a drive or a stream.
    let separates = |c: char| matches!(c, '/' | '\\') || (cfg!(windows) && c == ':');
    (1..=LONGEST).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| separates(c) || c.is_control())
}

/// A name for an uploaded input: plain characters of its own name, and an extension.
pub(super) fn plain(number: usize, name: &str, media_type: Option<&str>) -> String {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let keep = |text: &str, most: usize| -> String {
        text.chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .take(most)
            .collect()
    };
    let stem = match keep(stem, 48) {
        stem if stem.is_empty() => "input".to_owned(),
        stem => stem,
    };
    let ending = match media_type.and_then(ending_of).map_or_else(|| keep(ending, 8), str::to_owned)
    {
        ending if ending.is_empty() => "bin".to_owned(),
        ending => ending.to_ascii_lowercase(),
    };
    format!("{number}-{stem}.{ending}")
}

/// The extension by which ComfyUI's loaders recognize a media type.
fn ending_of(media_type: &str) -> Option<&'static str> {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Some(match essence.as_str() {
        "audio/aac" => "aac",
        "audio/flac" | "audio/x-flac" => "flac",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "audio/mp3" | "audio/mpeg" => "mp3",
        "audio/ogg" => "ogg",
        "audio/opus" => "opus",
        "audio/wav" | "audio/wave" | "audio/x-wav" => "wav",
        "image/avif" => "avif",
        "image/bmp" => "bmp",
        "image/gif" => "gif",
        "image/jpeg" | "image/jpg" => "jpg",
        "image/png" => "png",
        "image/svg+xml" => "svg",
        "image/tiff" => "tiff",
        "image/webp" => "webp",
        "model/gltf+json" => "gltf",
        "model/gltf-binary" => "glb",
        "model/obj" => "obj",
        "model/stl" => "stl",
        "video/mp4" => "mp4",
        "video/quicktime" => "mov",
        "video/webm" => "webm",
        "video/x-matroska" => "mkv",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_into_its_folder_or_nowhere() {
        let good = [
            ("", "a_00001_.png", "a_00001_.png"),
            ("sub/folder", "猫 é.png", "sub/folder/猫 é.png"),
            ("win\\dows", "x.png", "win/dows/x.png"),
            ("...", "..x", ".../..x"),
        ];
        for (subfolder, filename, expected) in good {
            let expected = Some(Path::new(expected).to_owned());
            assert_eq!(relative(subfolder, filename), expected, "{subfolder:?} {filename:?}");
        }
        let long = "a".repeat(256);
        let deep = ["a"; 17].join("/");
        let bad = [
            ("", ""),
            ("", "."),
            ("", ".."),
            ("", "../x.png"),
            ("", "/etc/passwd"),
            ("", "a/b.png"),
            ("", "a\\b.png"),
            ("", "a\0.png"),
            ("", "a\n.png"),
            ("", long.as_str()),
            ("..", "x.png"),
            ("a/../..", "x.png"),
            ("a\\..\\..", "x.png"),
            ("/etc", "x.png"),
            ("a//b", "x.png"),
            ("a/", "x.png"),
            (".", "x.png"),
            ("a/./b", "x.png"),
            (deep.as_str(), "x.png"),
        ];
        for (subfolder, filename) in bad {
            assert_eq!(relative(subfolder, filename), None, "{subfolder:?} {filename:?}");
        }
    }

    #[test]
    fn a_name_that_not_every_system_takes_is_kept_under_another() {
        let long = format!("{}.png", "a".repeat(300));
        for (subfolder, filename, expected) in [
            ("sub", "a.png", "output/sub/a.png"),
            ("", "back\\slash_00001_.png", "renamed/3-backslash_00001_.png"),
            ("", "..\\x.png", "renamed/3-x.png"),
            ("", "line\nbreak.png", "renamed/3-linebreak.png"),
            ("tab\tbed", "x.png", "renamed/3-x.png"),
            ("", "\n", "renamed/3-input.bin"),
            ("", long.as_str(), &format!("renamed/3-{}.png", "a".repeat(48))),
        ] {
            let expected = Some(Path::new(expected).to_owned());
            assert_eq!(
                stored_path("output", subfolder, filename, 3),
                expected,
                "{subfolder:?} {filename:?}"
            );
        }
        for (subfolder, filename) in
            [("", ".."), ("", "../x\n"), ("..", "x\n"), ("a\\..", "x\n"), ("/etc", "x\n"), ("", "")]
        {
            assert_eq!(
                stored_path("output", subfolder, filename, 3),
                None,
                "{subfolder:?} {filename:?}"
            );
        }
    }

    #[test]
    fn an_input_gets_a_plain_name_and_the_ending_of_what_it_is() {
        let cases = [
            ("cat.png", Some("image/png"), "1-cat.png"),
            ("cat.png", Some("image/jpeg; charset=x"), "1-cat.jpg"),
            ("cat.PNG", Some("application/octet-stream"), "1-cat.png"),
            ("../../etc/pass wd.png", None, "1-etcpasswd.png"),
            ("猫", Some("video/mp4"), "1-input.mp4"),
            ("", None, "1-input.bin"),
            (".htaccess", None, "1-input.htaccess"),
        ];
        for (name, media_type, expected) in cases {
            assert_eq!(plain(1, name, media_type), expected, "{name:?} {media_type:?}");
        }
        assert!(plain(1, &"a.".repeat(1000), None).len() < 64);
    }
}
