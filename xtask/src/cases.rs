//! The cases of attack and abuse, each with the tests that show it: written to `docs/abuse-cases.md`.
//!
//! A test names its case first: `fn q01_a_dropped_submit_is_…` shows Q-1. What has no test has a row in
//! [`reasons`] that says how it is shown instead, why it does not apply, or that it is open.

mod reasons;

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::bail;

use self::reasons::{REASONS, Standing};
use crate::shell::files;

/// The areas: letter, how many cases, and what they are about.
const AREAS: [(char, u8, &str); 12] = [
    ('U', 24, "Ids and addresses"),
    ('H', 32, "Headers, tokens, names of hosts and pages"),
    ('A', 28, "Arguments"),
    ('S', 23, "stdio"),
    ('P', 17, "HTTP and JSON-RPC"),
    ('F', 34, "Faults of the service"),
    ('Q', 23, "The queue, and its races"),
    ('M', 10, "Many callers"),
    ('W', 11, "Webhooks, the proxy, addresses from outside"),
    ('C', 8, "Content that wants to be obeyed"),
    ('X', 10, "Secrets and logs"),
    ('R', 10, "Resources"),
];

/// A case, such as Q-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case(char, u8);

impl Case {
    /// Reads `q01`.
    fn of_name(word: &str) -> Option<Self> {
        let (area, number) = word.split_at_checked(1)?;
        let area = area.chars().next()?.to_ascii_uppercase();
        let fits = number.len() == 2 && number.bytes().all(|digit| digit.is_ascii_digit());
        let case = Self(area, if fits { number.parse().ok()? } else { return None });
        case.exists().then_some(case)
    }

    fn exists(self) -> bool {
        AREAS.iter().any(|&(area, most, _)| area == self.0 && (1..=most).contains(&self.1))
    }
}

/// A test, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    file: String,
    test: String,
}

type Tests = BTreeMap<Case, Vec<Shown>>;

/// The page as it should be.
///
/// # Errors
/// A case that nothing is said of, or of which a reason is given although there are tests.
pub(crate) fn page(root: &Path) -> anyhow::Result<String> {
    let tests = tests(root)?;
    let faults = faults(&tests);
    if !faults.is_empty() {
        bail!("docs/abuse-cases.md can't be written:\n  {}", faults.join("\n  "));
    }
    Ok(render(&tests))
}

fn tests(root: &Path) -> anyhow::Result<Tests> {
    let mut tests = Tests::new();
    for file in files(root, "")?.iter().filter(|name| name.ends_with(".rs")) {
        for (case, test) in named(&fs::read_to_string(root.join(file))?) {
            let shown = Shown { file: file.clone(), test: test.to_owned() };
            tests.entry(case).or_default().push(shown);
        }
    }
    tests.values_mut().for_each(|shown| shown.sort());
    Ok(tests)
}

/// The tests in a file that name cases.
fn named(text: &str) -> Vec<(Case, &str)> {
    let mut found = Vec::new();
    // Only what the test harness runs counts, not a helper of that name.
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let line = line.strip_prefix("async ").unwrap_or(line);
        let Some(rest) = line.strip_prefix("fn ") else { continue };
        let end = rest.find(['(', '<']).unwrap_or(rest.len());
        let name = &rest[..end];
        if std::mem::take(&mut is_test) {
            found.extend(name.split('_').map_while(Case::of_name).map(|case| (case, name)));
        }
    }
    found
}

fn all() -> impl Iterator<Item = Case> {
    AREAS.into_iter().flat_map(|(area, most, _)| (1..=most).map(move |number| Case(area, number)))
}

fn reason(case: Case) -> Option<&'static Standing> {
    REASONS.iter().find(|(area, number, _)| Case(*area, *number) == case).map(|(.., why)| why)
}

fn faults(tests: &Tests) -> Vec<String> {
    let mut faults = Vec::new();
    for case in all() {
        let shown = tests.contains_key(&case);
        let Case(area, number) = case;
        match reason(case) {
            None if !shown => faults.push(format!(
                "{area}-{number}: no test is named {}{number:02}_…, and xtask/src/cases/reasons.rs does not say why",
                area.to_ascii_lowercase()
            )),
            Some(Standing::NotApplicable(_) | Standing::ByHand(_)) if shown => faults
                .push(format!("{area}-{number}: is said not to be for a test, and has tests: one of them is wrong")),
            _ => {}
        }
    }
    let known: Vec<Case> = all().collect();
    for (area, number, _) in REASONS {
        if !known.contains(&Case(*area, *number)) {
            faults.push(format!("{area}-{number}: a reason for a case that there is not"));
        }
    }
    faults
}

fn render(tests: &Tests) -> String {
    let count = |wanted: fn(Option<&Standing>, bool) -> bool| {
        all().filter(|case| wanted(reason(*case), tests.contains_key(case))).count()
    };
    let open = count(|why, _| matches!(why, Some(Standing::Open(_))));
    let aside = count(|why, _| matches!(why, Some(Standing::NotApplicable(_))));
    let by_hand = count(|why, _| matches!(why, Some(Standing::ByHand(_))));
    let tested = count(|why, shown| shown && !matches!(why, Some(Standing::Open(_))));
    let mut out = format!(
        "<!-- written by `cargo xtask codegen`; edit the tests and xtask/src/cases/reasons.rs instead -->\n\n\
         # Attack and abuse, case by case\n\n\
         What the client and the server are held to when networks fail, assistants repeat themselves and people try \
         things. A test begins with the case it shows. Of {} cases, {tested} are shown by tests, {by_hand} by hand, \
         {aside} do not apply, {open} are open in part or whole.\n",
        all().count()
    );
    for (area, most, about) in AREAS {
        let _ = write!(out, "\n## {area}: {about}\n\n| Case | Shown by |\n|---|---|\n");
        for number in 1..=most {
            let case = Case(area, number);
            let _ = writeln!(out, "| {area}-{number} | {} |", row(case, tests));
        }
    }
    out
}

fn row(case: Case, tests: &Tests) -> String {
    let mut parts = Vec::new();
    parts.extend(reason(case).map(|why| match why {
        Standing::NotApplicable(why) => format!("Does not apply: {why}"),
        Standing::ByHand(how) => format!("By hand: {how}"),
        Standing::Open(what) => format!("**Open**: {what}"),
    }));
    for Shown { file, test } in tests.get(&case).into_iter().flatten() {
        parts.push(format!("[`{test}`](../{file})"));
    }
    parts.join("<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_found_by_the_cases_at_the_head_of_its_name() {
        let text = concat!(
            "#[test]\nfn q02_q03_one() {}\n",
            "    #[tokio::test(start_paused = true)]\n    async fn x01_two<T>() {}\n",
            "fn q04_a_helper() {}\n#[test]\nfn q99_there_is_none() {}\n#[test]\nfn plain_q05() {}\n"
        );
        let found = named(text);
        let expected = [
            (Case('Q', 2), "q02_q03_one"),
            (Case('Q', 3), "q02_q03_one"),
            (Case('X', 1), "x01_two"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_case_that_nothing_is_said_of_is_a_fault() {
        let everything: Tests = all()
            .filter(|case| reason(*case).is_none())
            .map(|case| (case, vec![Shown { file: "f".into(), test: "t".into() }]))
            .collect();
        assert_eq!(faults(&everything), Vec::<String>::new());
        let mut lacking = everything;
        lacking.pop_first();
        assert_eq!(faults(&lacking).len(), 1);
    }
}
