//! The commands as a person types them.

use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

async fn run(arguments: &[&str]) -> Output {
    run_with(arguments, &[]).await
}

async fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcomfy-mcp"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).kill_on_drop(true);
    command.output().await.unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[tokio::test]
async fn a_waited_submit_prints_the_json_of_a_finished_request() {
    let listed = json(&run(&["call", "list_deployments", "--emulator"]).await);
    let deployments = listed["deployments"].as_array().unwrap();
    let id = &deployments.iter().find(|one| one["name"] == "text-to-image").unwrap()["id"];
    let arguments = json!({"deployment_id": id, "wait_for_completion": true}).to_string();
    let output = run(&["call", "submit_request", &arguments, "--emulator"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let data = json(&output);
    assert_eq!(data["state"], "succeeded");
    assert!(data["output_urls"][0]["url"].is_string());
}

#[tokio::test]
async fn arguments_behind_a_byte_order_mark_are_read() {
    let arguments = "\u{feff}{\"deployment_id\":\"a1b2c3d4-0000-4000-8000-000000000001\"}";
    let output = run(&["call", "get_deployment", arguments, "--emulator"]).await;
    assert_eq!((output.status.code(), &json(&output)["ok"]), (Some(0), &json!(true)));
}

#[tokio::test]
async fn the_exit_code_tells_the_kind_of_error() {
    let check = async |arguments: &[&str], code: i32, kind: &str| {
        let output = run(arguments).await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(json(&output)["kind"], kind, "{output:?}");
    };
    check(
        &["call", "get_deployment", r#"{"deployment": "x"}"#, "--emulator"],
        64,
        "invalid_argument",
    )
    .await;
    check(&["call", "get_deployment", r#"{"deployment_id": "x"}"#, "--emulator"], 65, "not_found")
        .await;
    check(&["call", "list_deployments"], 77, "unauthenticated").await;
    let manager =
        r#"{"deployment_id":"d","instance_id":"i","comfy_backend_path":"manager/reboot"}"#;
    check(&["call", "call_instance_proxy", manager, "--emulator"], 77, "policy_denied").await;
    // Nothing listens on port 9 of this machine.
    let output = run_with(
        &["call", "list_deployments", "--base-url", "http://127.0.0.1:9"],
        &[("RUNCOMFY_API_KEY", "CANARY-tok")],
    )
    .await;
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert_eq!(json(&output)["outcome"], "not_sent");
}

#[tokio::test]
async fn a_command_line_that_is_wrong_is_said_so_in_a_line() {
    for arguments in [
        &["call", "make_picture"][..],
        &["call", "list_deployments", "{"],
        &["call", "list_deployments", "[]"],
        &["--no-such-option"],
        &["--log", "=="],
    ] {
        let output = run(arguments).await;
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
}

#[tokio::test]
async fn a_service_address_that_would_leak_the_token_is_refused_at_the_start() {
    for url in [
        "http://10.0.0.1",
        "http://example.com",
        "https://user:hunter2@example.com",
        "https://example.com/?a=b",
        "ftp://x",
    ] {
        let output = run_with(
            &["call", "list_deployments", "--base-url", url],
            &[("RUNCOMFY_API_KEY", "SECRET")],
        )
        .await;
        assert_eq!(output.status.code(), Some(64), "{url}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("SECRET") && !said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn the_tools_and_errors_can_be_read_without_a_key() {
    let tools = json(&run(&["tools", "--json"]).await);
    assert_eq!(tools["tools"].as_array().unwrap().len(), 10);
    let errors = json(&run(&["errors", "--json"]).await);
    assert!(
        errors
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["hint"].is_string() && row["exit_code"].is_u64())
    );
    for arguments in [["tools"], ["errors"], ["--help"], ["--version"]] {
        let output = run(&arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_doctor_says_what_is_configured_and_never_shows_the_token() {
    let fine = run(&["doctor", "--emulator"]).await;
    assert_eq!(fine.status.code(), Some(0), "{fine:?}");
    let ill =
        run_with(&["doctor", "--base-url", "http://127.0.0.1:9"], &[("RUNCOMFY_TOKEN", "SECRET")])
            .await;
    assert_eq!(ill.status.code(), Some(69), "{ill:?}");
    let said = String::from_utf8_lossy(&ill.stdout);
    assert!(said.contains("RUNCOMFY_TOKEN") && !said.contains("SECRET"), "{said}");
}

#[tokio::test]
async fn a_proxy_that_cant_be_read_is_named_at_the_start_and_nothing_is_sent() {
    for value in ["not a url at all", "http://", "ftp://user:SECRET@proxy", "http://u:SECRET#@p"] {
        for arguments in
            [&["call", "list_deployments"][..], &["doctor"], &["stdio"], &["serve"], &[]]
        {
            let environment = [("https_proxy", value)];
            let output = run_with(arguments, &environment).await;
            assert_eq!(output.status.code(), Some(64), "{arguments:?} {output:?}");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(said.contains("https_proxy") && !said.contains("SECRET"), "{said}");
        }
        // What stays on this machine needs none.
        let output =
            run_with(&["call", "list_deployments", "--emulator"], &[("ALL_PROXY", value)]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_from_an_outage_of_the_service() {
    for (name, scheme, shown) in [
        ("ALL_PROXY", "socks5", "socks5"),
        ("ALL_PROXY", "socks5h", "socks5h"),
        ("all_proxy", "socks", "socks5h"),
        ("HTTPS_PROXY", "http", "http"),
    ] {
        // Nothing listens on port 9 of this machine.
        let value = format!("{scheme}://user:SECRET@127.0.0.1:9");
        let environment = [(name, value.as_str()), ("RUNCOMFY_API_KEY", "CANARY-tok")];
        let shown = format!("{shown}://127.0.0.1:9 (from {name})");
        // As an address, so that its name need not be known here.
        let base = ["--base-url", "https://192.0.2.1"];
        let output = run_with(&["call", "list_deployments", base[0], base[1]], &environment).await;
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let said = json(&output);
        assert_eq!(
            (&said["kind"], &said["outcome"]),
            (&json!("proxy_unavailable"), &json!("not_sent"))
        );
        assert!(said["message"].as_str().unwrap().contains(&shown), "{said}");
        assert!(!said.to_string().contains("SECRET"), "{said}");
        let output = run_with(&["doctor", base[0], base[1]], &environment).await;
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains(&format!("proxy        {shown}")) && !said.contains("SECRET"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn the_doctor_says_why_a_proxy_that_is_named_is_not_used() {
    let line = async |base: &str, environment: &[(&str, &str)]| {
        // Without a token nothing is sent.
        let output = run_with(&["doctor", "--base-url", base], environment).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines()
            .find(|line| line.starts_with("proxy "))
            .unwrap_or_else(|| panic!("{said}"))
            .to_owned()
    };
    let (elsewhere, here) = ("https://192.0.2.1", "http://127.0.0.1:9");
    let https = ("HTTPS_PROXY", "http://proxy.invalid:1");
    let listed = ("NO_PROXY", "192.0.2.0/24");
    assert!(line(elsewhere, &[https, listed]).await.contains("none: NO_PROXY"));
    assert!(line(elsewhere, &[("HTTP_PROXY", https.1)]).await.contains("none: HTTP_PROXY"));
    assert!(line(here, &[https]).await.contains("none: the service is on this machine"));
    assert!(line(elsewhere, &[listed]).await.ends_with(" none"));
}

#[tokio::test]
async fn the_token_of_the_official_command_line_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("token.json"),
        r#"{"access_token": "SECRET", "user_email": "a@b"}"#,
    )
    .unwrap();
    let folder = folder.path().to_str().unwrap();
    let output = run_with(
        &["doctor", "--base-url", "http://127.0.0.1:9"],
        &[("RUNCOMFY_CONFIG_DIR", folder)],
    )
    .await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("token.json") && !said.contains("SECRET"), "{said}");
}

#[tokio::test]
async fn one_persons_key_is_not_offered_to_a_network() {
    let output = run_with(
        &["serve", "--single-user", "--listen", "0.0.0.0:0"],
        &[("RUNCOMFY_API_KEY", "CANARY-tok")],
    )
    .await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = run(&["serve", "--single-user", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[tokio::test]
async fn a_key_of_the_machines_own_is_not_mixed_with_those_of_callers() {
    for name in ["RUNCOMFY_API_KEY", "RUNCOMFY_TOKEN"] {
        let output = run_with(&["serve", "--listen", "127.0.0.1:0"], &[(name, "SECRET")]).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("SECRET"));
    }
}

#[tokio::test]
async fn figures_are_not_shown_to_a_network_unless_that_is_asked_for() {
    let output = run(&["serve", "--emulator", "--metrics", "0.0.0.0:0"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--metrics-beyond-loopback"), "{said}");
}

#[tokio::test]
async fn the_demo_leaves_pictures_that_open() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pictures");
    let output = run(&["demo", "--out", out.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut pictures: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    pictures.sort();
    assert_eq!(pictures.len(), 2);
    assert!(pictures.iter().all(|bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n")));
    assert_ne!(pictures[0], pictures[1]);
    let said = String::from_utf8_lossy(&output.stdout);
    for tool in json(&run(&["tools", "--json"]).await)["tools"].as_array().unwrap() {
        assert!(
            said.contains(tool["name"].as_str().unwrap()),
            "the demo does not show {}",
            tool["name"]
        );
    }
}

#[tokio::test]
async fn a_setting_that_is_empty_is_as_good_as_unset_and_yes_is_yes() {
    let check = async |environment: &[(&str, &str)], manager: &str| {
        let output = run_with(&["doctor", "--emulator"], environment).await;
        assert_eq!(output.status.code(), Some(0), "{environment:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&format!("routes are {manager}")), "{environment:?}: {said}");
    };
    let empty = [
        "RUNCOMFY_ALLOW_MANAGER_ROUTES",
        "RUNCOMFY_API_KEY",
        "RUNCOMFY_LOG",
        "RUNCOMFY_LOG_FORMAT",
        "RUNCOMFY_QUEUE_API",
        "RUNCOMFY_SERVERLESS_BASE_URL",
    ];
    check(&empty.map(|name| (name, "")), "refused").await;
    for (word, manager) in [
        ("1", "allowed"),
        ("yes", "allowed"),
        ("true", "allowed"),
        ("0", "refused"),
        ("no", "refused"),
    ] {
        check(&[("RUNCOMFY_ALLOW_MANAGER_ROUTES", word)], manager).await;
    }
}

#[tokio::test]
async fn a_wait_that_runs_out_is_to_be_tried_later() {
    let listed = json(&run(&["call", "list_deployments", "--emulator"]).await);
    let id = &listed["deployments"][0]["id"];
    let arguments =
        json!({"deployment_id": id, "wait_for_completion": true, "timeout_seconds": 1}).to_string();
    let output = run(&["call", "submit_request", &arguments, "--emulator"]).await;
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert_eq!(json(&output)["timed_out"], true);
}

#[tokio::test]
async fn names_that_would_let_in_everybody_are_refused() {
    for option in
        [["--allowed-host", "*"], ["--allowed-origin", "*"], ["--allowed-origin", "example.com"]]
    {
        let output =
            run(&["serve", "--emulator", "--listen", "127.0.0.1:0", option[0], option[1]]).await;
        assert_eq!(output.status.code(), Some(64), "{option:?}: {output:?}");
    }
}
