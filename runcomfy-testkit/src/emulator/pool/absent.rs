//! Stubs of `pool` for builds without the feature `comfyui`.

use std::sync::Arc;

use axum::{body::Bytes, http::Method, response::Response};
use runcomfy_core::instance::{ProxyCall, ProxyPath};
use serde_json::Value;

use crate::{emulator::encode, fake::FakeRunComfy};

pub(in crate::emulator) use self::{
    NoPool as Pool, NoWorkers as Workers, UnusedProxyBody as ProxyBody,
};

/// Cannot be constructed.
pub(in crate::emulator) enum NoPool {}

/// Cannot be constructed.
pub(in crate::emulator) enum NoWorkers {}

/// The body type of `comfyui::ProxyBody`.
#[derive(Clone, Copy)]
pub(in crate::emulator) enum UnusedProxyBody<'a> {
    Json(Option<&'a Value>),
    Form(&'a str, &'a Bytes),
}

/// Without ComfyUI no route takes forms.
pub(in crate::emulator) fn takes_forms(_: &ProxyPath) -> bool {
    false
}

impl NoWorkers {
    pub(in crate::emulator) async fn stop(self) {
        match self {}
    }
}

impl NoPool {
    pub(in crate::emulator) fn resume_open_runs<'a>(
        &self,
        _: impl IntoIterator<Item = &'a FakeRunComfy>,
    ) {
        match *self {}
    }

    pub(in crate::emulator) fn start_workers(self: Arc<Self>) -> NoWorkers {
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
        _: UnusedProxyBody<'_>,
    ) -> Result<Response, encode::ErrorResponse> {
        match *self {}
    }
}
