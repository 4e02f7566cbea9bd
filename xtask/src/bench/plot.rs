//! Bars, as SVG: one row for each contestant, on a scale by powers of ten where the values lie far apart.

use std::fmt::Write as _;

use super::{
    contestant::OURS,
    figures::{Figure, number},
};

const WIDTH: f64 = 720.0;
/// Where bars begin and end.
const FROM: f64 = 110.0;
const TO: f64 = 600.0;
const ROW: f64 = 24.0;
const HEAD: f64 = 34.0;

/// These figures below one another, each with a scale of its own.
pub(super) fn bars(figures: &[&Figure]) -> String {
    let mut body = String::new();
    let mut y = 10.0;
    for figure in figures {
        let values: Vec<(&str, f64)> = figure
            .values
            .iter()
            .filter(|(_, value)| value.is_finite() && *value > 0.0)
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        if values.is_empty() {
            continue;
        }
        let scale = Scale::of(&values);
        let unit =
            if figure.unit.is_empty() { String::new() } else { format!(", {}", figure.unit) };
        let by = if scale.by_tens { " (scale by powers of ten)" } else { "" };
        let title = figure.what.replace('`', "");
        let _ = writeln!(
            body,
            r#"<text x="10" y="{:.0}" font-weight="bold">{}{unit}{by}</text>"#,
            y + 16.0,
            escaped(&title)
        );
        y += HEAD;
        for (name, value) in values {
            let end = scale.place(value);
            let colour = if name == OURS { "#b7410e" } else { "#7a8b99" };
            let _ = writeln!(
                body,
                r#"<text x="{:.0}" y="{:.0}" text-anchor="end">{}</text><rect x="{FROM}" y="{:.0}" width="{:.1}" height="16" fill="{colour}"/><text x="{:.1}" y="{:.0}">{}</text>"#,
                FROM - 8.0,
                y + 3.0,
                escaped(name),
                y - 10.0,
                end - FROM,
                end + 6.0,
                y + 3.0,
                number(value)
            );
            y += ROW;
        }
        y += 8.0;
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y:.0}" viewBox="0 0 {WIDTH} {y:.0}" font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>
{body}</svg>
"#
    )
}

struct Scale {
    by_tens: bool,
    least: f64,
    most: f64,
}

impl Scale {
    fn of(values: &[(&str, f64)]) -> Self {
        let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let least = values.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        let by_tens = most > 30.0 * least;
        let least = if by_tens { 10_f64.powf((least.log10() - 0.2).floor()) } else { 0.0 };
        Self { by_tens, least, most }
    }

    fn place(&self, value: f64) -> f64 {
        let share = if self.by_tens {
            (value / self.least).log10() / (self.most / self.least).log10()
        } else {
            value / self.most
        };
        FROM + (TO - FROM) * share
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_within_the_picture_and_in_order() {
        for values in [[("a", 1.0), ("b", 2.0)], [("a", 0.5), ("b", 40_000.0)]] {
            let scale = Scale::of(&values);
            let [small, large] = values.map(|(_, value)| scale.place(value));
            assert!(FROM < small && small < large && large <= TO, "{small} {large}");
        }
    }
}
