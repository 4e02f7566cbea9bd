//! The rules that no lint knows. Each message says what to do instead.

mod modules;
mod threats;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::shell::{command, files, read, root};

pub(crate) fn run() -> anyhow::Result<()> {
    let root = root()?;
    let mut faults = Vec::new();
    for name in files(&root, "")? {
        let is_manifest = name.ends_with("/Cargo.toml");
        if !is_manifest && !name.ends_with(".rs") && !name.ends_with(".md") {
            continue;
        }
        let text = fs::read_to_string(root.join(&name))?;
        if is_manifest {
            faults.extend(check_manifest(&name, &text));
        } else {
            let found = check_file(&name, &text);
            faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
            if name.ends_with(".md") {
                let missing = source_files(&text).filter(|path| !root.join(path).exists());
                faults.extend(missing.map(|path| format!("{name}: there is no {path}")));
            }
        }
    }
    faults.extend(tools_and_snapshots(&root)?);
    let page = fs::read_to_string(root.join(threats::PAGE)).context(threats::PAGE)?;
    faults.extend(threats::check(&page, |file| fs::read_to_string(root.join(file)).ok()));
    faults.extend(dependencies()?);
    for one in &CRATES {
        faults.extend(modules::faults(&root, one)?);
    }
    if !faults.is_empty() {
        bail!("{} fault(s)\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

/// The modules of each crate, lowest first.
const CRATES: [modules::Crate; 4] = [
    modules::Crate {
        folder: "runcomfy-core",
        order: &[
            "address",
            "id",
            "sync",
            "text",
            "token",
            "json",
            "workflow",
            "deployment",
            "error",
            "instance",
            "request",
            "retry",
            "api",
            "wait",
            "http",
        ],
    },
    modules::Crate {
        folder: "http-edge",
        order: &[
            "delivery",
            "detach",
            "framing",
            "health",
            "refusal",
            "request",
            "service",
            "settings",
            "body",
            "connection_state",
            "host_policy",
            "response_body",
            "socket",
            "connection",
            "server",
        ],
    },
    modules::Crate {
        folder: "runcomfy-mcp",
        order: &[
            "entropy",
            "protocol",
            "validation",
            "telemetry",
            "sanitize",
            "config",
            "result",
            "schema",
            "policy",
            "view",
            "pipeline",
            "wait",
            "tools",
            "server",
            "transport",
            "cli",
            "bench",
            "fuzz",
        ],
    },
    modules::Crate {
        folder: "runcomfy-testkit",
        order: &[
            "clock",
            "ids",
            "lifecycle",
            "media",
            "outgoing",
            "samples",
            "script",
            "store",
            "sync",
            "text",
            "comfyui",
            "conformance",
            "graph",
            "picture",
            "webhooks",
            "outputs",
            "account",
            "history",
            "fake",
            "emulator",
        ],
    },
];

/// A file's length at which it wants a split.
const MOST_LINES: usize = 500;

/// Where the HTTP client may be named: the API's client, what the emulator calls of its own accord, and the
/// throw-away server that ours is measured beside.
const MAY_CALL: [&str; 5] = [
    "peers/src/bin/bare.rs",
    "runcomfy-core/src/http",
    "runcomfy-testkit/src/comfyui",
    "runcomfy-testkit/src/outgoing.rs",
    "runcomfy-testkit/src/webhooks",
];

/// What is wrong with one file.
fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |text: String| faults.push(text);
    if text.contains(concat!("```", "ignore")) {
        fault("an example that is not run: make it run, or `no_run` if it needs a key".into());
    }
    if !name.ends_with(".rs") {
        return faults;
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        fault(format!("{lines} lines: split it by reason to change (at most {MOST_LINES})"));
    }
    if !text.starts_with("//!") && !text.starts_with("#![doc") && !name.ends_with("/tests.rs") {
        fault("no `//!` line that says what it is for".into());
    }
    for coded in functions(text).filter(|name| has_code(name)) {
        fault(format!("`{coded}` begins with a code: name a test by a sentence alone"));
    }
    let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
    let tested =
        if is_test { Some(text) } else { text.split_once("#[cfg(test)]").map(|(_, tests)| tests) };
    // Written apart, so that this file passes its own rules.
    let forbidden = [
        (concat!("sleep", "("), "a test that sleeps: pause the clock, or await the event itself"),
        (
            concat!("#[", "ignore"),
            "a test that is not run: assert today's behaviour and say why it is wrong",
        ),
        (concat!("#[", "should_panic"), "a test for a panic: return an error and compare its kind"),
    ];
    for (word, why) in forbidden {
        if tested.is_some_and(|tests| tests.contains(word)) {
            fault(why.into());
        }
    }
    if text.contains(concat!("reqwest", "::"))
        && !MAY_CALL.iter().any(|place| name.starts_with(place))
        && !is_test
    {
        fault(format!("names the HTTP client: only {} may", MAY_CALL.join(", ")));
    }
    if name.starts_with("runcomfy-testkit/src") && text.contains(concat!("Http", "Api")) {
        fault("the emulator must not use the client it is there to test".into());
    }
    faults
}

/// The names of the functions in a source.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (before, rest) = line.trim_start().split_once("fn ")?;
        let is_declared = before
            .split_whitespace()
            .all(|word| word.starts_with("pub") || matches!(word, "async" | "const"));
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        is_declared.then(|| &rest[..end])
    })
}

