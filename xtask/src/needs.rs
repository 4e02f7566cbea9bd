//! Programs that some checks need and Cargo does not bring, by their Debian packages. Where one is missing, what needs
//! it is skipped and said to be; where the environment has `CI=true`, that is a failure. Tests share this file by
//! `#[path]`: it uses nothing but std.

use std::{
    env::{self, consts::EXE_SUFFIX},
    fmt,
    path::PathBuf,
    process::Command,
    slice,
};

/// The programs of a package, any of which will do. Most have the name of their package.
fn programs<'a>(package: &'a &'a str) -> &'a [&'a str] {
    match *package {
        "chromium" => &["chromium", "chromium-browser", "google-chrome"],
        "nginx-light" => &["nginx"],
        _ => slice::from_ref(package),
    }
}

/// Where the program of a package is: on the path, or where Debian keeps what only root looks for.
pub(crate) fn find(package: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = || env::split_paths(&path).chain(["/usr/local/sbin".into(), "/usr/sbin".into()]);
    let mut places = programs(&package).iter().flat_map(|program| {
        folders().map(move |folder: PathBuf| folder.join(format!("{program}{EXE_SUFFIX}")))
    });
    places.find(|place| place.is_file())
}

/// Debian has Python without what makes environments; Python itself tells whether that is there.
fn is_there(package: &str) -> bool {
    if package != "python3-venv" {
        return find(package).is_some();
    }
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).output().is_ok_and(|said| said.status.success())
}

/// Whether all of these are there, so that this can be checked.
pub(crate) fn look_for(check: &str, packages: &[&str]) -> Result<(), Skipped> {
    let missing: Vec<&str> =
        packages.iter().copied().filter(|package| !is_there(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| programs(package)[0]).collect();
    let (names, install) = (names.join(", "), missing.join(" "));
    Err(Skipped(format!("{check}: missing {names} (Debian: apt-get install {install})")))
}

/// What was not checked, and why: a line for each.
#[derive(Debug)]
pub(crate) struct Skipped(pub(crate) String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skipped {}

/// Whether nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}
