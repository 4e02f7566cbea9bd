//! Everything that is logged while tests run, for `cargo xtask canary` to look for secrets in.

use std::{fs::File, sync::Once};

use tracing::Level;
use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

/// From now on all of this process goes into a file in the folder that the environment names, at the lowest
/// level; of the libraries beneath what the program lets through. Does nothing where no folder is named.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(folder) = std::env::var_os("RUNCOMFY_WATCH") else { return };
        let name = format!("{}.log", std::process::id());
        let file = File::create(std::path::Path::new(&folder).join(name)).unwrap();
        let shown = filter_fn(|event| {
            let ours = event.target().starts_with("runcomfy");
            ours || !event.target().starts_with("rmcp") && *event.level() <= Level::WARN
        });
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(file);
        tracing_subscriber::registry().with(lines.with_filter(shown)).init();
    });
}
