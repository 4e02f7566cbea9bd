//! The fast path gives the answers of rmcp, and accepts no request that rmcp refuses.

use std::cell::Cell;

use axum::body::to_bytes;
use http::{Request, header::HOST};
use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use runcomfy_testkit::FakeRunComfy;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{AuthMode, Settings, transport::http::HttpServer};

/// The values of a header, any number of them.
type Values = &'static [&'static str];

#[derive(Clone, Debug)]
struct Asked {
    message: Value,
    accept: Values,
    version: Values,
    method: Values,
    name: Values,
}

impl Asked {
    fn request(&self) -> Request<Body> {
        let mut request = Request::post("/mcp")
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json");
        for (name, values) in [
            ("accept", self.accept),
            ("mcp-protocol-version", self.version),
            ("mcp-method", self.method),
            ("mcp-name", self.name),
        ] {
            for value in values {
                request = request.header(name, *value);
            }
        }
        request.body(Body::from(self.message.to_string())).unwrap()
    }
}

/// Mostly right values, and now and then a wrong one.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    right: Vec<T>,
    wrong: Vec<T>,
) -> impl Strategy<Value = T> {
    prop_oneof![14 => select(right), 1 => select(wrong)]
}

fn meta() -> impl Strategy<Value = Value> {
    let version = |version: &str| json!({"io.modelcontextprotocol/protocolVersion": version});
    let mut whole = version("2026-07-28");
    whole["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let mut asks = whole.clone();
    asks["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {"form": {}}});
    let mut odd = whole.clone();
    odd["io.modelcontextprotocol/clientCapabilities"] = json!(7);
    let mut listens = whole.clone();
    listens["progressToken"] = json!("p");
    let wrong = vec![
        version("2026-07-28"),
        version("2025-11-25"),
        version("2027-01-01"),
        json!({"io.modelcontextprotocol/protocolVersion": 7}),
        json!({"progressToken": 1}),
        json!({"progressToken": {}}),
        json!({"other": [1, {"deep": null}]}),
        json!([]),
        json!("text"),
        odd,
        listens,
    ];
    mostly(vec![Value::Null, whole, asks], wrong)
}

fn message() -> impl Strategy<Value = Value> {
    let ids =
        mostly(vec![json!(1), json!("a")], vec![json!(1.0), json!(1.5), json!(null), json!([])]);
    let names = mostly(
        vec![json!("list_deployments")],
        vec![json!("get_deployment"), json!("no_such_tool"), json!(7), json!(null)],
    );
    let arguments = mostly(
        vec![json!({}), json!({"include_payload": true}), json!(null)],
        vec![json!([]), json!("x"), json!({"typo": 1}), json!({"ids": ["..", 1e300, -0.0]})],
    );
    let extras = mostly(
        vec![json!({})],
        vec![
            json!({"jsonrpc": "1.0"}),
            json!({"method": "tools/list"}),
            json!({"method": "ping"}),
            json!({"id": null}),
            json!({"params": null}),
            json!({"params": []}),
            json!({"more": true}),
            json!({"result": {}}),
            json!({"error": {"code": 1, "message": "m"}}),
        ],
    );
    (ids, names, arguments, meta(), extras).prop_map(|(id, name, arguments, meta, extras)| {
        let mut params = json!({"name": name, "arguments": arguments});
        if !meta.is_null() {
            params["_meta"] = meta;
        }
        let mut message =
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        for (key, value) in extras.as_object().unwrap() {
            message[key] = value.clone();
        }
        message
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let accept = mostly::<Values>(
        vec![&["application/json, text/event-stream"], &["text/event-stream,Application/JSON"]],
        vec![
            &[],
            &["application/json"],
            &["text/event-stream"],
            &["*/*"],
            &["text/*;q=0, */*"],
            &["image/png"],
            &["application/json;q=0, text/event-stream"],
            &["application/json;q=0.5, text/event-stream"],
            &["application/json", "text/event-stream"],
        ],
    );
    let version = mostly::<Values>(
        vec![&[], &["2024-11-05"], &["2025-11-25"], &["2026-07-28"], &["2026-07-28"]],
        vec![&["2027-01-01"], &["x"], &["2026-07-28", "2026-07-28"], &["2025-06-18 "]],
    );
    let method =
        mostly::<Values>(vec![&["tools/call"]], vec![&[], &["tools/list"], &["Tools/call"]]);
    let name = mostly::<Values>(
        vec![&["list_deployments"]],
        vec![&[], &["get_deployment"], &["=?base64?bGlzdF9kZXBsb3ltZW50cw==?="]],
    );
    (message(), accept, version, method, name).prop_map(
        |(message, accept, version, method, name)| Asked { message, accept, version, method, name },
    )
}

#[test]
fn the_fast_path_gives_the_answers_of_rmcp() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = RunComfyMcp::new(
        AuthMode::One(Arc::new(runtime.block_on(async { FakeRunComfy::builder().build() }))),
        Settings::default(),
    );
    let (with, without) = runtime.block_on(async {
        let (fast, slow) = (HttpServer::new(server.clone()), HttpServer::new(server.clone()));
        (fast.into_router(), slow.handler(server).into_router())
    });
    let answer = |app: &axum::Router, asked: &Asked| {
        runtime.block_on(async {
            let response = app.clone().oneshot(asked.request()).await.unwrap();
            let kind = response.headers().get(CONTENT_TYPE).cloned();
            let status = response.status();
            (status, kind, to_bytes(response.into_body(), usize::MAX).await.unwrap())
        })
    };
    let accepted = [Cell::new(0), Cell::new(0)];
    let mut runner = TestRunner::new(ProptestConfig::with_cases(512));
    let tried = runner.run(&asked(), |asked| {
        let headers = asked.request().into_parts().0.headers;
        let media = Media::accepted(&headers);
        let read =
            media.and_then(|media| read(&headers, asked.message.to_string().as_bytes(), media));
        if let Some(call) = read {
            let many = &accepted[usize::from(is_modern(Some(&call.version)))];
            many.set(many.get() + 1);
        }
        prop_assert_eq!(answer(&with, &asked), answer(&without, &asked));
        Ok(())
    });
    tried.unwrap();
    let accepted = accepted.map(Cell::into_inner);
    assert!(
        accepted.iter().all(|many| *many > 16),
        "of the old and the new revisions: {accepted:?}"
    );
}
