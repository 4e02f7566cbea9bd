//! `runcomfy-emulator`: RunComfy on this machine, as a server of its own.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use runcomfy_core::HARDWARE;
use runcomfy_testkit::{Emulator, FakeBuilder, FakeRunComfy};
use url::Url;

/// An emulator of RunComfy's Serverless API: deployments, a queue, instances, money and outputs, and no bill.
///
/// Any bearer token is an account of its own, with the same deployments and the same money to start with.
/// Nothing is kept when it stops, unless --state names a file.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen. It asks nobody who they are: leave it on loopback.
    #[arg(long, env = "RUNCOMFY_EMULATOR_LISTEN", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// How clients reach it, where that differs; it begins the addresses in answers.
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// The workflows in this folder as deployments, in place of the samples: .json files in API format.
    #[arg(long, value_name = "DIR", conflicts_with = "empty")]
    deployments: Option<PathBuf>,
    /// Start without the sample deployments.
    #[arg(long)]
    empty: bool,
    /// Keep accounts in this file, across restarts. Time goes on while nothing runs.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// One account for all tokens, with ids that follow from this number.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How many times as fast as real time its own goes, money included.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = time_scale)]
    time_scale: f64,
    /// From waking an instance until it takes its first run, in seconds. [default: 2; with --time-scale, 300]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    cold_start: Option<Duration>,
    /// How long a run takes, in seconds. [default: 3; with --time-scale, 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    run_time: Option<Duration>,
    /// From cancelling a running run until it stops, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    cancel_latency: Duration,
    /// How long an idle instance stays up, in seconds, in place of what each deployment says.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    keep_warm: Option<Duration>,
    /// What an instance of this SKU costs per hour, in place of the service's price. May be given again.
    #[arg(long, value_name = "SKU=USD", value_parser = price)]
    price: Vec<(String, f64)>,
    /// What each account has to begin with. When it is used up, its deployments are disabled (10001).
    #[arg(long, value_name = "USD", default_value = "100", value_parser = dollars)]
    balance: f64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn time_scale(text: &str) -> Result<f64, String> {
    let times: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let fits = times > 0.0 && times <= 1e6;
    fits.then_some(times).ok_or_else(|| "must be above 0 and at most 1000000".to_owned())
}

fn dollars(text: &str) -> Result<f64, String> {
    let dollars: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let fits = (0.0..=1e9).contains(&dollars);
    fits.then_some(dollars).ok_or_else(|| "must be 0 to 1000000000".to_owned())
}

fn price(text: &str) -> Result<(String, f64), String> {
    let (sku, price) = text.split_once('=').ok_or("must be SKU=USD, such as AMPERE_48=2.50")?;
    if !HARDWARE.contains(&sku) {
        return Err(format!("the SKU must be one of {}", HARDWARE.join(", ")));
    }
    Ok((sku.to_owned(), dollars(price)?))
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
    let listen = arguments.listen;
    let mut builder = Emulator::builder().listen(listen).account(account(&arguments)?);
    if let Some(url) = &arguments.public_url {
        builder = builder.public_url(url.clone());
    }
    if let Some(seed) = arguments.seed {
        builder = builder.one_account(seed);
    }
    if let Some(file) = &arguments.state {
        builder = builder.state(file);
    }
    let emulator = builder.start().await.map_err(|error| error.to_string())?;
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

/// How each account begins.
fn account(arguments: &Arguments) -> Result<FakeBuilder, String> {
    // Quick to try. Whoever scales time wants the service's own times, only sooner.
    let (cold_start, run_time) = if arguments.time_scale == 1.0 { (2, 3) } else { (300, 60) };
    let time = |chosen: Option<Duration>, usual| chosen.unwrap_or(Duration::from_secs(usual));
    let mut account = FakeRunComfy::builder()
        .remember_calls(100)
        .time_scale(arguments.time_scale)
        .cold_start(time(arguments.cold_start, cold_start))
        .run_time(time(arguments.run_time, run_time))
        .cancel_latency(arguments.cancel_latency)
        .balance_usd(arguments.balance);
    if let Some(time) = arguments.keep_warm {
        account = account.keep_warm(time);
    }
    for (sku, price) in &arguments.price {
        account = account.price_usd_per_hour(sku, *price);
    }
    if let Some(folder) = &arguments.deployments {
        return account.deployments_in(folder).map_err(|error| error.to_string());
    }
    Ok(if arguments.empty { account.empty() } else { account })
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
