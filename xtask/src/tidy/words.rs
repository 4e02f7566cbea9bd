//! Words that were the project's own, where the field has a term.

/// The crate, the folder or file within `src` that a word is retired in (empty: everywhere), the word, and what
/// to say in its place. Another module may need the same word in its plain sense.
const RETIRED: &[(&str, &str, &str, &str)] = &[];

/// The words among the names that a crate declares, which are given with the module that declares them.
pub(super) fn retired(
    folder: &str,
    declared: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let mut faults: Vec<_> = declared
        .filter_map(|(module, name)| {
            let (.., right) = RETIRED.iter().find(|(one, within, word, _)| {
                *one == folder && module.starts_with(within) && *word == name
            })?;
            Some(format!("{module} declares `{name}`: say `{right}`"))
        })
        .collect();
    faults.dedup();
    faults
}
