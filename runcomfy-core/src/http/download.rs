//! Fetching the files that runs made: without the token, from wherever they are.

use std::fmt;

use reqwest::header::CONTENT_TYPE;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    api::HttpApi,
    clients::Purpose,
    proxy::Proxy,
    send::{BodyError, after, read_body},
    transport::causes,
};
use crate::error::BoxError;

/// A file that was fetched.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadedFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its media type, as its server says it; such as `image/png`.
    pub content_type: Option<String>,
}

impl fmt::Debug for DownloadedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Downloaded({:?}, {} bytes)", self.content_type, self.bytes.len())
    }
}

/// Why a file could not be fetched. Never holds the address, which may be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The address is none that files are fetched from.
    #[error("a file's address must be https, without user name or password")]
    InvalidUrl,
    /// The server answered with something else than a success. 403 and 404 are usual once a file has
    /// expired; a redirect is not followed.
    #[error("the file's server answered HTTP {status_code}")]
    Status {
        /// The HTTP status.
        status_code: u16,
    },
    /// No response, or not all of it, in time.
    #[error("the file did not arrive in time")]
    TimedOut,
    /// No secure connection.
    #[error("no secure connection to the file's server")]
    Tls(#[source] BoxError),
    /// The proxy on the way there can't be used, or fails. Nothing was asked of the file's server.
    #[error("the proxy on the way to the file's server can't be used: {message}")]
    #[non_exhaustive]
    Proxy {
        /// Which proxy, what names it and what is wrong; without user name and password.
        message: String,
        /// What lay beneath.
        #[source]
        source: Option<BoxError>,
    },
    /// It is larger than the caller allowed.
    #[error("the file is larger than {max_bytes} bytes")]
    TooLarge {
        /// What was allowed.
        max_bytes: usize,
    },
    /// The server can't be reached, or broke off.
    #[error("the file's server can't be reached or broke off")]
    Unavailable(#[source] BoxError),
}

impl HttpApi {
    /// Fetches a file that a run made, such as [`OutputFile::url`](crate::request::OutputFile::url), into memory.
    ///
    /// Such files need no token, and none is sent, wherever the address leads. The service keeps them for
    /// 7 days. One attempt within [`Timeouts::download`](super::Timeouts::download); redirects are not
    /// followed. The address must be https; http is allowed where both it and this client's base URL are
    /// on the loopback, as with an emulator.
    ///
    /// Dropping the future stops the transfer.
    ///
    /// # Errors
    /// [`DownloadError`], by what went wrong; `TimedOut`, `Unavailable` and `Proxy` may pass.
    pub async fn download(
        &self,
        url: &str,
        max_bytes: usize,
    ) -> Result<DownloadedFile, DownloadError> {
        let url = Url::parse(url).map_err(|_| DownloadError::InvalidUrl)?;
        if !self.state.base.may_download(&url) {
            return Err(DownloadError::InvalidUrl);
        }
        let purpose = if url.scheme() == "http" { Purpose::LocalFiles } else { Purpose::Files };
        let until = after(Instant::now(), self.state.settings.timeouts.download);
        let proxy = self
            .state
            .clients
            .proxy_for(&url)
            .map_err(|error| DownloadError::Proxy { message: error.to_string(), source: None })?;
        let broken = |error| broken(&url, proxy, error);
        let client = match timeout_at(until, self.state.clients.client(purpose)).await {
            Ok(client) => client.map_err(DownloadError::Tls)?,
            Err(_) => return Err(DownloadError::TimedOut),
        };
        let mut response = match timeout_at(until, client.get(url.clone()).send()).await {
            Ok(response) => response.map_err(broken)?,
            Err(_) => return Err(DownloadError::TimedOut),
        };
        let status_code = response.status().as_u16();
        if let (407, "http", Some(proxy)) = (status_code, url.scheme(), proxy) {
            // Without TLS there is no tunnel: the proxy answers in place of what it was to call.
            let message = proxy.wants_password().message;
            return Err(DownloadError::Proxy { message, source: None });
        }
        if !response.status().is_success() {
            return Err(DownloadError::Status { status_code });
        }
        if response.content_length().is_some_and(|length| length > max_bytes as u64) {
            return Err(DownloadError::TooLarge { max_bytes });
        }
        let (bytes, end) = read_body::<Vec<u8>>(&mut response, max_bytes, until).await;
        match end {
            Ok(()) => {}
            Err(BodyError::Cut(error)) => return Err(broken(error)),
            Err(BodyError::TimedOut) => return Err(DownloadError::TimedOut),
            Err(BodyError::TooLarge) => return Err(DownloadError::TooLarge { max_bytes }),
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        tracing::debug!(bytes = bytes.len(), "downloaded");
        Ok(DownloadedFile { bytes, content_type })
    }
}

fn broken(url: &Url, proxy: Option<&Proxy>, error: reqwest::Error) -> DownloadError {
    let failure = proxy.and_then(|proxy| proxy.failure(url, &error));
    let error = error.without_url();
    if let Some(failure) = failure {
        DownloadError::Proxy { message: failure.message, source: Some(error.into()) }
    } else if error.is_connect() && causes(&error).any(|cause| cause.is::<rustls::Error>()) {
        DownloadError::Tls(error.into())
    } else if error.is_timeout() {
        DownloadError::TimedOut
    } else {
        DownloadError::Unavailable(error.into())
    }
}
