//! Whose token a call acts with. Never anybody else's.

use http::{HeaderMap, header::AUTHORIZATION};
use std::sync::Arc;

use runcomfy_core::{HttpApi, RunComfyApi, Token};

use crate::result::ToolError;

/// The trait object that a call acts through.
pub(crate) type Api = Arc<dyn RunComfyApi>;

/// On whose behalf calls are made.
#[derive(Clone)]
pub enum AuthMode {
    /// Everyone who can reach this server acts as one account: stdio, and a single user over HTTP.
    One(Api),
    /// Each caller acts with the token that came with the call.
    Each {
        /// Makes the calls, once it has a caller's token.
        api: HttpApi,
        /// What a caller without a token acts with. Only an emulator has such an account.
        anonymous: Option<Token>,
    },
    /// Nobody can act: what is configured as the one account's token is none.
    NotFilledIn {
        /// Where it stands, such as `the environment variable RUNCOMFY_API_KEY`.
        source: String,
    },
}

impl AuthMode {
    /// Whether a call over HTTP must bring its own token.
    #[must_use]
    pub fn need_token(&self) -> bool {
        matches!(self, Self::Each { anonymous: None, .. })
    }

    /// The token in the one `Authorization` header, if there is one.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Result<Option<Token>, BearerError> {
        let any = match self {
            Self::One(_) | Self::NotFilledIn { .. } => true,
            Self::Each { api, anonymous } => anonymous.is_some() || api.takes_any_token(),
        };
        bearer(headers, any)
    }

    /// RunComfy as the account of whoever sent these headers, with the token it acts with, where callers
    /// have tokens of their own.
    pub(crate) fn authenticate(
        &self,
        headers: Option<&HeaderMap>,
    ) -> Result<(Api, Option<Token>), ToolError> {
        match self {
            Self::One(api) => Ok((Api::clone(api), None)),
            Self::NotFilledIn { source } => Err(ToolError::placeholder(source)),
            Self::Each { api, anonymous } => {
                let own = headers
                    .map_or(Ok(None), |headers| self.bearer(headers))
                    .map_err(|error| ToolError::no_token(&error.to_string()))?;
                let token = own.or_else(|| anonymous.clone());
                let token = token.ok_or_else(|| {
                    ToolError::no_token(
                        "this server acts with each caller's own token, and none came",
                    )
                })?;
                Ok((std::sync::Arc::new(api.with_token(token.clone())), Some(token)))
            }
        }
    }
}

impl std::fmt::Debug for AuthMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "AuthMode::One",
            Self::Each { .. } => "AuthMode::Each",
            Self::NotFilledIn { .. } => "AuthMode::NotFilledIn",
        })
    }
}

/// Why an `Authorization` header is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BearerError {
    #[error("more than one Authorization header")]
    Many,
    #[error("the Authorization header is not of the form `Bearer TOKEN`")]
    Malformed,
    #[error("the Authorization header's scheme is not Bearer")]
    OtherScheme,
    #[error(
        "the token in the Authorization header looks like a placeholder that the client did not fill in: put your own \
         token in its place; you need no new one, which would revoke yours"
    )]
    Placeholder,
}

/// The same, where `any` text may be a token or where placeholders are none.
fn bearer(headers: &HeaderMap, any: bool) -> Result<Option<Token>, BearerError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(BearerError::Many);
    }
    let text = header.to_str().map_err(|_| BearerError::Malformed)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerError::OtherScheme);
    }
    let token = token.trim_start_matches(' ');
    if !any && Token::looks_like_placeholder(token) {
        return Err(BearerError::Placeholder);
    }
    // `Token` refuses the empty, and spaces within.
    Token::new(token).map(Some).map_err(|_| BearerError::Malformed)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(headers: &[&[u8]], expected: Result<Option<&str>, BearerError>) {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        let got = bearer(&map, false);
        let got =
            got.as_ref().map(|token| token.as_ref().map(Token::expose)).map_err(|error| *error);
        assert_eq!(got, expected, "{headers:?}");
    }

    #[test]
    fn exactly_one_well_formed_bearer_is_taken() {
        check(&[], Ok(None));
        check(&[b"Bearer tok"], Ok(Some("tok")));
        check(&[b"bearer tok"], Ok(Some("tok")));
        check(&[b"BEARER  tok"], Ok(Some("tok")));
        check(&[b"Bearer tok", b"Bearer tok"], Err(BearerError::Many));
        check(&[b"Basic dXNlcg=="], Err(BearerError::OtherScheme));
        for malformed in [
            &b"Bearer"[..],
            b"Bearer ",
            b"Bearer a b",
            b"Bearer a,b c",
            b"Bearer a\tb",
            "Bearer é".as_bytes(),
        ] {
            check(&[malformed], Err(BearerError::Malformed));
        }
        check(&[format!("Bearer {}", "t".repeat(4097)).as_bytes()], Err(BearerError::Malformed));
    }

    #[test]
    fn a_placeholder_is_told_from_a_token_but_where_any_text_may_be_one() {
        for text in ["Bearer ${RUNCOMFY_API_KEY}", "Bearer <your token>", "bearer {{ token }}"] {
            check(&[text.as_bytes()], Err(BearerError::Placeholder));
        }
        let mut map = HeaderMap::new();
        map.append(AUTHORIZATION, HeaderValue::from_static("Bearer <token>"));
        assert_eq!(bearer(&map, true).unwrap().unwrap().expose(), "<token>");
    }
}
