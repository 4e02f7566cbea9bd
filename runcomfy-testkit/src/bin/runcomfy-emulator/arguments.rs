//! The command-line arguments.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use runcomfy_core::deployment::HARDWARE;
use runcomfy_testkit::{FakeBuilder, FakeRunComfy};
use url::Url;

/// An emulator of RunComfy's Serverless API: deployments, a queue, instances, money and outputs, without a
/// bill.
///
/// Every bearer token is accepted and has an account of its own with the same deployments and the same
/// balance. Nothing is kept after a stop unless --state names a file.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// The address to listen on. Callers are not authenticated: keep it on loopback.
    #[arg(long, env = "RUNCOMFY_EMULATOR_LISTEN", default_value = "127.0.0.1:9000")]
    pub(crate) listen: SocketAddr,
    /// The base URL for clients, if it differs. URLs in responses start with it.
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<Url>,
    /// Deploy the workflows in this folder in place of the samples: .json files in API format.
    #[arg(long, value_name = "DIR", conflicts_with = "empty")]
    pub(crate) deployments: Option<PathBuf>,
    /// Start without the sample deployments.
    #[arg(long)]
    pub(crate) empty: bool,
    /// Keep the accounts in this file across restarts. Simulated time goes on while no emulator runs.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Use one account for all tokens, with ids from this seed, so that ids and random faults are the same at
    /// each start. Without it, ids are random.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// How many times faster than real time the simulated time runs, billing included.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = time_scale)]
    pub(crate) time_scale: f64,
    /// The time from starting an instance until it takes its first run, in seconds. [default: 2; with
    /// --time-scale, 300]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) cold_start: Option<Duration>,
    /// How long a run takes, in seconds. [default: 3; with --time-scale, 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) run_time: Option<Duration>,
    /// The time from the cancellation of a running run until it stops, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    pub(crate) cancel_latency: Duration,
    /// How long an idle instance keeps running, in seconds. Overrides the deployments' own setting.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) keep_warm: Option<Duration>,
    /// The price of this SKU per hour, in place of the service's price. Repeatable.
    #[arg(long, value_name = "SKU=USD", value_parser = price)]
    pub(crate) price: Vec<(String, f64)>,
    /// The initial balance of each account. When it is used up, its deployments are disabled (error code
    /// 10001).
    #[arg(long, value_name = "USD", default_value = "100", value_parser = dollars)]
    pub(crate) balance: f64,
    /// Run requests on the ComfyUI server at this URL. Repeatable: each server is an instance.
    #[arg(long, value_name = "URL")]
    pub(crate) comfyui: Vec<Url>,
    /// With --comfyui: a host, as NAME or NAME:PORT, from which inputs are downloaded although its address is
    /// not public. Repeatable.
    #[arg(long, value_name = "HOST", requires = "comfyui")]
    pub(crate) inputs_from: Vec<String>,
    /// How many times each webhook is delivered. More than once tests whether a receiver recognizes
    /// duplicates.
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) webhook_copies: u32,
    /// Inject the faults of this scenario. Repeatable. /_emulator/faults and /_emulator/scenarios add and
    /// remove faults later.
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    /// Print the scenarios and exit.
    #[arg(long)]
    pub(crate) list_scenarios: bool,
    /// Print the faults for rules and for the header X-Emulator-Fault, and exit.
    #[arg(long)]
    pub(crate) list_faults: bool,
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

impl Arguments {
    /// The template of each account.
    pub(crate) fn account(&self) -> Result<FakeBuilder, String> {
        // Short by default. With a time scale, the service's usual durations apply.
        let (cold_start, run_time) = if self.time_scale == 1.0 { (2, 3) } else { (300, 60) };
        let time = |chosen: Option<Duration>, usual| chosen.unwrap_or(Duration::from_secs(usual));
        let mut account = FakeRunComfy::builder()
            .time_scale(self.time_scale)
            .cold_start(time(self.cold_start, cold_start))
            .run_time(time(self.run_time, run_time))
            .cancel_latency(self.cancel_latency)
            .balance_usd(self.balance);
        if let Some(time) = self.keep_warm {
            account = account.keep_warm(time);
        }
        for (sku, price) in &self.price {
            account = account.price_usd_per_hour(sku, *price);
        }
        if let Some(folder) = &self.deployments {
            return account.deployments_in(folder).map_err(|error| error.to_string());
        }
        Ok(if self.empty { account.empty() } else { account })
    }
}
