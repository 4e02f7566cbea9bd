//! What was seen of each client, as the documentation shows it.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::shell::root;

/// In the order of the table's columns.
const FEATURES: [&str; 11] = [
    "ten tools",
    "output schemas",
    "bad arguments",
    "progress",
    "picture links",
    "cancelled wait",
    "asks before deleting",
    "resources",
    "prompts",
    "completions",
    "tasks",
];

const BEGIN: &str = "<!-- written by `cargo xtask clients --write` -->\n";
const END: &str = "<!-- end -->";

/// One run of one client.
pub(super) struct Seen {
    client: String,
    transport: String,
    revision: String,
    features: BTreeMap<String, String>,
}

impl Seen {
    pub(super) fn new(
        client: String,
        transport: &str,
        revision: &str,
        features: &[(&str, &str)],
    ) -> Self {
        let features = features.iter().map(|(name, how)| ((*name).to_owned(), (*how).to_owned()));
        let (transport, revision) = (transport.to_owned(), revision.to_owned());
        Self { client, transport, revision, features: features.collect() }
    }

    /// From the line that a scenario prints.
    pub(super) fn of(line: &Value) -> anyhow::Result<Self> {
        let text = |key: &str| line[key].as_str().with_context(|| format!("{line} has no {key}"));
        let features = line["features"].as_object().context("no features")?;
        let features: Vec<_> = features
            .iter()
            .map(|(name, how)| (name.as_str(), how.as_str().unwrap_or_default()))
            .collect();
        for (name, _) in &features {
            ensure!(FEATURES.contains(name), "no column for {name:?}");
        }
        Ok(Self::new(text("client")?.to_owned(), text("transport")?, text("revision")?, &features))
    }

    fn row(&self) -> String {
        let mut row = format!("| {} | {} | {} |", self.client, self.transport, self.revision);
        for name in FEATURES {
            let how = self.features.get(name).map_or("–", String::as_str);
            row.push_str(&format!(" {how} |"));
        }
        row
    }
}

/// Compares the table with the documentation's, or writes it there.
pub(super) fn keep(seen: &[Seen], write: bool) -> anyhow::Result<()> {
    let head = format!("| Client | Over | MCP | {} |", FEATURES.join(" | "));
    let rule = "|---".repeat(FEATURES.len() + 3) + "|";
    let mut rows = vec![head, rule];
    rows.extend(seen.iter().map(Seen::row));
    let table = rows.join("\n") + "\n";
    let file = root()?.join("docs/clients.md");
    let text = fs::read_to_string(&file)?;
    let (before, rest) = text.split_once(BEGIN).context("docs/clients.md has no place for it")?;
    let (old, after) = rest.split_once(END).context("docs/clients.md: the table does not end")?;
    if write {
        return Ok(fs::write(file, format!("{before}{BEGIN}{table}{END}{after}"))?);
    }
    ensure!(
        old == table,
        "docs/clients.md is not what was seen now; `cargo xtask clients --write`:\n{table}"
    );
    Ok(())
}
