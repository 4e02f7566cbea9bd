//! Logs: to stderr only, and never a request's content.

mod flood;
mod lossy;

use std::{io::Write, str::FromStr, sync::OnceLock};

use anyhow::Context;
use serde_json::json;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    fmt::{
        self, MakeWriter,
        time::{FormatTime, SystemTime},
        writer::BoxMakeWriter,
    },
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

use self::{flood::Flood, lossy::Lossy};
use super::{
    options::{LogFormat, Options},
    terminal,
};

/// Starts logging: what happened per call while serving, only warnings otherwise.
pub(super) fn start(options: &Options, serving: bool) -> anyhow::Result<()> {
    let asked = options.log.as_deref().unwrap_or(if serving { "info" } else { "warn" });
    let filter = Targets::from_str(asked)
        .with_context(|| format!("could not read the log filter {asked:?}"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer(serving)?).with_ansi(false);
    // It would say so on stderr, which is what has failed, and break where that takes nothing.
    let lines = lines.log_internal_errors(false);
    let lines = match options.log_format {
        LogFormat::Text => lines.with_target(false).compact().boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let (format, own) = (options.log_format, writer(serving)?);
    let flood = Flood::new(move |left_out| {
        // There is nowhere to report a failure to.
        let _ = own.make_writer().write_all(left_out_line(format, left_out).as_bytes());
    });
    let lines = lines.with_filter(filter.and(filter_fn(may_be_shown)).and(flood));
    registry().with(lines).init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{}", told(panic))));
    Ok(())
}

/// What is said of lines that were left out, as other lines look. Not by way of the log itself, which is
/// just about to write one.
fn left_out_line(format: LogFormat, lines: u64) -> String {
    let mut time = String::new();
    // Without the time it is as good.
    let _ = SystemTime.format_time(&mut fmt::format::Writer::new(&mut time));
    let message = format!("left out {lines} line(s) like the next");
    match format {
        LogFormat::Text => format!("{time}  INFO {message}\n"),
        LogFormat::Json => {
            let line =
                json!({"timestamp": time, "level": "INFO", "message": message, "lines": lines});
            format!("{line}\n")
        }
    }
}

/// Where it broke. What a panic says of it may hold what the caller sent.
fn told(panic: &std::panic::PanicHookInfo<'_>) -> String {
    match panic.location() {
        Some(place) => format!("panicked at {}:{}", place.file(), place.line()),
        None => "panicked".to_owned(),
    }
}

/// Where lines go while serving.
static LOG: OnceLock<Lossy> = OnceLock::new();

/// A server must not stand still because nobody reads its log; a command writes as it goes.
fn writer(serving: bool) -> anyhow::Result<BoxMakeWriter> {
    if !serving {
        return Ok(BoxMakeWriter::new(terminal::stderr));
    }
    let lossy = match LOG.get() {
        Some(lossy) => lossy.clone(),
        None => {
            let lossy = Lossy::begin(terminal::stderr()).context("could not start the log")?;
            LOG.get_or_init(|| lossy).clone()
        }
    };
    Ok(BoxMakeWriter::new(lossy))
}

/// How many lines have been dropped so far.
pub(super) fn dropped() -> u64 {
    LOG.get().map_or(0, Lossy::dropped)
}

/// Lets the last lines be written, before the program ends. Whether all so far are: what is written by a command as
/// it goes is not known.
pub(super) fn flush() -> bool {
    LOG.get().is_none_or(Lossy::flush)
}

/// The libraries beneath write whole requests, tokens and pictures included, at their lower levels, and
/// rmcp reports each client that hangs up as an error. No setting reaches those.
fn may_be_shown(event: &Metadata<'_>) -> bool {
    const OURS: [&str; 4] =
        ["runcomfy_core", "runcomfy_http_edge", "runcomfy_mcp", "runcomfy_testkit"];
    let target = event.target();
    let ours = OURS.iter().any(|ours| target.starts_with(ours));
    ours || (!target.starts_with("rmcp") && *event.level() <= Level::WARN)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_panic_tells_where_and_nothing_of_what() {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let (own, this) = (Arc::clone(&said), std::thread::current().id());
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().id() == this {
                own.lock().unwrap().push(super::told(panic));
            }
        }));
        let broken = std::panic::catch_unwind(|| panic!("SECRET of the caller"));
        std::panic::set_hook(before);
        assert!(broken.is_err());
        let said = said.lock().unwrap();
        assert!(said[0].contains("logging.rs:") && !said[0].contains("SECRET"), "{said:?}");
    }
}
