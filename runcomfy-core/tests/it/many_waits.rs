//! How soon ends are known and what that costs, beside a look every three seconds.

use std::time::Duration;

use runcomfy_core::wait::SharedWaits;

use crate::{
    runs::{Figures, Run, Service, Waited, every_three_seconds},
    wait::secs,
};

/// 10 s, give or take 1.5 s.
fn lengths(many: usize) -> impl Iterator<Item = Duration> {
    std::iter::repeat_with(|| secs(10).mul_f64(0.85 + 0.3 * fastrand::f64())).take(many)
}

#[tokio::test(start_paused = true)]
async fn the_ends_of_a_thousand_runs_are_known_sooner_than_by_looking_every_three_seconds() {
    let (mut unlearned, mut learned) = (Vec::new(), Vec::new());
    // Enough seeds that one batch whose first ends mislead the next does not decide.
    let batches = (1..=4).map(|seed| (1000, seed)).chain((5..=20).map(|seed| (256, seed)));
    for (many, seed) in batches {
        fastrand::seed(seed);
        let (service, waits) = (Service::new(seed % 2 == 0), SharedWaits::new());
        let before = Figures::of(lengths(many).map(every_three_seconds).collect());
        let first = service.run_all(&waits, lengths(many).map(Run::takes)).await;
        let second = service.run_all(&waits, lengths(many).map(Run::takes)).await;
        let told = format!("{many} by seed {seed}: {before:?} {first:?} {second:?}");
        println!("{told}");
        assert!(before.p50 > 1250 && before.p99 > 2900 && before.looks > 4.7, "{told}");
        for now in [&first, &second] {
            assert!(now.p50 <= 750 && now.p99 <= 2000 && now.looks <= 4.8, "{told}");
        }
        unlearned.push(first);
        learned.push(second);
    }
    let (unlearned, learned) = (Figures::mean(&unlearned), Figures::mean(&learned));
    println!("{unlearned:?} {learned:?}");
    assert!(unlearned.p50 <= 650 && unlearned.p99 <= 1700 && unlearned.looks <= 4.6);
    assert!(learned.p50 * 10 < unlearned.p50 * 9 && learned.looks < unlearned.looks * 0.9);
}

#[tokio::test(start_paused = true)]
async fn fifty_callers_who_learn_nothing_from_each_other_know_their_ends_as_soon() {
    for (many, most) in [(1000, [500, 1850, 450, 1550]), (256, [750, 2250, 550, 2000])] {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for seed in 1..=6 {
            fastrand::seed(seed);
            let (service, waits) = (Service::new(true), SharedWaits::new());
            for figures in [&mut first, &mut second] {
                figures.push(service.run_all_of(50, &waits, lengths(many).map(Run::takes)).await);
            }
        }
        let [first, second] = [first, second].map(|figures| Figures::mean(&figures));
        println!("{many}: {first:?} {second:?}");
        assert!(first.p50 <= most[0] && first.p99 <= most[1] && first.looks <= 4.75);
        assert!(second.p50 <= most[2] && second.p99 <= most[3] && second.looks <= 3.5);
    }
}

#[tokio::test(start_paused = true)]
async fn one_run_of_unknown_length_costs_no_more_than_a_look_every_three_seconds() {
    const MANY: u32 = 2000;
    fastrand::seed(1);
    let service = Service::new(true);
    let (mut ours, mut fixed) = ([0.0; 2], [0.0; 2]);
    for step in 0..MANY {
        let works = secs(3) + secs(57) * step / MANY;
        let add = |sums: &mut [f64; 2], waited: Waited| {
            sums[0] += waited.delay.as_secs_f64() / f64::from(MANY);
            sums[1] += f64::from(waited.looks) / f64::from(MANY);
        };
        // Nothing is learned from one to the next.
        add(&mut ours, service.run(&SharedWaits::new(), 1, Run::takes(works)).await);
        add(&mut fixed, every_three_seconds(works));
    }
    println!("{ours:?} {fixed:?}");
    assert!(ours[0] <= fixed[0] && ours[1] <= fixed[1], "{ours:?} {fixed:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_that_take_turns_on_a_few_machines_are_known_sooner_too() {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let turns = || {
        let mut free = [Duration::ZERO; 8];
        let turns: Vec<_> = lengths(200)
            .map(|works| {
                let machine = free.iter_mut().min().unwrap();
                let queued = *machine;
                *machine += works;
                Run { queued, ..Run::takes(works) }
            })
            .collect();
        turns
    };
    for seed in 1..=4 {
        fastrand::seed(seed);
        let (service, waits) = (Service::new(true), SharedWaits::new());
        first.push(service.run_all(&waits, turns()).await);
        second.push(service.run_all(&waits, turns()).await);
    }
    let [first, second] = [first, second].map(|figures| Figures::mean(&figures));
    println!("{first:?} {second:?}");
    assert!(first.p50 <= 1000 && second.p50 <= 1000, "{first:?} {second:?}");
}
