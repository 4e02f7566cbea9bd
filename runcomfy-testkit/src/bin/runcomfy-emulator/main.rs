//! `runcomfy-emulator`: the emulator as a program.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use runcomfy_testkit::{Emulator, FaultKind, Scenario, UnknownScenario, unusable_proxy};
use tokio::sync::mpsc;

mod arguments;

use arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&format!("runcomfy-emulator: {message}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    if arguments.list_scenarios || arguments.list_faults {
        return list(&arguments);
    }
    let listen = arguments.listen;
    // Reports are held back until the line with the URL has been printed.
    let (report, mut reported) = mpsc::unbounded_channel();
    let mut builder = Emulator::builder()
        .listen(listen)
        .account(arguments.account()?)
        .webhook_copies(arguments.webhook_copies)
        .report(move |line| drop(report.send(line.to_owned())));
    for name in &arguments.scenario {
        let scenario: Scenario =
            name.parse().map_err(|error: UnknownScenario| format!("--scenario: {error}"))?;
        builder = builder.scenario(scenario);
    }
    for url in &arguments.comfyui {
        builder = builder.comfyui(url.clone());
    }
    for host in &arguments.inputs_from {
        builder = builder.inputs_from(host);
    }
    if let Some(url) = &arguments.public_url {
        builder = builder.public_url(url.clone());
    }
    if let Some(seed) = arguments.seed {
        builder = builder.one_account(seed).fault_seed(seed);
    }
    if let Some(file) = &arguments.state {
        builder = builder.state(file);
    }
    let emulator = builder.start().await.map_err(|error| error.to_string())?;
    // Before the URL is printed, because a caller that reads it may send a signal at once.
    let stopped = stopped().map_err(|error| format!("could not listen for signals: {error}"))?;
    let url = emulator.url();
    say(&format!(
        "RunComfy emulator at {url}   try: curl -H 'Authorization: Bearer me' {url}prod/v2/deployments"
    ));
    if let Some(name) = unusable_proxy() {
        say(&format!(
            "{name} is not a valid proxy URL: no webhooks are sent to other machines until it is corrected or unset"
        ));
    }
    let reporting = async {
        while let Some(line) = reported.recv().await {
            say(&format!("runcomfy-emulator: {line}"));
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reporting => {}
        () = stopped => {}
    }
    emulator.shutdown().await;
    Ok(())
}

fn list(arguments: &Arguments) -> Result<(), String> {
    let mut text = String::new();
    if arguments.list_scenarios {
        let lines = Scenario::all().map(|one| format!("{:<14}{}\n", one.name(), one.does()));
        text.extend(lines);
    }
    if arguments.list_faults {
        text.push_str(&FaultKind::list());
    }
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("could not print: {error}"))
}

/// Resolves at an interrupt or termination signal. Signals are caught from this call on.
#[cfg(unix)]
fn stopped() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

#[cfg(windows)]
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut interrupted = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupted.recv().await;
    })
}

/// Prints a line to stderr and ignores failures.
fn say(line: &str) {
    let _unheard = writeln!(io::stderr(), "{line}");
}
