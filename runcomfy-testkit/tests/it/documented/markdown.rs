//! The little of Markdown that a test must read.

/// A text in Markdown.
pub(super) struct Document(pub(super) &'static str);

/// A fenced block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) language: &'static str,
    pub(super) text: &'static str,
}

impl Document {
    /// The headings, without their marks.
    pub(super) fn headings(&self) -> impl Iterator<Item = &'static str> {
        self.prose().filter(|line| line.starts_with('#')).map(|line| line.trim_matches(['#', ' ']))
    }

    /// What stands below this heading, up to the next of the same rank or above.
    fn section(&self, heading: &str) -> &'static str {
        let rank = |line: &str| line.chars().take_while(|c| *c == '#').count();
        let start = self.0.find(&format!("\n{heading}\n"));
        let start = start.unwrap_or_else(|| panic!("no heading {heading}"));
        let rest = &self.0[start + heading.len() + 2..];
        let mut fenced = false;
        let mut length = 0;
        for line in rest.split_inclusive('\n') {
            fenced ^= line.starts_with("```");
            if !fenced && (1..=rank(heading)).contains(&rank(line)) {
                break;
            }
            length += line.len();
        }
        &rest[..length]
    }

    /// The fenced blocks of a section, in order.
    pub(super) fn blocks(&self, heading: &str) -> Vec<Block> {
        let mut parts = self.section(heading).split("```");
        // Before the first fence, and then in turn what is within and what is between.
        parts.next();
        let mut blocks = Vec::new();
        while let (Some(within), Some(_)) = (parts.next(), parts.next()) {
            let (language, text) = within.split_once('\n').unwrap();
            blocks.push(Block { language, text });
        }
        blocks
    }

    /// The rows of the table whose head begins so.
    pub(super) fn table(&self, head: &str) -> Vec<&'static str> {
        let mut lines = self.0.lines().skip_while(|line| !line.starts_with(head));
        assert!(lines.next().is_some_and(|_| lines.next().is_some()), "no table {head}");
        lines.take_while(|line| line.starts_with('|')).collect()
    }

    /// The rows of all tables of a section.
    pub(super) fn tables(&self, heading: &str) -> Vec<&'static str> {
        let rows = self.section(heading).lines().filter(|line| line.starts_with("| `"));
        rows.collect()
    }

    /// Where its links lead, but for those that leave the project.
    pub(super) fn links(&self) -> Vec<&'static str> {
        let ends = self.prose().flat_map(|line| line.split("](").skip(1));
        let targets = ends.filter_map(|end| end.split_once(')')).map(|(target, _)| target);
        targets.filter(|target| !target.contains("://")).collect()
    }

    /// The lines outside of fences.
    fn prose(&self) -> impl Iterator<Item = &'static str> {
        let mut fenced = false;
        self.0.lines().filter(move |line| {
            let fence = line.starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
    }
}

/// What a heading goes by in links.
pub(super) fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
