//! The command line: arguments, environment, and a file per command.

mod backend;
mod call;
mod credentials;
mod demo;
mod doctor;
mod errors;
mod exit;
mod farewell;
mod last_resort;
mod logging;
mod options;
mod parent;
mod policy;
mod serve;
mod signals;
mod stdio;
mod terminal;
mod tools;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use runcomfy_core::client::ConfigError;

use self::{
    exit::End,
    options::Options,
    terminal::{Unwritten, complain},
};

/// What no flag can say: a token on the command line could be read by anyone on the machine.
const ENVIRONMENT: &str = "\
Token: RUNCOMFY_API_KEY, then RUNCOMFY_TOKEN, then the file of RunComfy's own CLI. `serve` takes each caller's own instead.
The way out: a proxy in HTTPS_PROXY or ALL_PROXY (http, https, socks4, socks5), exceptions in NO_PROXY; on Linux SSL_CERT_FILE and SSL_CERT_DIR. `doctor` shows the proxy in use.
Connect a client: claude mcp add runcomfy -e RUNCOMFY_API_KEY=<token> -- runcomfy-mcp (others: see the README).";

/// Run ComfyUI workflows on RunComfy's GPUs by talking to an assistant.
///
/// Without a command it serves MCP over stdio, which is what a client's configuration starts. To try
/// everything with no account and no bill: `runcomfy-mcp demo`.
#[derive(Debug, Parser)]
#[command(name = "runcomfy-mcp", version, max_term_width = 100, after_help = ENVIRONMENT)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve MCP over stdin and stdout (the default)
    Stdio,
    Serve(serve::Serve),
    Demo(demo::Demo),
    Call(call::Call),
    Tools(tools::Tools),
    Errors(errors::Errors),
    /// Check what is configured, where it comes from, and whether it works
    Doctor,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    // These need no runtime, no key and no network.
    match &cli.command {
        Some(Command::Tools(tools)) => return tools.run(),
        Some(Command::Errors(errors)) => return errors.run(),
        _ => {}
    }
    let serving = matches!(cli.command, None | Some(Command::Stdio | Command::Serve(_)));
    if let Err(error) = logging::start(&cli.options, serving) {
        complain(&format!("{error:#}"));
        return exit::USAGE.into();
    }
    // One thread shows the demo's progress in the order in which it comes.
    let mut builder = match &cli.command {
        Some(Command::Demo(_)) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("could not start: {error}"));
            return exit::FAILURE.into();
        }
    };
    let outcome = runtime.block_on(run(cli));
    // A read of stdin that blocks must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    logging::flush();
    match outcome {
        Ok(End::Code(code)) => code.into(),
        Ok(End::Signal(signal)) => signal.die(),
        Err(error) => {
            complain(&format!("{error:#}"));
            if error.is::<ConfigError>() {
                exit::USAGE.into()
            } else if error.is::<Unwritten>() {
                exit::IO.into()
            } else {
                exit::FAILURE.into()
            }
        }
    }
}

/// Reads the command line. A variable that is set but empty, as container set-ups leave them, is as good as
/// unset.
fn parse() -> Result<Cli, clap::Error> {
    fn without_empty(command: clap::Command) -> clap::Command {
        let is_empty = |arg: &clap::Arg| {
            let name = arg.get_env();
            name.and_then(std::env::var_os).is_some_and(|value| value.is_empty())
        };
        command
            .mut_args(|arg| if is_empty(&arg) { arg.env(None) } else { arg })
            .mut_subcommands(without_empty)
    }
    Cli::from_arg_matches(&without_empty(Cli::command()).try_get_matches()?)
}

async fn run(cli: Cli) -> anyhow::Result<End> {
    let options = cli.options;
    match cli.command {
        None | Some(Command::Stdio) => stdio::run(&options).await.map(End::Code),
        Some(Command::Serve(serve)) => serve.run(&options).await.map(End::Code),
        Some(Command::Demo(demo)) => demo.run(&options).await,
        Some(Command::Call(call)) => call.run(&options).await,
        Some(Command::Doctor) => doctor::run(&options).await.map(End::Code),
        Some(Command::Tools(_) | Command::Errors(_)) => Ok(End::Code(0)), // done in `main`
    }
}