/// Whether a name begins with a code such as `q01_`.
fn has_code(name: &str) -> bool {
    matches!(name.as_bytes(), [b'a'..=b'z', b'0'..=b'9', b'0'..=b'9', b'_', ..])
}

/// The source files that a page names, as paths from the root.
fn source_files(page: &str) -> impl Iterator<Item = &str> {
    let code = page.split('`').skip(1).step_by(2);
    code.filter(|path| {
        let mut parts = path.split('/');
        let is_path = path.ends_with(".rs") && !path.contains(char::is_whitespace);
        is_path && parts.next().is_some() && parts.next() == Some("src")
    })
}

/// What is wrong with a crate's manifest: none escapes the lints, `unsafe_code = "forbid"` first of all.
fn check_manifest(name: &str, text: &str) -> Option<String> {
    // cargo-fuzz's own: it stands outside of the workspace, and nothing is shipped of it.
    if name == "fuzz/Cargo.toml" || text.contains("\n[lints]\nworkspace = true\n") {
        return None;
    }
    Some(format!("{name}: does not take the workspace's lints ([lints] workspace = true)"))
}

/// The file, the tool and its snapshot share one name, and none is left over.
fn tools_and_snapshots(root: &Path) -> anyhow::Result<Vec<String>> {
    let files = names(&root.join("runcomfy-mcp/src/tools"), "", ".rs")?;
    let snapshots = names(&root.join("runcomfy-mcp/tests/it/snapshots"), "it__schemas__", ".snap")?;
    if files == snapshots {
        return Ok(Vec::new());
    }
    let message = format!(
        "the files in runcomfy-mcp/src/tools ({files:?}) and the schema snapshots ({snapshots:?}) differ"
    );
    Ok(vec![message])
}

