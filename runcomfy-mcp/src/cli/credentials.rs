//! Where the token comes from: the environment, then the file of RunComfy's own CLI.

use std::{env, fmt, fs, path::PathBuf};

use anyhow::{Context, bail};
use runcomfy_core::Token;
use serde::Deserialize;

/// The variables that may hold the token, the first that is set winning.
pub(super) const VARIABLES: [&str; 2] = ["RUNCOMFY_API_KEY", "RUNCOMFY_TOKEN"];

/// A token and where it was found.
#[derive(Debug)]
pub(super) struct Found {
    /// `None` where a placeholder stands in its place.
    pub(super) token: Option<Token>,
    pub(super) source: Source,
}

/// Where a token was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Variable(&'static str),
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the RunComfy CLI's file {}", path.display()),
        }
    }
}

/// Looks for a token. None at all is no error: tools can be listed without one. A placeholder counts as found:
/// another account's token is no replacement for one that was to be filled in. Where `any` text may be a
/// token, it is one.
///
/// # Errors
/// Where one is set but can't be a token. The message names its source, never its value.
pub(super) fn find(any: bool) -> anyhow::Result<Option<Found>> {
    for name in VARIABLES {
        let Some(value) = env::var_os(name) else { continue };
        let value = value.into_string().ok().with_context(|| format!("{name} is no text"))?;
        let text = tidy(&value, any).with_context(|| format!("{name} can't be a token"))?;
        if let Some(token) = text.found() {
            return Ok(Some(Found { token, source: Source::Variable(name) }));
        }
    }
    match cli_file() {
        Some(path) if path.is_file() => from_file(path, any),
        _ => Ok(None),
    }
}

/// The variable that has a token, if one has.
pub(super) fn in_environment() -> Option<&'static str> {
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    VARIABLES.into_iter().find(is_set)
}

/// What a text is that should be a token.
enum Tidied {
    Blank,
    Placeholder,
    Token(Token),
}

impl Tidied {
    /// The token, or `None` inside for a placeholder.
    fn found(self) -> Option<Option<Token>> {
        match self {
            Self::Blank => None,
            Self::Placeholder => Some(None),
            Self::Token(token) => Some(Some(token)),
        }
    }
}

/// The token in a text as people paste it. Where `any` text may be one, none is a placeholder.
fn tidy(text: &str, any: bool) -> anyhow::Result<Tidied> {
    let text = text.trim();
    let text = match text.get(..7) {
        Some(prefix) if prefix.eq_ignore_ascii_case("bearer ") => {
            tracing::warn!("the token starts with \"Bearer\": that part is left out");
            text[7..].trim_start()
        }
        _ => text,
    };
    if text.is_empty() {
        return Ok(Tidied::Blank);
    }
    if !any && Token::looks_like_placeholder(text) {
        return Ok(Tidied::Placeholder);
    }
    if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
        bail!("it has quotes around it: remove them");
    }
    Ok(Tidied::Token(Token::new(text)?))
}

#[derive(Deserialize)]
struct TokenFile {
    access_token: String,
}

fn from_file(path: PathBuf, any: bool) -> anyhow::Result<Option<Found>> {
    let read = || -> anyhow::Result<Tidied> {
        let text = fs::read_to_string(&path)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        // serde's own message could show a piece of the token.
        let file: TokenFile =
            serde_json::from_str(text).ok().context("it is not the JSON that the CLI writes")?;
        tidy(&file.access_token, any)
    };
    let text = read().with_context(|| format!("could not read the token in {}", path.display()))?;
    Ok(text.found().map(|token| Found { token, source: Source::File(path) }))
}

fn cli_file() -> Option<PathBuf> {
    let folder =
        |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = folder("RUNCOMFY_CONFIG_DIR")
        .or_else(|| folder("XDG_CONFIG_HOME").map(|path| path.join("runcomfy")))
        .or_else(|| {
            folder("HOME")
                .or_else(|| folder("USERPROFILE"))
                .map(|path| path.join(".config/runcomfy"))
        })?;
    Some(folder.join("token.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let token = tidy(text, false).unwrap().found().flatten();
        assert_eq!(token.as_ref().map(Token::expose), expected, "{text:?}");
    }

    #[test]
    fn a_token_is_taken_as_people_paste_it() {
        check("tok\n", Some("tok"));
        check("  tok  ", Some("tok"));
        check("Bearer tok", Some("tok"));
        check("", None);
        check("  \n", None);
    }

    #[test]
    fn a_placeholder_is_found_as_such_but_where_any_text_may_be_a_token() {
        for text in ["${X}", "Bearer <your token>", "\"${X}\"", "YOUR_API_KEY\n"] {
            assert!(matches!(tidy(text, false), Ok(Tidied::Placeholder)), "{text}");
        }
        assert!(matches!(tidy("YOUR_API_KEY", true), Ok(Tidied::Token(_))));
    }

    #[test]
    fn what_can_be_no_token_is_refused_without_showing_it() {
        for text in ["\"SECRET\"", "'SECRET'", "SECRET SECRET", "SECRETé"] {
            let error = format!("{:#}", tidy(text, false).err().unwrap());
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}
