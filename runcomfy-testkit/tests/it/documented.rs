//! docs/emulator.md, held to what it says: its commands are run, its tables and links compared.

mod markdown;

use std::{collections::BTreeSet, io::Cursor, path::Path, process::Output, time::Duration};

use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

use crate::{
    http::raw_at,
    needs::found,
    program::{Running, program},
};
use markdown::{Block, Document};

const DOCUMENT: Document = Document(include_str!("../../../docs/emulator.md"));

/// Where the emulator is in the document.
const ORIGIN: &str = "http://127.0.0.1:9000";

/// What the document's commands are made of.
const SHELL: [&str; 3] = ["bash", "curl", "jq"];

const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a command to its end in this folder, or fails the test in time. No proxy comes between.
async fn run(command: &mut Command, folder: &Path) -> Output {
    command.current_dir(folder).env("no_proxy", "*").env("NO_PROXY", "*").kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
    output
}

/// Runs all shell commands of a section in one session, and compares what each block prints with the block
/// of text that follows it.
async fn run_shell(heading: &str, running: &Running, folder: &Path) {
    let origin = running.url.as_str().trim_end_matches('/');
    let mut script = "set -euo pipefail\n".to_owned();
    let mut wanted: Vec<&str> = Vec::new();
    for Block { language, text } in DOCUMENT.blocks(heading) {
        match language {
            "sh" => {
                script += &text.replace(ORIGIN, origin);
                script += "printf '\\0'\n";
                wanted.push("");
            }
            "text" => *wanted.last_mut().unwrap() = text,
            other => panic!("a block of {other} under {heading}"),
        }
    }
    assert!(!wanted.is_empty(), "nothing to run under {heading}");
    let output = run(Command::new("bash").arg("-c").arg(&script), folder).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<_> = printed.split_terminator('\0').collect();
    assert_eq!(printed, wanted, "under {heading}");
}

