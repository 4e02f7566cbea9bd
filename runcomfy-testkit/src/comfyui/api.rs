//! ComfyUI's HTTP routes, each as a method with a timeout and a size limit.

use std::{fmt, path::Path, time::Duration};

use axum::body::Bytes;
use reqwest::{
    Client, RequestBuilder, Response, Url,
    header::CONTENT_TYPE,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::{
    error::{ComfyError, ComfyErrorKind},
    identity::{Identity, Listed},
    job::FileKind,
    json,
    options::{ComfyOptions, Limits, Times},
};
use crate::outgoing;

/// The HTTP client of one server.
#[derive(Debug)]
pub(super) struct Api {
    base: Url,
    /// The base URL without credentials.
    name: String,
    http: Client,
    limits: Limits,
    times: Times,
}

/// A response.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// The position of a job in the server's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobPosition {
    Pending,
    Running,
}

/// Why a file was not copied.
pub(super) enum CopyError {
    Disk(std::io::Error),
    Comfy(ComfyError),
}

impl Api {
    pub(super) fn new(base: Url, options: &ComfyOptions) -> Result<Self, ComfyError> {
        let mut shown = base.clone();
        // Both fail for URLs that cannot have credentials, and those are refused below.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_query(None);
        shown.set_fragment(None);
        let name = shown.as_str().trim_end_matches('/').to_owned();
        let unusable =
            |why: &dyn fmt::Display| ComfyError::new(ComfyErrorKind::Unusable, &name, why);
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(unusable(&"its URL must begin with http:// or https://"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(unusable(&"its URL must have no query and no fragment"));
        }
        let builder = match base.scheme() {
            // Works on machines without certificates.
            "http" => outgoing::plain_builder(options.times.connect),
            _ => outgoing::builder(options.times.connect),
        };
        let http = builder.and_then(|builder| Ok(builder.no_proxy().build()?));
        let http = http.map_err(|error| unusable(&error))?;
        let (limits, times) = (options.limits.clone(), options.times.clone());
        Ok(Self { base, name, http, limits, times })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn http(&self) -> &Client {
        &self.http
    }

    pub(super) fn times(&self) -> &Times {
        &self.times
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn error(&self, kind: ComfyErrorKind, detail: impl fmt::Display) -> ComfyError {
        ComfyError::new(kind, &self.name, detail)
    }

    /// The URL of a route, with encoded segments.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(super) async fn get(&self, segments: &[&str]) -> Result<Value, ComfyError> {
        self.parsed(&self.get_bytes(segments).await?)
    }

    pub(super) async fn get_bytes(&self, segments: &[&str]) -> Result<Vec<u8>, ComfyError> {
        self.good(self.call(self.http.get(self.url(segments))).await?)
    }

    pub(super) async fn post(&self, segments: &[&str], body: &Value) -> Result<Reply, ComfyError> {
        let request = self.http.post(self.url(segments)).header(CONTENT_TYPE, "application/json");
        self.call(request.body(body.to_string())).await
    }

    /// Sends a request and reads the whole response, whatever its status.
    pub(super) async fn call(&self, request: RequestBuilder) -> Result<Reply, ComfyError> {
        self.call_within(self.times.call, request).await
    }

    /// Like `call`, with another timeout.
    pub(super) async fn call_within(
        &self,
        time: Duration,
        request: RequestBuilder,
    ) -> Result<Reply, ComfyError> {
        self.in_time(time, self.answered(request)).await
    }

    async fn answered(&self, request: RequestBuilder) -> Result<Reply, ComfyError> {
        let mut response = self.sent(request).await?;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            if (bytes.len() + chunk.len()) as u64 > self.limits.json {
                return Err(self.error(ComfyErrorKind::TooLarge, "the response exceeds the limit"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Reply { status, content_type, bytes })
    }

    pub(super) async fn in_time<T>(
        &self,
        time: Duration,
        call: impl Future<Output = Result<T, ComfyError>>,
    ) -> Result<T, ComfyError> {
        timeout(time, call).await.unwrap_or_else(|_| {
            let seconds = time.as_secs();
            Err(self
                .error(ComfyErrorKind::TimedOut, format_args!("a call took more than {seconds} s")))
        })
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response, ComfyError> {
        request.send().await.map_err(|error| ComfyError::of_call(&self.name, error))
    }

    async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, ComfyError> {
        response.chunk().await.map_err(|error| ComfyError::of_call(&self.name, error))
    }

    fn good(&self, reply: Reply) -> Result<Vec<u8>, ComfyError> {
        if reply.status == 200 { Ok(reply.bytes) } else { Err(self.bad_status(&reply)) }
    }

    /// The error for a response with an unexpected status.
    pub(super) fn bad_status(&self, reply: &Reply) -> ComfyError {
        let text = String::from_utf8_lossy(&reply.bytes);
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("without a message");
        self.error(ComfyErrorKind::Status(reply.status), line)
    }

    pub(super) fn parsed(&self, bytes: &[u8]) -> Result<Value, ComfyError> {
        json::read(bytes).map_err(|error| {
            self.error(ComfyErrorKind::Unusable, format_args!("the response is not JSON: {error}"))
        })
    }

    /// The history entry of a job. `None` before the job is over, or if the entry belongs to another job.
    pub(super) async fn history(&self, identity: &Identity) -> Result<Option<Value>, ComfyError> {
        let prompt_id = identity.prompt_id.as_str();
        let mut history = self.get(&["history", prompt_id]).await?;
        let entry = history.get_mut(prompt_id).map(Value::take).filter(Value::is_object);
        let is_it = |entry: &Value| {
            let listed = entry.get("prompt").and_then(Listed::read);
            listed.is_none_or(|listed| identity.is(&listed))
        };
        Ok(entry.filter(is_it))
    }

    /// The running and the pending jobs.
    pub(super) async fn queue(&self) -> Result<Vec<(JobPosition, Listed)>, ComfyError> {
        let queue = self.get(&["queue"]).await?;
        let mut jobs = Vec::new();
        for (place, key) in
            [(JobPosition::Running, "queue_running"), (JobPosition::Pending, "queue_pending")]
        {
            let Some(items) = queue.get(key).and_then(Value::as_array) else {
                return Err(self.error(ComfyErrorKind::Unusable, "its /queue is not ComfyUI's"));
            };
            jobs.extend(items.iter().filter_map(|item| Some((place, Listed::read(item)?))));
        }
        Ok(jobs)
    }

    /// Removes a job from the queue if it is pending.
    pub(super) async fn delete(&self, prompt_id: &str) -> Result<(), ComfyError> {
        self.good(self.post(&["queue"], &json!({"delete": [prompt_id]})).await?).map(drop)
    }

    /// Interrupts a running job. Older servers interrupt whichever job runs, so the caller must know that it
    /// is this one.
    pub(super) async fn interrupt(&self, prompt_id: &str) -> Result<(), ComfyError> {
        self.good(self.post(&["interrupt"], &json!({"prompt_id": prompt_id})).await?).map(drop)
    }

    /// Uploads a file into the job's input folder. Returns the name for the node's input.
    pub(super) async fn upload(
        &self,
        prompt_id: &str,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<String, ComfyError> {
        let form = Form::new()
            .part("image", Part::bytes(bytes).file_name(name.to_owned()))
            .text("subfolder", format!("req-{prompt_id}"))
            .text("type", "input")
            .text("overwrite", "true");
        let request = self.http.post(self.url(&["upload", "image"])).multipart(form);
        // A file may be large, so this uses the longer timeout.
        let reply = self.call_within(self.times.input, request).await?;
        let stored = self.parsed(&self.good(reply)?)?;
        let text = |key: &str| stored.get(key).and_then(Value::as_str);
        match (text("subfolder"), text("name")) {
            (Some(""), Some(name)) => Ok(name.to_owned()),
            // Loaders accept forward slashes only, also on Windows.
            (Some(folder), Some(name)) => Ok(format!("{folder}/{name}").replace('\\', "/")),
            _ => Err(self.error(ComfyErrorKind::Unusable, "its /upload/image is not ComfyUI's")),
        }
    }

    /// Copies an output file to `path`. Returns its length.
    pub(super) async fn copy(
        &self,
        (kind, subfolder, filename): (FileKind, &str, &str),
        path: &Path,
        most: u64,
    ) -> Result<u64, CopyError> {
        let mut url = self.url(&["view"]);
        url.query_pairs_mut()
            .append_pair("filename", filename)
            .append_pair("subfolder", subfolder)
            .append_pair("type", kind.as_str());
        let mut response = self
            .in_time(self.times.call, self.sent(self.http.get(url)))
            .await
            .map_err(CopyError::Comfy)?;
        let status = response.status().as_u16();
        if status != 200 {
            let error = self.error(ComfyErrorKind::Status(status), "the file could not be read");
            return Err(CopyError::Comfy(error));
        }
        let mut file = tokio::fs::File::create(path).await.map_err(CopyError::Disk)?;
        let mut length = 0;
        loop {
            let chunk =
                timeout(self.times.idle, self.chunk(&mut response)).await.unwrap_or_else(|_| {
                    Err(self.error(ComfyErrorKind::TimedOut, "the file transfer stalled"))
                });
            let Some(chunk) = chunk.map_err(CopyError::Comfy)? else { break };
            length += chunk.len() as u64;
            if length > most {
                let why = self.error(ComfyErrorKind::TooLarge, "the file exceeds the limit");
                return Err(CopyError::Comfy(why));
            }
            file.write_all(&chunk).await.map_err(CopyError::Disk)?;
        }
        file.flush().await.map_err(CopyError::Disk)?;
        Ok(length)
    }
}
