//! What was measured, and on what.

use std::fs;

use chrono::Utc;

use crate::shell::{command, read};

/// One fact a line, as Markdown.
pub(super) fn description() -> anyhow::Result<String> {
    let file = |name: &str| fs::read_to_string(name).unwrap_or_default();
    let field = |name: &str, field: &str| {
        let text = file(name);
        let line = text.lines().find(|line| line.starts_with(field));
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())).unwrap_or_default()
    };
    let said =
        |line: &str| -> anyhow::Result<String> { Ok(read(&mut command(line)?)?.trim().to_owned()) };
    let memory = field("/proc/meminfo", "MemTotal");
    let memory = memory.split(' ').next().and_then(|kib| kib.parse::<f64>().ok());
    let changed = if said("git status --porcelain --untracked-files=no")?.is_empty() {
        ""
    } else {
        ", with changes"
    };
    Ok([
        format!(
            "{} cores: {}",
            std::thread::available_parallelism()?,
            field("/proc/cpuinfo", "model name")
        ),
        format!("{:.1} GiB of memory", memory.unwrap_or_default() / 1024.0 / 1024.0),
        format!("Linux {}", file("/proc/sys/kernel/osrelease").trim()),
        said("rustc --version")?,
        format!("commit {}{changed}", said("git rev-parse --short HEAD")?),
        Utc::now().format("%Y-%m-%d").to_string(),
    ]
    .map(|fact| format!("- {fact}\n"))
    .concat())
}
