//! `runcomfy-emulator`: RunComfy on this machine, as a server of its own.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use runcomfy_testkit::{Emulator, FakeBuilder, FaultKind, Scenario, UnknownScenario};
use url::Url;

/// An emulator of RunComfy's Serverless API: deployments, a queue, instances and outputs, and no bill.
///
/// Any bearer token is an account of its own, with the same sample deployments to start with. Nothing is
/// kept when it stops.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen. It asks nobody who they are: leave it on loopback.
    #[arg(long, env = "RUNCOMFY_EMULATOR_LISTEN", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// How clients reach it, where that differs; it begins the addresses in answers.
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// From waking an instance until it takes its first run, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    cold_start: Duration,
    /// How long a run takes, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    run_time: Duration,
    /// From cancelling a running run until it stops, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    cancel_latency: Duration,
    /// How long an idle instance stays up, in seconds, in place of what each deployment says.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    keep_warm: Option<Duration>,
    /// Start without the sample deployments.
    #[arg(long)]
    empty: bool,
    /// One account for all tokens, with ids that follow from this number, as does the luck of faults.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Have calls meet the faults of this scenario; repeatable. They can be ended and others added at
    /// /_emulator/faults and /_emulator/scenarios.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Print the scenarios, and stop.
    #[arg(long)]
    list_scenarios: bool,
    /// Print the faults that rules and the header X-Emulator-Fault can name, and stop.
    #[arg(long)]
    list_faults: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

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
    let mut builder = Emulator::builder().listen(listen);
    for name in &arguments.scenario {
        let scenario: Scenario =
            name.parse().map_err(|error: UnknownScenario| format!("--scenario: {error}"))?;
        builder = builder.scenario(scenario);
    }
    if let Some(seed) = arguments.seed {
        builder = builder.fault_seed(seed);
    }
    if let Some(url) = &arguments.public_url {
        builder = builder.public_url(url.clone());
    }
    builder = match arguments.seed {
        Some(seed) => {
            let shared = runcomfy_testkit::FakeRunComfy::builder().seed(seed).remember_calls(100);
            builder.fake(configured(&arguments, shared).build())
        }
        None => builder.accounts(move |_, account| Some(configured(&arguments, account).build())),
    };
    let emulator =
        builder.start().await.map_err(|error| format!("could not listen on {listen}: {error}"))?;
    // Before anybody is told that it is there: whoever knows may ask it to stop.
    let stopped = stopped().map_err(|error| format!("could not listen for signals: {error}"))?;
    let url = emulator.url();
    say(&format!(
        "RunComfy emulator at {url}   try: curl -H 'Authorization: Bearer me' {url}prod/v2/deployments"
    ));
    stopped.await;
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

fn configured(arguments: &Arguments, builder: FakeBuilder) -> FakeBuilder {
    let builder = builder
        .cold_start(arguments.cold_start)
        .run_time(arguments.run_time)
        .cancel_latency(arguments.cancel_latency);
    let builder = match arguments.keep_warm {
        Some(time) => builder.keep_warm(time),
        None => builder,
    };
    if arguments.empty { builder.empty() } else { builder }
}

/// Until somebody asks it to stop. From the call on such a wish is heard.
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

/// To stderr, and no matter if nobody listens there any more.
fn say(line: &str) {
    let _unheard = writeln!(io::stderr(), "{line}");
}
