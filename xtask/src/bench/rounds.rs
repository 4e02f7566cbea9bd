//! What each contestant came to in each round.

use super::{
    figures::{Figure, Target, median},
    load::Pace,
};

pub(super) struct Rounds {
    values: Vec<(String, Vec<f64>)>,
    /// Those whose answers were not all right.
    flawed: Vec<String>,
}

impl Rounds {
    pub(super) const fn new() -> Self {
        Self { values: Vec::new(), flawed: Vec::new() }
    }

    pub(super) fn add(&mut self, name: &str, value: f64) {
        match self.values.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => self.values.push((name.to_owned(), vec![value])),
        }
    }

    /// The same of calls, whose answers may have been wrong.
    pub(super) fn add_of(&mut self, name: &str, pace: &Pace, value: f64) {
        self.add(name, value);
        if pace.is_flawed() {
            self.flaw(name);
        }
    }

    /// What it comes to is no measure of what was asked for.
    pub(super) fn flaw(&mut self, name: &str) {
        self.flawed.push(name.to_owned());
    }

    /// As a row: the middle of each one's rounds.
    pub(super) fn figure(
        &self,
        part: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        target: Option<Target>,
    ) -> Figure {
        let medians = self.values.iter().map(|(name, values)| (name.clone(), median(values)));
        let (what, flawed) = (what.into(), self.flawed.clone());
        Figure { what, unit, values: medians.collect(), flawed, part, target }
    }

    /// What each had more than `other` in the same round.
    pub(super) fn over(&self, other: &str) -> Self {
        let base = self.values.iter().find(|(known, _)| known == other).map(|(_, values)| values);
        let more = |values: &[f64]| {
            let pairs = values.iter().zip(base.into_iter().flatten());
            pairs.map(|(value, base)| value - base).collect()
        };
        let others = self.values.iter().filter(|(name, _)| name != other);
        let values = others.map(|(name, values)| (name.clone(), more(values))).collect();
        Self { values, flawed: self.flawed.clone() }
    }
}