/// The size of a picture that decodes.
fn size(picture: &Path) -> (u32, u32) {
    let decoder = png::Decoder::new(Cursor::new(std::fs::read(picture).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    (frame.width, frame.height)
}

#[tokio::test]
async fn the_quick_start_with_curl_does_what_it_says() {
    if !found("the commands in docs/emulator.md", &SHELL) {
        return;
    }
    let (running, folder) = (Running::start(&[]), tempfile::tempdir().unwrap());
    run_shell("### curl", &running, folder.path()).await;
    assert_eq!(size(&folder.path().join("picture.png")), (768, 512));
}

#[tokio::test]
async fn the_quick_start_with_python_does_what_it_says() {
    if !found("the Python in docs/emulator.md", &["python3"]) {
        return;
    }
    let (running, folder) = (Running::start(&[]), tempfile::tempdir().unwrap());
    let blocks = DOCUMENT.blocks("### Python");
    let [Block { language: "python", text: script }, Block { language: "text", text: wanted }] =
        blocks[..]
    else {
        panic!("not one script and what it prints: {blocks:?}");
    };
    let script = script.replace(ORIGIN, running.url.as_str().trim_end_matches('/'));
    let output = run(Command::new("python3").arg("-c").arg(script), folder.path()).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
    assert_eq!(size(&folder.path().join("picture.png")), (768, 512));
}

#[test]
fn the_quick_start_in_rust_is_the_one_that_is_run() {
    let (_, code) = include_str!("quickstart.rs").split_once("\n\n").unwrap();
    let blocks = DOCUMENT.blocks("### Rust");
    let shown: Vec<_> =
        blocks.iter().filter(|block| block.language == "rust").map(|block| block.text).collect();
    assert_eq!(shown, [code]);
}

#[tokio::test]
async fn the_other_commands_print_what_it_says() {
    if !found("the commands in docs/emulator.md", &SHELL) {
        return;
    }
    for heading in ["## Money", "## Faults", "## Counters"] {
        let (running, folder) = (Running::start(&[]), tempfile::tempdir().unwrap());
        run_shell(heading, &running, folder.path()).await;
    }
}

/// What the program prints with this option.
fn printed(option: &str) -> String {
    let output = program().arg(option).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_tables_of_faults_and_scenarios_are_the_programs_lists() {
    let faults = printed("--list-faults");
    let lines: Vec<_> = faults.lines().collect();
    let rows = lines.chunks(2).map(|fault| format!("| `{}` | {} |", fault[0], fault[1].trim()));
    let wanted: Vec<_> = rows.collect();
    let shown = DOCUMENT.table("| Fault, with its usual parameters |");
    assert_eq!(shown, wanted, "it should be\n{}", wanted.join("\n"));

    let scenarios = printed("--list-scenarios");
    let rows = scenarios.lines().map(|line| {
        let (name, does) = line.split_once(' ').unwrap();
        format!("| `{name}` | {} |", does.trim())
    });
    let wanted: Vec<_> = rows.collect();
    let shown = DOCUMENT.table("| Scenario |");
    assert_eq!(shown, wanted, "it should be\n{}", wanted.join("\n"));
}

#[test]
fn the_table_of_options_has_all_of_the_programs_and_no_others() {
    let is_option = |word: &&str| word.starts_with("--");
    let word = |word: &str| word.trim_matches(['`', ',']).to_owned();
    let help = printed("--help");
    // An option stands at the beginning of a line, behind its short form where it has one.
    let named = help.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let first = words.next()?;
        if first.len() == 3 && first.starts_with('-') { words.next() } else { Some(first) }
    });
    let wanted: BTreeSet<_> = named.filter(is_option).map(word).collect();
    assert!(wanted.len() > 15, "{wanted:?}");
    let first_cells = DOCUMENT.table("| Option |").into_iter().map(|row| row.split('|').nth(1));
    let shown: BTreeSet<_> = first_cells
        .flatten()
        .flat_map(|cell| cell.split(['`', ' ', ',']).filter(is_option).map(word))
        .collect();
    assert_eq!(shown, wanted);
}

#[test]
fn every_link_leads_somewhere() {
    let headings: BTreeSet<_> = DOCUMENT.headings().map(markdown::anchor).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let links = DOCUMENT.links();
    assert!(links.len() > 10, "{links:?}");
    for link in links {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(headings.contains(anchor), "no heading #{anchor}"),
            None => assert!(folder.join(link).exists(), "no file {link}"),
        }
    }
}

const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

async fn call(origin: &Url, what: &str, body: &str) -> (u16, Value) {
    let authorization = "Bearer me\r\ncontent-type: application/json";
    let reply = raw_at(origin, Some(authorization), what, body).await.unwrap();
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
}

#[tokio::test]
async fn every_endpoint_in_its_tables_is_there() {
    let running = Running::start(&["--cold-start", "0", "--run-time", "0"]);
    let inference = format!("POST /prod/v2/deployments/{DEPLOYMENT}/inference");
    let (_, submitted) = call(&running.url, &inference, "{}").await;
    // A folder of files before what is one in itself.
    let names = [
        ("{deployment_id}", DEPLOYMENT),
        ("{request_id}", submitted["request_id"].as_str().unwrap()),
        ("{instance_id}", "00000000-0000-4000-8000-000000000000"),
        ("{kind}/{path}", "output/ComfyUI_00001_.png"),
        ("{path}", "free"),
    ];
    let rows = DOCUMENT.tables("## Endpoints");
    assert!(rows.len() > 25, "{rows:?}");
    for row in rows {
        let [_, method, path, ..] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let what = format!("{method} {path}").replace('`', "");
        let mut what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        // One that no other row needs.
        if what.starts_with("DELETE /prod") {
            what = what.replace("{deployment_id}", "a1b2c3d4-0000-4000-8000-000000000002");
        }
        for (name, stands_for) in names {
            what = what.replace(name, stands_for);
        }
        let (status, body) = call(&running.url, &what, "").await;
        let is_there = status != 405 && body != json!({"detail": "Not Found"});
        let is_found = status != 404 || what.contains("/instances/");
        assert!(is_there && is_found, "{what}: {status} {body}");
    }
}
