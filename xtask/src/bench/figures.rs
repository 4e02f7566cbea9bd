//! What was found, beside what was aimed for.

use super::contestant::{BARE, OURS};

/// One row: what each contestant has come to.
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) unit: &'static str,
    /// By the contestant's name, in the order in which they were measured.
    pub(super) values: Vec<(String, f64)>,
    /// Those whose answers were not all right, so that their value says little.
    pub(super) flawed: Vec<String>,
    /// What of the run gives it.
    pub(super) part: &'static str,
    pub(super) target: Option<Target>,
}

/// What ours is to come to.
pub(super) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// At most so many times the bare server's.
    TimesBare(f64),
    /// At least so many times this other's; without it, so many times the bare server's, which is what that
    /// came to where both were measured.
    TimesOther {
        least: f64,
        other: &'static str,
        or_bare: f64,
    },
}

impl Figure {
    pub(super) fn of(&self, name: &str) -> Option<f64> {
        let value = self.values.iter().find(|(known, _)| known == name)?.1;
        value.is_finite().then_some(value)
    }

    /// Whether anybody has come to anything.
    pub(super) fn is_there(&self) -> bool {
        self.values.iter().any(|(_, value)| value.is_finite())
    }

    /// How many times `name`'s ours is.
    pub(super) fn times(&self, name: &str) -> Option<f64> {
        Some(self.of(OURS)? / self.of(name).filter(|value| *value > 0.0)?)
    }

    /// Whether ours is what it is to be. Nothing where that can't be said.
    pub(super) fn held(&self) -> Option<bool> {
        let ours = self.of(OURS)?;
        let target = self.target.as_ref()?;
        if self.is_flawed(OURS) {
            return Some(false);
        }
        Some(match target {
            Target::AtMost(most) => ours <= *most,
            Target::AtLeast(least) => ours >= *least,
            Target::TimesBare(most) => ours <= most * self.of(BARE)?,
            Target::TimesOther { least, other, or_bare } => match self.of(other) {
                Some(value) => ours >= least * value,
                None => ours >= or_bare * self.of(BARE)?,
            },
        })
    }

    pub(super) fn is_flawed(&self, name: &str) -> bool {
        self.flawed.iter().any(|known| known == name)
    }

    pub(super) fn aim(&self) -> String {
        match &self.target {
            None => "–".to_owned(),
            Some(Target::AtMost(most)) => format!("≤ {}", number(*most)),
            Some(Target::AtLeast(least)) => format!("≥ {}", number(*least)),
            Some(Target::TimesBare(most)) => format!("≤ {most} × {BARE}"),
            Some(Target::TimesOther { least, other, or_bare }) => match self.of(other) {
                Some(_) => format!("≥ {least} × {other}"),
                None => format!("≥ {or_bare} × {BARE}"),
            },
        }
    }
}

/// With as many digits as say something, thousands apart.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 1.0 || small == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut apart = String::new();
    for (place, digit) in whole.chars().enumerate() {
        let left = whole.len() - place;
        if place > 0 && left % 3 == 0 && !apart.ends_with('-') {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart + fraction
}

/// The middle of them.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_far_as_they_say_something() {
        let shown = [0.0, 0.1234, 1.234, 12.34, 123.4, 1234.5, -38761.0].map(number);
        assert_eq!(shown, ["0.00", "0.123", "1.23", "12.3", "123", "1,234", "-38,761"]);
    }

    #[test]
    fn a_target_is_held_against_whoever_is_there() {
        let figure = |others: &[(&str, f64)], target| Figure {
            what: String::new(),
            unit: "",
            values: others.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            flawed: Vec::new(),
            part: "",
            target: Some(target),
        };
        let two = [(OURS, 12.0), (BARE, 10.0)];
        assert_eq!(figure(&two, Target::TimesBare(1.2)).held(), Some(true));
        assert_eq!(figure(&two, Target::TimesBare(1.1)).held(), Some(false));
        assert_eq!(figure(&[(OURS, 12.0)], Target::TimesBare(1.1)).held(), None);
        let other = || Target::TimesOther { least: 3.0, other: "x", or_bare: 1.0 };
        assert_eq!(figure(&two, other()).held(), Some(true));
        assert_eq!(figure(&[two[0], two[1], ("x", 5.0)], other()).held(), Some(false));
    }
}
