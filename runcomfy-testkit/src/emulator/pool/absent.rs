//! No pool: what runs requests on ComfyUI servers is not compiled in.

use axum::{body::Bytes, http::Method, response::Response};
use runcomfy_core::{ProxyCall, RequestId};
use serde_json::Value;

use crate::{emulator::wire, fake::FakeRunComfy};

/// There is none to have.
pub(in crate::emulator) enum Pool {}

impl Pool {
    pub(in crate::emulator) fn submit(&self, _: &FakeRunComfy, _: &RequestId) {
        match *self {}
    }

    pub(in crate::emulator) fn cancel(&self, _: &RequestId) {
        match *self {}
    }

    pub(in crate::emulator) async fn object_info(&self) -> Option<Bytes> {
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
        _: Option<&Value>,
    ) -> Result<Response, wire::Refusal> {
        match *self {}
    }
}
