//! `docs/threats.md`: each row names tests that exist, or says that there is none, so that the table can't go stale.

use std::collections::HashMap;

use super::functions;

/// The table, from the root.
pub(super) const PAGE: &str = "docs/threats.md";

/// What a row begins its last cell with if no test shows what it says.
const WITHOUT_A_TEST: [&str; 2] = ["not tested: ", "by hand: "];

/// What is wrong with the page. `read` gives the text of a file, by its path from the root.
pub(super) fn check(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut sources = HashMap::new();
    let mut faults = Vec::new();
    let mut rows = 0;
    for row in page.lines().filter(|line| is_row(line)) {
        rows += 1;
        match tests_of(row) {
            Ok(tests) => faults.extend(tests.into_iter().filter_map(|(test, file)| {
                let source = sources.entry(file).or_insert_with(|| read(file));
                let found =
                    source.as_deref().is_some_and(|text| functions(text).any(|name| name == test));
                (!found).then(|| format!("{PAGE}: no `fn {test}` in {file}: correct the row"))
            })),
            Err(why) => faults.push(format!("{PAGE}: {why}: {row}")),
        }
    }
    if rows == 0 {
        faults.push(format!("{PAGE}: has no row"));
    }
    faults
}

/// Whether a line is a row of a table, and neither its head nor the line below that.
fn is_row(line: &str) -> bool {
    line.starts_with('|') && !line.starts_with("|--") && !line.starts_with("| What could happen |")
}

/// The tests that a row names, each with its file; none where it says that there is none.
fn tests_of(row: &str) -> Result<Vec<(&str, &str)>, &'static str> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [hazard, prevention, shown] = cells[..] else { return Err("a row has three cells") };
    if hazard.is_empty() || prevention.is_empty() {
        return Err("a row says what could happen, and what prevents it");
    }
    if WITHOUT_A_TEST.iter().any(|words| shown.starts_with(words)) {
        return Ok(Vec::new());
    }
    shown.split("<br>").map(link).collect::<Option<_>>().ok_or(
        "the last cell is [`test`](../file), joined by <br>, or `not tested: …`, `by hand: …`",
    )
}

/// Reads ``[`test`](../file)``.
fn link(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("[`")?.strip_suffix(')')?.split_once("`](../")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| What could happen | What prevents it | Shown by |\n|---|---|---|\n";

    /// How many faults these rows have, where `a.rs` holds the functions `one` and `two`.
    #[track_caller]
    fn check_rows(rows: &str, expected: usize) {
        let source = "#[test]\nfn one() {}\nasync fn two<T>() {}\n// fn three\n";
        let read = |file: &str| (file == "a.rs").then(|| source.to_owned());
        let faults = check(&format!("{HEAD}{rows}"), read);
        assert_eq!(faults.len(), expected, "{rows}: {faults:?}");
    }

    #[test]
    fn a_test_that_is_there_is_found_in_its_file_and_nowhere_else() {
        check_rows("| a | b | [`one`](../a.rs) |", 0);
        check_rows("| a | b | [`one`](../a.rs)<br>[`two`](../a.rs) |", 0);
        check_rows("| a | b | [`one`](../b.rs) |", 1);
        check_rows("| a | b | [`on`](../a.rs)<br>[`ones`](../a.rs) |", 2);
        check_rows("| a | b | [`three`](../a.rs) |", 1);
    }

    #[test]
    fn a_row_without_a_test_says_so() {
        check_rows("| a | b | not tested: nobody can |", 0);
        check_rows("| a | b | by hand: `cargo xtask soak` |", 0);
        check_rows("| a | b |  |", 1);
        check_rows("| a | b | `one` |", 1);
        check_rows("| a | b | [`one`](../a.rs), [`two`](../a.rs) |", 1);
    }

    #[test]
    fn a_row_has_its_three_cells_and_the_table_has_rows() {
        check_rows("| a | [`one`](../a.rs) |", 1);
        check_rows("|  | b | [`one`](../a.rs) |", 1);
        check_rows("| a |  | [`one`](../a.rs) |", 1);
        check_rows("", 1);
    }
}
