//! What was found, as a table.

use std::fmt::Write as _;

use super::{
    contestant::{BARE, DIRECT, HOP, OURS},
    figures::{Figure, number},
};

/// The figures, one a line, as Markdown.
pub(super) fn of(figures: &[Figure], notes: &[String]) -> String {
    // Ours and those that it is compared with first, whoever was measured first.
    let mut names: Vec<&str> = vec![OURS, DIRECT, HOP, BARE];
    for (name, _) in figures.iter().flat_map(|figure| &figure.values) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut text = String::from("| Figure | Unit |");
    for name in &names {
        let _ = write!(text, " {name} |");
    }
    let _ = writeln!(text, " ours ÷ {DIRECT} | ÷ {HOP} | ÷ {BARE} | Target | | `--only` |");
    let _ = writeln!(text, "|---|---|{}", "---:|".repeat(names.len() + 3) + "---|---|---|");
    for figure in figures {
        let _ = write!(text, "| {} | {} |", figure.what, figure.unit);
        for name in &names {
            let value = figure.of(name).map_or_else(|| "–".to_owned(), number);
            let flawed = if figure.is_flawed(name) { " ⚠" } else { "" };
            let _ = write!(text, " {value}{flawed} |");
        }
        for name in [DIRECT, HOP, BARE] {
            let ratio = figure.times(name).map_or_else(|| "–".to_owned(), number);
            let _ = write!(text, " {ratio} |");
        }
        let held = match figure.held() {
            Some(true) => "held",
            Some(false) => "**not held**",
            None => "",
        };
        let _ = writeln!(text, " {} | {held} | {} |", figure.aim(), figure.part);
    }
    for note in notes {
        let _ = write!(text, "\n- {note}");
    }
    text
}
