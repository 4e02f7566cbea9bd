//! The API token.

mod placeholder;

use std::{fmt, str::FromStr};

use secrecy::{ExposeSecret, SecretString};

/// A RunComfy API token. `Debug` shows nothing of it, and memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Token(SecretString);

/// Text that is not a valid token. The message states the rule and never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token must be 1 to {} visible ASCII characters without spaces", Token::MAX_BYTES)]
pub struct InvalidToken;

impl Token {
    /// The longest token, in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// Takes a token exactly as it is.
    ///
    /// # Errors
    /// [`InvalidToken`] if it is empty, too long, or has a character that is no visible ASCII: such a
    /// text could end a header early or start another.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidToken> {
        let secret = SecretString::from(text.into());
        let text = secret.expose_secret();
        let fits = (1..=Self::MAX_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(secret)) } else { Err(InvalidToken) }
    }

    /// Whether a text, a token or none, looks like what stands in a configuration until a token is put in its
    /// place: `${RUNCOMFY_API_KEY}`, `%RUNCOMFY_API_KEY%`, `{{token}}`, `<token>`, `YOUR_API_KEY`,
    /// `your-token-here`, `changeme`, `xxxx`, `undefined`.
    ///
    /// A guess that holds back: text at random, with digits among its letters, is none. An
    /// [`HttpApi`](crate::http::HttpApi) sends no such token but to a loopback host, where any text may be one; what
    /// it says then is that the token has to be filled in, and not that a new one is needed.
    ///
    /// ```
    /// use runcomfy_core::Token;
    ///
    /// assert!(Token::looks_like_placeholder("${RUNCOMFY_API_KEY}"));
    /// assert!(Token::looks_like_placeholder("<your token>"));
    /// assert!(!Token::looks_like_placeholder("rc_0123456789"));
    /// ```
    #[must_use]
    pub fn looks_like_placeholder(text: &str) -> bool {
        placeholder::is_placeholder(text)
    }

    /// The secret itself: for the `Authorization` header and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_visible_ascii_and_nothing_else() {
        let check =
            |text: &str, accepted: bool| assert_eq!(Token::new(text).is_ok(), accepted, "{text:?}");
        check("rc_0123456789", true);
        check("user:grant:secret", true);
        for hostile in ["", " ", "a b", "a\tb", "a\r\nX: y", "é", "a\0", "a\u{7f}"] {
            check(hostile, false);
        }
        check(&"x".repeat(4096), true);
        check(&"x".repeat(4097), false);
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Token::new("SECRET").unwrap()), "Token(..)");
    }
}
