//! No pool: what runs requests on ComfyUI servers is not compiled in.

use std::sync::Arc;

use axum::{body::Bytes, http::Method, response::Response};
use runcomfy_core::{ProxyCall, ProxyPath};
use serde_json::Value;

use crate::{emulator::wire, fake::FakeRunComfy};

/// There is none to have.
pub(in crate::emulator) enum Pool {}

/// Nobody.
pub(in crate::emulator) enum Workers {}

/// As where there is one.
#[derive(Clone, Copy)]
pub(in crate::emulator) enum ProxyBody<'a> {
    Json(Option<&'a Value>),
    Form(&'a str, &'a Bytes),
}

/// Nobody takes anything.
pub(in crate::emulator) fn takes_forms(_: &ProxyPath) -> bool {
    false
}

impl Workers {
    pub(in crate::emulator) async fn stop(self) {
        match self {}
    }
}

impl Pool {
    pub(in crate::emulator) fn take_over<'a>(&self, _: impl IntoIterator<Item = &'a FakeRunComfy>) {
        match *self {}
    }

    pub(in crate::emulator) fn work(self: Arc<Self>) -> Workers {
        match *self {}
    }

    pub(in crate::emulator) async fn object_info(&self) -> Result<Bytes, String> {
        match *self {}
    }

    pub(in crate::emulator) fn overview(&self) -> Value {
        match *self {}
    }

    pub(in crate::emulator) async fn pass_on(
        &self,
        _: &FakeRunComfy,
        _: &ProxyCall,
        _: &Method,
        _: Option<&str>,
        _: ProxyBody<'_>,
    ) -> Result<Response, wire::Refusal> {
        match *self {}
    }
}
