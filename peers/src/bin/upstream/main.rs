//! RunComfy, as far as a measurement needs it: submits, looks and lists whose answers cost next to nothing,
//! so that what is measured is the server before it. It keeps one table of runs, and counts what it is asked.
//! For how the service behaves, see `runcomfy-emulator`.
#![expect(clippy::print_stderr, reason = "a program says where it listens")]

mod list;
mod runs;

use std::{cell::RefCell, convert::Infallible, rc::Rc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::HeaderValue, service::service_fn,
};
use hyper_util::rt::TokioIo;
use peers::{argument, listen};

use self::runs::Runs;

struct Upstream {
    runs: RefCell<Runs>,
    lists: RefCell<u64>,
    /// With payloads, and without.
    list: [Bytes; 2],
}

impl Upstream {
    fn answer(&self, method: &Method, path: &str, query: Option<&str>) -> Option<Bytes> {
        // Both versions of the queue's paths.
        let rest = path.strip_prefix("/prod/v1/").or_else(|| path.strip_prefix("/prod/v2/"));
        let Some(rest) = rest else {
            return (path == "/counters").then(|| self.counters());
        };
        let mut parts = rest.split('/');
        let mut next = || parts.next();
        let (kind, deployment, what, request, last) = (next()?, next(), next(), next(), next());
        match (kind, deployment, what, request, last) {
            ("deployments", None, ..) => {
                *self.lists.borrow_mut() += 1;
                let payload = query.is_some_and(|query| query.contains("includes=payload"));
                Some(self.list[usize::from(!payload)].clone())
            }
            (_, Some(deployment), Some("inference"), None, _) if method == Method::POST => {
                Some(self.runs.borrow_mut().submit(deployment))
            }
            (_, Some(deployment), Some("requests"), Some(request), Some("status")) => {
                self.runs.borrow_mut().status(deployment, request)
            }
            (_, Some(_), Some("requests"), Some(request), Some("result")) => {
                self.runs.borrow_mut().result(request)
            }
            _ => None,
        }
    }

    fn counters(&self) -> Bytes {
        let counted = self.runs.borrow().counted();
        let lists = *self.lists.borrow();
        let [submits, statuses, results] = counted;
        Bytes::from(format!(
            r#"{{"submits":{submits},"statuses":{statuses},"results":{results},"lists":{lists}}}"#
        ))
    }
}

async fn respond(
    upstream: Rc<Upstream>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if head.method == Method::POST {
        // What was sent does not matter here, but that it was.
        let _ = body.collect().await;
    }
    let answer = upstream.answer(&head.method, head.uri.path(), head.uri.query());
    let mut response = Response::new(Full::from(answer.clone().unwrap_or_default()));
    if answer.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    Ok(response)
}

fn number<T: std::str::FromStr>(name: &str, otherwise: T) -> anyhow::Result<T> {
    let Some(text) = argument(name) else { return Ok(otherwise) };
    text.parse().ok().with_context(|| format!("{name} {text}"))
}

fn seconds(name: &str, otherwise: f64) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(number(name, otherwise)?)?)
}

/// One thread: it is quicker than several that hand each other work, and leaves the other cores alone.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let runs = Runs::new(
        seconds("--run-time", 3600.0)?,
        seconds("--run-time-spread", 0.0)?,
        number("--seed", 6)?,
    );
    let bytes = number("--payload-bytes", 1_000)?;
    let count = number("--deployments", 10)?;
    let list = [Some(bytes), None].map(|bytes| list::deployments(count, bytes).into());
    let upstream = Rc::new(Upstream { runs: RefCell::new(runs), lists: RefCell::new(0), list });
    let listener = tokio::net::TcpListener::bind(listen()?).await?;
    eprintln!("an upstream at http://{}/", listener.local_addr()?);
    let here = tokio::task::LocalSet::new();
    here.run_until(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let upstream = Rc::clone(&upstream);
            let service = service_fn(move |request| respond(Rc::clone(&upstream), request));
            tokio::task::spawn_local(async move {
                let connection = hyper::server::conn::http1::Builder::new();
                // Whoever hangs up has their answer, or wants none.
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
    .await
}
