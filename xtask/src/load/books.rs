//! Whether the emulator's counters say what its callers know, to the last call.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{
    customer::{Book, Customer},
    line::{Gone, Line, Seen},
};
use crate::measure;

/// Longer than what is still under way takes.
const PATIENCE_SECONDS: u64 = 10;

/// What all accounts have had from the emulator.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Runs {
    /// In the emulator's whole life.
    pub(super) started: u64,
    pub(super) completed: u64,
    pub(super) cancelled: u64,
    /// Of those started, whose ids nobody was told.
    pub(super) lost: u64,
}

/// Compares all books with the counters. `elsewhere` is what was seen over other connections than `line`.
pub(super) fn agree(
    line: &mut Line,
    customers: &[Customer],
    elsewhere: &Seen,
) -> anyhow::Result<Runs> {
    let mut runs = Runs::default();
    let mut accounts = BTreeMap::new();
    for customer in customers {
        let account = at_rest(line, customer)?;
        let name = account["account"].as_str().context("the account has no name")?.to_owned();
        let number = |value: &Value| value.as_u64().context("no number");
        let started = number(&account["runs_started"])?;
        let completed = number(&account["runs_completed"])?;
        let cancelled = number(&account["runs_cancelled"])?;
        ensure!(started == completed + cancelled, "{name}: runs without an end: {account}");
        money(&account).with_context(|| name.clone())?;
        runs.started += started;
        runs.completed += completed;
        runs.cancelled += cancelled;
        accounts.insert(name, (customer, started));
    }
    ensure!(accounts.len() == customers.len(), "two accounts have one name");

    let counters = counters(line)?;
    ensure!(counters["broken"] == serde_json::json!([]), "broken: {}", counters["broken"]);
    let named = counters["accounts"].as_object().context("no accounts")?;
    if let Some(name) = named.keys().find(|name| !accounts.contains_key(*name)) {
        bail!("{name} is counted, and nobody's");
    }
    for (name, (customer, started)) in accounts {
        // Who has not called since it was started is not there.
        let counted = named.get(&name).unwrap_or(&Value::Null);
        runs.lost += of_account(&customer.book, counted)
            .with_context(|| format!("{name}: {:?}\n  {counted}", customer.book))?;
        // Only what this process was asked counts there.
        let accepted = counted["submits"]["accepted"].as_u64().unwrap_or_default();
        ensure!(accepted <= started, "{name}: {accepted} of {started} runs");
    }
    of_connections(&counters, elsewhere, &line.seen)?;
    Ok(runs)
}

/// How many of its runs its owner was not told of.
fn of_account(book: &Book, counted: &Value) -> anyhow::Result<u64> {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let same = |what: &str, mine: u64, theirs: &Value| {
        ensure!(mine == number(theirs), "{what}: {mine} by the caller's book, {theirs} counted");
        Ok(())
    };
    same("calls", book.calls.values().sum(), &counted["calls"])?;
    for (operation, calls) in &book.calls {
        same(operation, *calls, &counted["operations"][operation])?;
    }
    for class in ["1xx", "2xx", "3xx", "4xx", "5xx"] {
        same(
            class,
            book.answered.get(class).copied().unwrap_or_default(),
            &counted["answered"][class],
        )?;
    }
    same("unanswered", book.unanswered, &counted["unanswered"])?;
    let submits = &counted["submits"];
    same("submits", book.confirmed + book.refused + book.unheard, &submits["seen"])?;
    same("confirmed", book.confirmed, &submits["confirmed"])?;
    let lost = number(&submits["answers_lost"]);
    same("accepted", book.confirmed + lost, &submits["accepted"])?;
    // What had no effect was either answered otherwise, or not at all.
    let without = number(&submits["withheld"]) + number(&submits["refused"]);
    ensure!(book.refused + book.unheard == without + lost, "submits without an id");
    ensure!(lost <= book.unheard, "an answer is lost that came");
    Ok(lost)
}

fn of_connections(counters: &Value, elsewhere: &Seen, here: &Seen) -> anyhow::Result<()> {
    let same = |what: &str, of: fn(&Seen) -> u64, counted: u64| {
        let mine = of(elsewhere) + of(here);
        ensure!(mine == counted, "{what}: {mine} by the callers' books, {counted} counted");
        Ok(())
    };
    let connections = &counters["connections"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let cut = connections["cut_at_accept"].as_object().into_iter().flat_map(|cut| cut.values());
    same("connections", |seen| seen.opened, number(&connections["accepted"]))?;
    same("cut at accept", |seen| seen.cut_at_accept, cut.map(number).sum())?;
    same("cut in a call", |seen| seen.ended_in_call, number(&connections["cut_in_call"]))?;
    same("open calls", |seen| seen.open_calls, number(&counters["open"]["calls"]))
}

/// The account, once all that was accepted is over.
fn at_rest(line: &mut Line, customer: &Customer) -> anyhow::Result<Value> {
    let begun = measure::now();
    loop {
        let account = customer.account(line)?;
        let deployments = account["deployments"].as_array().context("no deployments")?;
        let busy = |one: &Value| one["in_queue"] != 0 || one["in_progress"] != 0;
        if !deployments.iter().any(busy) {
            return Ok(account);
        }
        if begun.elapsed().as_secs() > PATIENCE_SECONDS {
            bail!("runs that do not end: {account}");
        }
    }
}

/// Every dollar that was there at first is there or spent.
fn money(account: &Value) -> anyhow::Result<()> {
    let amount = |what: &str| account[what].as_f64().with_context(|| format!("no {what}"));
    let (left, spent) = (amount("balance_usd")?, amount("spent_usd")?);
    // Either is rounded to a millionth.
    ensure!((left + spent - super::BALANCE_USD).abs() < 2.1e-6, "{left} left, {spent} spent");
    ensure!(spent > 0.0, "runs that cost nothing");
    Ok(())
}

/// The counters, once no call is under way.
fn counters(line: &mut Line) -> anyhow::Result<Value> {
    let begun = measure::now();
    loop {
        let answer = line.call("GET /_emulator/counters", None, "");
        let counters = answer.map_err(|Gone(error)| error)?.context("no answer")?.json();
        if counters["totals"]["in_flight"] == 0 && counters["open"]["in_flight"] == 0 {
            return Ok(counters);
        }
        if begun.elapsed().as_secs() > PATIENCE_SECONDS {
            bail!("calls that do not end: {counters}");
        }
    }
}
