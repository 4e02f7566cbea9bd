//! What would otherwise be lost with the process: neither stdout nor stderr takes it, as when a terminal has gone.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use crate::entropy;

/// Leaves the text in a file of its own, for its user alone, and gives its path.
///
/// Failing that there is nowhere left to go.
pub(super) fn leave(text: &str) -> Option<PathBuf> {
    folders().iter().find_map(|folder| left_in(folder, text))
}

fn left_in(folder: &Path, text: &str) -> Option<PathBuf> {
    fs::create_dir_all(folder).ok()?;
    let path = folder.join(format!("undelivered-{}.json", entropy::name()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).ok()?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.ok().map(|()| path)
}

/// Where programs keep such things, and where they may put anything.
fn folders() -> Vec<PathBuf> {
    let folder =
        |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .or_else(|| folder("LOCALAPPDATA"));
    let own = state.map(|state| state.join("runcomfy-mcp"));
    own.into_iter().chain([env::temp_dir()]).collect()
}
