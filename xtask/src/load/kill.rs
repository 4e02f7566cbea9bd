//! The same load, with the emulator killed in the middle of it again and again: no request that it accepted
//! may be lost, and none may run twice.

use std::{collections::HashSet, sync::mpsc};

use anyhow::{Context as _, bail, ensure};

use super::{
    ACCOUNTS, FAULTS, TIMES, all, books, build,
    customer::{Customer, Stop},
    each, folder, go_round,
    line::{Line, Seen},
    recalled,
};
use crate::{program::Program, shell::step};

const KILLS: usize = 10;

/// An emulator is killed when it has accepted at most so many.
const MOST_BEFORE_A_KILL: usize = 1_500;

pub(crate) fn run(seed: Option<u64>) -> anyhow::Result<()> {
    build()?;
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("the seed is {seed}: what is killed when follows from it, as far as chance allows");
    step("killed in the middle", || killed(seed))
}

/// How many runs an account has started: at least those it was told of, at most those it asked for and
/// was not refused.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    least: u64,
    most: u64,
}

fn killed(seed: u64) -> anyhow::Result<()> {
    let mut luck = fastrand::Rng::with_seed(seed);
    let folder = folder("kill")?;
    let state = folder.join("state");
    let mut arguments = [&TIMES[..], &FAULTS].concat();
    arguments.extend(["--state", state.to_str().context("a path that is no text")?]);
    let mut customers: Vec<_> = (0..ACCOUNTS).map(|number| Customer::new(number, true)).collect();
    let mut bounds = vec![Bounds::default(); ACCOUNTS];
    let mut program = Program::start("runcomfy-emulator", &arguments)?;
    for kill in 1..=KILLS {
        let after = luck.usize(1..=MOST_BEFORE_A_KILL);
        loaded_until_killed(&mut customers, program, after)?;
        for (bounds, customer) in bounds.iter_mut().zip(&customers) {
            bounds.least += customer.book.confirmed;
            bounds.most += customer.book.confirmed + customer.book.unheard;
        }
        program = Program::start("runcomfy-emulator", &arguments)?;
        customers.iter_mut().for_each(Customer::new_book);
        let seen = recalled(&mut customers, &program)?;
        let runs = adds_up(&customers, &bounds, &program, &seen)?;
        println!(
            "kill {kill:>2} after {after:>4} were accepted: reopened in {:.2} s, {} known and all there, {} \
             more that nobody was told of, of {} possible",
            program.took.as_secs_f64(),
            runs.least,
            runs.started - runs.least,
            runs.most - runs.least,
        );
    }
    // Those that were under way when it was killed are looked at to their end.
    for customer in &mut customers {
        customer.new_book();
        customer.take_up();
        customer.want(customer.requests.len());
    }
    drop(program);
    let program = Program::start("runcomfy-emulator", &arguments)?;
    let seen = all(&mut customers, &program, &mpsc::channel().0)?;
    adds_up(&customers, &bounds, &program, &seen)?;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// Loads it, and kills it when so many requests were accepted. Until then nothing may go wrong.
fn loaded_until_killed(
    customers: &mut [Customer],
    program: Program,
    after: usize,
) -> anyhow::Result<()> {
    for customer in &mut *customers {
        customer.new_book();
        customer.take_up();
        customer.want(usize::MAX);
    }
    let (accepted, count) = mpsc::channel();
    let address = program.address;
    let until_it_is_gone = move || {
        each(customers, address, |group, line| {
            loop {
                match go_round(group, line, &accepted) {
                    Ok(_) => {}
                    Err(Stop::Gone(_)) => return Ok(()),
                    Err(Stop::Wrong(error)) => return Err(error),
                }
            }
        })
    };
    std::thread::scope(|scope| {
        let load = scope.spawn(until_it_is_gone);
        let enough = count.iter().take(after).count();
        let killed = program.kill();
        load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        ensure!(enough == after, "it was gone before it was killed");
        killed
    })
}

struct Runs {
    started: u64,
    least: u64,
    most: u64,
}

/// That each account has as many runs as it may, each ended in one way, and that all ids differ.
fn adds_up(
    customers: &[Customer],
    bounds: &[Bounds],
    program: &Program,
    seen: &Seen,
) -> anyhow::Result<Runs> {
    let mut line = Line::new(program.address);
    books::agree(&mut line, customers, seen)?;
    let mut all = Runs { started: 0, least: 0, most: 0 };
    for (customer, Bounds { least, most }) in customers.iter().zip(bounds) {
        let account = customer.account(&mut line)?;
        let started = account["runs_started"].as_u64().context("no number of runs")?;
        if !(*least..=*most).contains(&started) {
            bail!("{}: {started} runs, not {least} to {most}", customer.token);
        }
        all = Runs {
            started: all.started + started,
            least: all.least + least,
            most: all.most + most,
        };
    }
    let requests = customers.iter().flat_map(|customer| &customer.requests);
    let ids: HashSet<_> = requests.map(|request| &request.id).collect();
    ensure!(ids.len() as u64 == all.least, "an id was given twice");
    Ok(all)
}
