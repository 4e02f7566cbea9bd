//! The client: whose account it acts for, and what its calls have in common.

use std::{fmt, sync::Arc};

use url::Url;

use super::{
    proxy::OutboundProxy,
    response::{DecodeContext, RawResponse},
    send::Call,
    state::ClientState,
};
use crate::{
    error::{Error, ErrorKind, Operation, Outcome},
    id::DeploymentId,
    token::Token,
};

/// RunComfy's Serverless API over HTTPS.
///
/// Cheap to clone: clones share their connections. Made with [`HttpApi::builder`]; nothing is loaded or
/// connected before the first call. It needs a tokio runtime with time and I/O.
///
/// Reads are retried after a passing failure. An update, a delete or a cancel whose response is lost is
/// looked up by reading, and sent again only where it shows no effect. A call that may start something
/// billed (submit, create, proxy) goes out on a connection of its own, and again only where the first is
/// certain to have had no effect. Redirects are not followed, and the token goes to the base URL and
/// nowhere else.
///
/// ```
/// use runcomfy_core::{HttpApi, Token};
///
/// let api = HttpApi::builder().token(Token::new("rc_0123456789")?).build()?;
/// assert_eq!(api.base_url().as_str(), "https://api.runcomfy.net/");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HttpApi {
    pub(super) state: Arc<ClientState>,
    pub(super) token: Option<Token>,
}

impl HttpApi {
    /// The same client acting with another token. Connections are shared, and the quota of retries that
    /// all callers have together; whatever is kept for a caller is kept by the token.
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        Self { state: Arc::clone(&self.state), token: Some(token) }
    }

    /// Where it calls: scheme, host and port.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        self.state.base.url()
    }

    /// Whether any text may be a token here, even one that
    /// [looks like a placeholder](Token::looks_like_placeholder): where the base URL's host is a loopback one,
    /// such as an emulator's.
    #[must_use]
    pub fn takes_any_token(&self) -> bool {
        self.state.base.is_local()
    }

    /// The proxy that calls go through, by [`HttpApiBuilder::proxy`](super::HttpApiBuilder::proxy) or the environment. `None` where they
    /// go directly: no proxy is named, or the base URL's host is one that is reached without.
    #[must_use]
    pub fn outbound_proxy(&self) -> Option<&OutboundProxy> {
        self.state.clients.proxy_for(self.base_url()).ok().flatten().map(|proxy| &proxy.shown)
    }

    /// How many tokens the quota of retries has left that all callers share; see
    /// [`RetryBudget`](crate::retry::RetryBudget). None for long means that the service is down.
    #[must_use]
    pub fn retry_tokens(&self) -> u32 {
        self.state.retry_buckets.available()
    }

    /// The token, or what a call without a usable one fails with.
    pub(super) fn token(&self, operation: Operation) -> Result<&Token, Error> {
        let unusable = |why: &str| {
            Error::new(operation, ErrorKind::Unauthenticated)
                .with_outcome(Outcome::NotSent)
                .with_message(why)
        };
        let token = self.token.as_ref().ok_or_else(|| unusable("no token is set"))?;
        if !self.takes_any_token() && Token::looks_like_placeholder(token.expose()) {
            return Err(unusable("the token looks like a placeholder that was not filled in"));
        }
        Ok(token)
    }

    /// Sends `call` with a deadline of its own.
    pub(super) async fn send<T>(
        &self,
        call: Call<'_>,
        read: impl Fn(&DecodeContext<'_>, RawResponse) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let token = self.token(call.operation).map_err(|error| call.with_ids(error))?;
        self.state.send(&call, token, self.state.deadline(call.operation), read).await
    }

    pub(super) fn deployments_url(&self) -> Url {
        self.state.base.join(["prod", "v2", "deployments"])
    }

    pub(super) fn deployment_url(&self, id: &DeploymentId) -> Url {
        self.state.base.join(["prod", "v2", "deployments", id.as_str()])
    }

    /// Submits, and questions about runs, whose version is a setting.
    pub(super) fn queue_url(&self, id: &DeploymentId, rest: &[&str]) -> Url {
        let version = self.state.settings.queue_api.as_str();
        let start = ["prod", version, "deployments", id.as_str()];
        self.state.base.join(start.iter().chain(rest).copied())
    }
}

impl fmt::Debug for HttpApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpApi")
            .field("base_url", &self.base_url().as_str())
            .finish_non_exhaustive()
    }
}
