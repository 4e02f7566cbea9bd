//! Errors below HTTP: their kind, and whether the request can have been sent.

use std::{error::Error as StdError, io};

use url::Url;

use super::proxy::{Proxy, ProxyFailure};
use crate::error::{Error, ErrorKind, Operation, Outcome};

/// What a failure beneath HTTP means, met on the way to `target` by way of a proxy, if there is one. Only
/// what is certain not to have left counts as not sent.
pub(super) fn failure(
    operation: Operation,
    target: &Url,
    proxy: Option<&Proxy>,
    error: reqwest::Error,
) -> Error {
    if let Some(failure) = proxy.and_then(|proxy| proxy.failure(target, &error)) {
        return failed_proxy(operation, failure).with_source(error.without_url());
    }
    let (kind, outcome) = meaning(&error);
    let failed = Error::new(operation, kind).with_outcome(outcome);
    let failed = match proxy {
        Some(proxy) => failed.with_message(format!("by way of the proxy {}", proxy.shown)),
        None => failed,
    };
    failed.with_source(error.without_url())
}

/// A call that the proxy did not let through.
pub(super) fn failed_proxy(operation: Operation, failure: ProxyFailure) -> Error {
    Error::new(operation, failure.kind).with_outcome(Outcome::NotSent).with_message(failure.message)
}

fn meaning(error: &reqwest::Error) -> (ErrorKind, Outcome) {
    let is = |test: fn(&hyper::Error) -> bool| {
        causes(error).filter_map(|cause| cause.downcast_ref()).any(test)
    };
    if error.is_connect() {
        // A certificate stays wrong; a connection that broke off during the handshake may not.
        let tls = causes(error).any(|cause| cause.is::<rustls::Error>());
        let kind = if tls { ErrorKind::UpstreamTls } else { ErrorKind::UpstreamUnavailable };
        (kind, Outcome::NotSent)
    } else if is(hyper::Error::is_canceled) {
        // The connection closed before a byte of the request was written.
        (ErrorKind::UpstreamUnavailable, Outcome::NotSent)
    } else if error.is_builder() {
        (ErrorKind::InvalidArgument, Outcome::NotSent)
    } else if error.is_timeout() {
        (ErrorKind::TimedOut, Outcome::Unknown)
    } else if is(hyper::Error::is_parse) || (error.is_decode() && !broke_off(error)) {
        (ErrorKind::UpstreamProtocol, Outcome::Unknown)
    } else {
        // Reset or closed: an incomplete answer does not tell whether the whole request arrived.
        (ErrorKind::UpstreamUnavailable, Outcome::Unknown)
    }
}

fn broke_off(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(|e| e.is_incomplete_message() || e.is_closed())
            || cause.downcast_ref::<io::Error>().is_some_and(|e| {
                matches!(
                    e.kind(),
                    io::ErrorKind::BrokenPipe
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::UnexpectedEof
                )
            })
    })
}

/// An error's causes. What an `io::Error` wraps is one of them, although its `source` skips it.
pub(super) fn causes<'a>(
    error: &'a reqwest::Error,
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    fn next<'a>(cause: &&'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        match (**cause).downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as _),
            None => (**cause).source(),
        }
    }
    std::iter::successors(error.source(), next)
}
