//! What a run is told.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::{Contestant, PARTS};
use crate::shell::root;

#[derive(Default)]
pub(super) struct Options {
    pub(super) quick: bool,
    /// Targets that are not held fail the run.
    pub(super) strict: bool,
    pub(super) port: Option<u16>,
    /// Those of `clients/peers`, too.
    pub(super) stand_ins: bool,
    pub(super) only: Vec<String>,
    /// Where the report goes; that of a full run is the documentation's.
    pub(super) report: Option<PathBuf>,
    at: Vec<(String, String)>,
    commands: Vec<(String, String)>,
    stdio: Vec<(String, String)>,
}

impl Options {
    pub(super) fn read(words: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} wants a value"));
            match *word {
                "--quick" => options.quick = true,
                "--stand-ins" => options.stand_ins = true,
                "--strict" => options.strict = true,
                "--upstream-port" => options.port = Some(value()?.parse().context("a port")?),
                "--report" => options.report = Some(value()?.into()),
                "--peer" => options.at.push(named(value()?)?),
                "--peer-cmd" => options.commands.push(named(value()?)?),
                "--peer-stdio-cmd" => options.stdio.push(named(value()?)?),
                "--only" => options.only.push(part(value()?)?),
                other => bail!("no option {other}"),
            }
        }
        if !options.at.is_empty() && options.port.is_none() {
            bail!(
                "a --peer that runs already calls an upstream whose address it knows: say --upstream-port"
            );
        }
        if !options.quick && options.only.is_empty() && options.report.is_none() {
            options.report = Some(root()?.join("docs/benchmarks"));
        }
        Ok(options)
    }

    /// Those that others have built.
    pub(super) fn peers(&self) -> anyhow::Result<Vec<Contestant>> {
        let mut peers = Vec::new();
        for (name, url) in &self.at {
            peers.push(Contestant::at(name, url)?);
        }
        for (name, command) in &self.commands {
            peers.push(Contestant::command(name, command));
        }
        for (name, command) in &self.stdio {
            let place = peers.iter().position(|peer| peer.name == *name);
            let place = place.with_context(|| format!("{name} has no --peer-cmd"))?;
            let peer = peers.remove(place);
            peers.insert(place, peer.with_stdio(command));
        }
        Ok(peers)
    }
}

fn named(text: &str) -> anyhow::Result<(String, String)> {
    let (name, what) = text.split_once('=').with_context(|| format!("{text}: NAME=… is wanted"))?;
    Ok((name.to_owned(), what.to_owned()))
}

fn part(name: &str) -> anyhow::Result<String> {
    if PARTS.iter().any(|(known, _)| *known == name) {
        return Ok(name.to_owned());
    }
    bail!("there are the parts {}", PARTS.map(|(known, _)| known).join(", "))
}