fn names(folder: &Path, prefix: &str, suffix: &str) -> anyhow::Result<Vec<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter_map(|name| {
            Some(name.to_str()?.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned())
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Which crates may not stand beneath which.
fn dependencies() -> anyhow::Result<Vec<String>> {
    let rules: [(&str, &[&str], &str); 6] = [
        (
            "--package runcomfy-core --no-default-features",
            &["reqwest", "hyper", "http", "axum", "rmcp"],
            "runcomfy-core without `http` depends on no HTTP crate",
        ),
        (
            "--package runcomfy-core --all-features",
            &["rmcp", "axum"],
            "runcomfy-core knows no MCP and serves nothing",
        ),
        (
            "--package runcomfy-testkit --no-default-features",
            &["reqwest", "redb", "tokio-tungstenite", "rmcp"],
            "what a test needs of the testkit is small",
        ),
        ("--package runcomfy-testkit --all-features", &["rmcp"], "the emulator knows no MCP"),
        (
            "--package runcomfy-http-edge --all-features",
            &["rmcp", "runcomfy-core", "runcomfy-mcp", "runcomfy-testkit"],
            "runcomfy-http-edge is a plain HTTP server: MCP and RunComfy belong to its callers",
        ),
        (
            "--workspace --all-features",
            &["openssl-sys", "native-tls", "aws-lc-rs"],
            "one TLS stack: rustls with ring",
        ),
    ];
    let mut faults = Vec::new();
    for (what, forbidden, why) in rules {
        let tree = read(&mut command(&format!(
            "cargo tree {what} --edges normal --prefix none --locked --format {{p}}"
        ))?)?;
        for name in forbidden {
            if tree.lines().any(|line| line.split(' ').next() == Some(name)) {
                faults.push(format!(
                    "{name} is a dependency, but {why} (see `cargo tree {what} --invert {name}`)"
                ));
            }
        }
    }
    // Cargo.toml alone tells what is asked for directly.
    let manifest = fs::read_to_string(root()?.join("runcomfy-mcp/Cargo.toml"))?;
    faults.extend(manifest.lines().filter(|line| is_http_client(line)).map(|line| {
        format!(
            "runcomfy-mcp asks for an HTTP client ({line}): all its calls go through RunComfyApi"
        )
    }));
    Ok(faults)
}

/// Whether a line of a manifest asks for an HTTP client. hyper is one only with that feature, and without
/// it what the server takes connections with.
fn is_http_client(line: &str) -> bool {
    line.starts_with("reqwest") || line.starts_with("hyper") && line.contains("\"client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: &str, expected: usize) {
        let faults = check_file(name, text);
        assert_eq!(faults.len(), expected, "{name}: {faults:?}");
    }

    #[test]
    fn a_client_is_told_from_a_server() {
        assert!(is_http_client("reqwest.workspace = true"));
        assert!(is_http_client(r#"hyper = { workspace = true, features = ["client", "http1"] }"#));
        assert!(is_http_client(
            r#"hyper-util = { workspace = true, features = ["client-legacy"] }"#
        ));
        assert!(!is_http_client(r#"hyper = { workspace = true, features = ["http1", "server"] }"#));
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        assert_eq!(
            check_manifest("a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"),
            None
        );
        assert!(check_manifest("a/Cargo.toml", "[package]\nname = \"a\"\n").is_some());
    }

    #[test]
    fn a_page_names_source_files_by_their_paths_from_the_root() {
        let page = "`a/src/b.rs` and `c.rs`, `send.rs`, [`x`](../a/src/y.rs), `a/src/b.rs, d.rs`";
        assert_eq!(source_files(page).collect::<Vec<_>>(), ["a/src/b.rs"]);
        assert_eq!(source_files("`a/src/b.md` a/src/c.rs").count(), 0);
    }

    #[test]
    fn each_rule_finds_what_breaks_it_and_nothing_else() {
        check("a/src/x.rs", "//! Fine.\n", 0);
        check("a/src/x.rs", "fn no_header() {}\n", 1);
        check("a/src/x.rs", &format!("//! Long.\n{}", "\n".repeat(MOST_LINES)), 1);
        check("a/tests/it/x.rs", concat!("//! T.\nsleep", "(1)"), 1);
        check("a/src/x.rs", concat!("//! Code may.\nsleep", "(1)"), 0);
        check("a/src/x.rs", concat!("//! T.\n#[cfg(test)]\nsleep", "(1)"), 1);
        check("a/src/x.rs", concat!("//! T.\n#[cfg(test)]\n#[", "ignore]"), 1);
        check("a/src/x.rs", concat!("//! T.\nreqwest", "::Client"), 1);
        check("runcomfy-core/src/http/send.rs", concat!("//! T.\nreqwest", "::Client"), 0);
        check("runcomfy-testkit/src/x.rs", concat!("//! T.\nHttp", "Api"), 1);
        check("README.md", concat!("```", "ignore\n```"), 1);
        check("a/tests/it/x.rs", "//! T.\nfn q01_a_sentence() {}\nasync fn x02_y03_two() {}", 2);
        check("a/src/x.rs", "//! T.\nproptest! {\n    fn f31_any(text in \".*\") {}\n}", 1);
        check("a/tests/it/x.rs", "//! T.\nfn a_503_is_no_code() {}\nfn h264() {}", 0);
        check("a/tests/it/x.rs", "//! T.\n// fn q01_was_its_name\nlet a = \"fn q01_b()\";", 0);
    }
}
