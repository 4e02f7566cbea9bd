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
    pub(super) token: Token,
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

/// Looks for a token. None at all is no error: tools can be listed without one.
///
/// # Errors
/// Where one is set but can't be a token. The message names its source, never its value.
pub(super) fn find() -> anyhow::Result<Option<Found>> {
    for name in VARIABLES {
        let Some(value) = env::var_os(name) else { continue };
        let value = value.into_string().ok().with_context(|| format!("{name} is no text"))?;
        if let Some(token) = tidy(&value).with_context(|| format!("{name} can't be a token"))? {
            return Ok(Some(Found { token, source: Source::Variable(name) }));
        }
    }
    match cli_file() {
        Some(path) if path.is_file() => from_file(path),
        _ => Ok(None),
    }
}

/// The variable that has a token, if one has.
pub(super) fn in_environment() -> Option<&'static str> {
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    VARIABLES.into_iter().find(is_set)
}

/// The token in a text as people paste it; `None` where it is blank.
fn tidy(text: &str) -> anyhow::Result<Option<Token>> {
    let text = text.trim();
    let text = match text.get(..7) {
        Some(prefix) if prefix.eq_ignore_ascii_case("bearer ") => {
            tracing::warn!("the token starts with \"Bearer\": that part is left out");
            text[7..].trim_start()
        }
        _ => text,
    };
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
        bail!("it has quotes around it: remove them");
    }
    Ok(Some(Token::new(text)?))
}

#[derive(Deserialize)]
struct TokenFile {
    access_token: String,
}

fn from_file(path: PathBuf) -> anyhow::Result<Option<Found>> {
    let read = || -> anyhow::Result<Option<Token>> {
        let text = fs::read_to_string(&path)?;
        // serde's own message could show a piece of the token.
        let file: TokenFile =
            serde_json::from_str(&text).ok().context("it is not the JSON that the CLI writes")?;
        tidy(&file.access_token)
    };
    let token =
        read().with_context(|| format!("could not read the token in {}", path.display()))?;
    Ok(token.map(|token| Found { token, source: Source::File(path) }))
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
        let token = tidy(text).unwrap();
        assert_eq!(token.as_ref().map(Token::expose), expected, "{text:?}");
    }

    #[test]
    fn h11_a_token_is_taken_as_people_paste_it() {
        check("tok\n", Some("tok"));
        check("  tok  ", Some("tok"));
        check("Bearer tok", Some("tok"));
        check("", None);
        check("  \n", None);
    }

    #[test]
    fn h11_what_can_be_no_token_is_refused_without_showing_it() {
        for text in ["\"SECRET\"", "'SECRET'", "SECRET SECRET", "SECRETé"] {
            let error = format!("{:#}", tidy(text).unwrap_err());
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}
