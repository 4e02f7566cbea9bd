//! What each method sends, and how it reads a plain answer.

use runcomfy_core::{
    DeploymentId, InferenceRequest, Overrides, RequestId, RunComfyApi, Workflow,
    client::QueueApi,
    deployment::{CreateDeployment, Include, ListDeployments, UpdateDeployment},
    instance::{ProxyCall, ProxyPath, ProxyReply},
    request::{ExtraData, RequestState, Webhook},
};
use serde_json::{Value, json};

use crate::canned::{Canned, Reply, Seen, TOKEN, builder};

pub(crate) fn d1() -> DeploymentId {
    DeploymentId::new("d1").unwrap()
}

pub(crate) fn r1() -> RequestId {
    RequestId::new("r1").unwrap()
}

pub(crate) fn proxy_call(path: &str) -> ProxyCall {
    ProxyCall::new(d1(), "i1".try_into().unwrap(), ProxyPath::new(path).unwrap())
}

/// A server that gives this one answer.
async fn answering(body: Value) -> Canned {
    Canned::start([Reply::json(200, &body)]).await
}

/// The headers that every call has, and those that only a body brings.
#[track_caller]
fn check_headers(seen: &Seen) {
    assert_eq!(seen.header("authorization").unwrap(), format!("Bearer {TOKEN}"));
    assert_eq!(seen.header("accept").unwrap(), "application/json");
    assert_eq!(
        seen.header("user-agent").unwrap(),
        concat!("runcomfy-core/", env!("CARGO_PKG_VERSION"))
    );
    let typed = (!seen.body.is_empty()).then(|| "application/json".to_owned());
    assert_eq!(seen.header("content-type"), typed);
    assert_eq!(seen.header("cookie"), None);
    assert_eq!(seen.header("referer"), None);
}

#[tokio::test]
async fn a_list_asks_for_each_part_and_each_id_by_a_key_of_its_own() {
    let server = answering(json!([{"id": "d1"}, {"id": "d2"}])).await;
    let query = ListDeployments::all()
        .ids([d1(), "d2".try_into().unwrap()])
        .include(Include::none().payload(true).readme(true));
    let list = server.api().list_deployments(&query).await.unwrap();
    assert_eq!(list.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["d1", "d2"]);
    let seen = server.only();
    assert_eq!(
        seen.line(),
        "GET /prod/v2/deployments?includes=payload&includes=readme&ids=d1&ids=d2"
    );
    assert!(seen.body.is_empty());
    check_headers(&seen);
}

#[tokio::test]
async fn a_list_of_everything_has_no_query() {
    let server = answering(json!({"deployments": []})).await;
    assert_eq!(server.api().list_deployments(&ListDeployments::all()).await.unwrap(), []);
    assert_eq!(server.only().line(), "GET /prod/v2/deployments");
}

#[tokio::test]
async fn a_deployment_is_asked_for_by_its_id() {
    let server = Canned::start([
        Reply::json(200, &json!({"id": "d1", "name": "n", "hardware": "AMPERE_48"})),
        Reply::gzipped(200, br#"{"id":"d1","readme":"text"}"#),
    ])
    .await;
    let api = server.api();
    let deployment = api.get_deployment(&d1(), Include::none()).await.unwrap();
    assert_eq!(deployment.hardware.unwrap(), ["AMPERE_48"]);
    let packed = api.get_deployment(&d1(), Include::none().readme(true)).await.unwrap();
    assert_eq!(packed.readme.unwrap(), "text");
    assert_eq!(
        server.lines(),
        ["GET /prod/v2/deployments/d1", "GET /prod/v2/deployments/d1?includes=readme"]
    );
    check_headers(&server.seen()[0]);
    assert_eq!(server.seen()[0].header("accept-encoding").unwrap(), "gzip");
}

#[tokio::test]
async fn a_creation_sends_all_eight_fields_and_hardware_as_a_list() {
    let server = Canned::start([Reply::json(201, &json!({"id": "d9"}))]).await;
    let request = CreateDeployment::new("n", "w1".try_into().unwrap(), "v1");
    assert_eq!(server.api().create_deployment(&request).await.unwrap().id.as_str(), "d9");
    let seen = server.only();
    assert_eq!(seen.line(), "POST /prod/v2/deployments");
    assert_eq!(
        seen.json(),
        json!({
            "name": "n", "workflow_id": "w1", "workflow_version": "v1", "hardware": ["AMPERE_48"],
            "min_instances": 0, "max_instances": 1, "queue_size": 1, "keep_warm_duration_in_seconds": 60,
        })
    );
    check_headers(&seen);
}

#[tokio::test]
async fn an_update_sends_what_changes_and_hardware_as_a_list() {
    let server = answering(json!({"id": "d1", "name": "new"})).await;
    let changes = UpdateDeployment::new()
        .name("new")
        .workflow_version("v2")
        .hardware("ADA_80_PLUS")
        .min_instances(1u64)
        .max_instances(2u64)
        .queue_size(3u64)
        .keep_warm_duration_in_seconds(4u64)
        .is_enabled(false);
    let updated = server.api().update_deployment(&d1(), &changes).await.unwrap();
    assert!(!updated.name_race_possible);
    let seen = server.only();
    assert_eq!(seen.line(), "PATCH /prod/v2/deployments/d1");
    assert_eq!(
        seen.json(),
        json!({
            "name": "new", "workflow_version": "v2", "hardware": ["ADA_80_PLUS"], "min_instances": 1,
            "max_instances": 2, "queue_size": 3, "keep_warm_duration_in_seconds": 4, "is_enabled": false,
        })
    );
    check_headers(&seen);
}

#[tokio::test]
async fn a_deletion_takes_any_body_as_its_answer() {
    let server = Canned::start([
        Reply::with(204, &[], ""),
        Reply::with(200, &[], ""),
        Reply::with(200, &["Content-Type: text/plain"], "gone"),
        Reply::json(200, &json!({"deleted": true})),
    ])
    .await;
    for response in [Value::Null, Value::Null, json!("gone"), json!({"deleted": true})] {
        let deleted = server.api().delete_deployment(&d1()).await.unwrap();
        assert_eq!(deleted.response, response);
    }
    assert_eq!(server.lines(), ["DELETE /prod/v2/deployments/d1"; 4]);
    let seen = &server.seen()[0];
    assert!(seen.body.is_empty());
    check_headers(seen);
}

#[tokio::test]
async fn a_submit_of_nothing_is_an_empty_object() {
    let server = Canned::start([Reply::json(202, &json!({"request_id": "r1", "new": 1}))]).await;
    let submission = server.api().submit_request(&InferenceRequest::new(d1())).await.unwrap();
    assert_eq!(submission.request_id, r1());
    assert_eq!(submission.extra["new"], json!(1));
    let seen = server.only();
    assert_eq!(seen.line(), "POST /prod/v1/deployments/d1/inference");
    assert_eq!(seen.body, b"{}");
    check_headers(&seen);
    assert_eq!(seen.header("accept-encoding"), None);
}

#[tokio::test]
async fn a_submit_sends_what_is_set_with_every_digit() {
    let server = answering(json!({"request_id": "r1"})).await;
    let workflow =
        json!({"52:42": {"class_type": "KSampler", "inputs": {"seed": u64::MAX, "cfg": 7.0}}});
    let request = InferenceRequest::new(d1())
        .overrides(Overrides::from_value(json!({"6": {"inputs": {"seed": u64::MAX}}})).unwrap())
        .workflow_api_json(Workflow::from_value(workflow).unwrap())
        .extra_data(ExtraData(json!({"api_key_comfy_org": "k"}).as_object().unwrap().clone()));
    server.api().submit_request(&request).await.unwrap();
    assert_eq!(
        String::from_utf8(server.only().body).unwrap(),
        r#"{"overrides":{"6":{"inputs":{"seed":18446744073709551615}}},"workflow_api_json":{"52:42":{"class_type":"KSampler","inputs":{"seed":18446744073709551615,"cfg":7.0}}},"extra_data":{"api_key_comfy_org":"k"}}"#
    );
}

#[tokio::test]
async fn empty_overrides_are_sent_as_such() {
    let server = answering(json!({"request_id": "r1"})).await;
    let request = InferenceRequest::new(d1()).overrides(Overrides::new());
    server.api().submit_request(&request).await.unwrap();
    assert_eq!(server.only().body, br#"{"overrides":{}}"#);
}

#[tokio::test]
async fn a_webhook_goes_into_the_query_and_its_flag_only_beside_it() {
    let accepted = Reply::json(200, &json!({"request_id": "r1"}));
    let server = Canned::start([accepted.clone(), accepted.clone(), accepted]).await;
    let hook = Webhook::new("https://example.com/hook?a=1&b=2#x".parse().unwrap());
    let hooks =
        [hook.clone(), hook.clone().intermediate_status(true), hook.intermediate_status(false)];
    for hook in hooks {
        let request = InferenceRequest::new(d1()).webhook(hook);
        server.api().submit_request(&request).await.unwrap();
    }
    let start = "POST /prod/v1/deployments/d1/inference?webhook=https%3A%2F%2Fexample.com%2Fhook%3Fa%3D1%26b%3D2%23x";
    assert_eq!(
        server.lines(),
        [
            start.to_owned(),
            format!("{start}&webhook_intermediate_status=true"),
            format!("{start}&webhook_intermediate_status=false"),
        ]
    );
    assert_eq!(server.seen()[0].body, b"{}");
}

#[tokio::test]
async fn a_runs_status_is_asked_for_by_both_ids() {
    let server = answering(json!({"status": "in_queue", "queue_position": 3, "new": [1]})).await;
    let status = server.api().get_request_status(&d1(), &r1()).await.unwrap();
    assert_eq!(status.state(), RequestState::InQueue);
    assert_eq!(status.request_id, Some(r1()));
    assert_eq!(status.extra["new"], json!([1]));
    let seen = server.only();
    assert_eq!(seen.line(), "GET /prod/v1/deployments/d1/requests/r1/status");
    check_headers(&seen);
}

#[tokio::test]
async fn a_result_comes_with_every_digit_and_unknown_field() {
    let wire = r#"{"request_id":"r1","status":"succeeded","outputs":{"9":{"text":[18446744073709551615]}},"seed":18446744073709551615}"#;
    let server = Canned::start([Reply::with(200, &["Content-Type: text/plain"], wire)]).await;
    let result = server.api().get_request_result(&d1(), &r1()).await.unwrap();
    assert_eq!(result.state(), RequestState::Succeeded);
    assert_eq!(json!(result), serde_json::from_str::<Value>(wire).unwrap());
    let seen = server.only();
    assert_eq!(seen.line(), "GET /prod/v1/deployments/d1/requests/r1/result");
    check_headers(&seen);
}

#[tokio::test]
async fn a_cancellation_has_no_body() {
    let server = Canned::start([
        Reply::json(202, &json!({"status": "completed", "outcome": "cancelled"})),
        Reply::with(200, &[], ""),
    ])
    .await;
    let cancellation = server.api().cancel_request(&d1(), &r1()).await.unwrap();
    assert_eq!(cancellation.accepted(), Some(true));
    let cancellation = server.api().cancel_request(&d1(), &r1()).await.unwrap();
    assert_eq!((cancellation.request_id, cancellation.status), (Some(r1()), None));
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), "POST /prod/v1/deployments/d1/requests/r1/cancel");
    assert!(seen.body.is_empty());
    assert_eq!(seen.header("content-length").unwrap(), "0");
    check_headers(seen);
}

#[tokio::test]
async fn a_proxy_call_posts_json_and_takes_any_reply() {
    let replies = [
        (Reply::with(200, &[], ""), ProxyReply::Empty),
        (Reply::json(200, &json!(null)), ProxyReply::Json(Value::Null)),
        (Reply::json(200, &json!([1, "x"])), ProxyReply::Json(json!([1, "x"]))),
        (Reply::with(200, &["Content-Type: image/png"], "{}"), ProxyReply::Json(json!({}))),
        (Reply::json(200, &json!({"error_code": 1})), ProxyReply::Json(json!({"error_code": 1}))),
        (Reply::with(200, &["Content-Type: text/html"], "<p>"), ProxyReply::Text("<p>".to_owned())),
        (
            Reply::with(200, &["Content-Type: image/png"], b"\x89PNG"),
            ProxyReply::Binary {
                content_type: Some("image/png".to_owned()),
                bytes: b"\x89PNG".to_vec(),
            },
        ),
    ];
    let (script, expected): (Vec<_>, Vec<_>) = replies.into_iter().unzip();
    let server = Canned::start(script).await;
    for expected in expected {
        let reply = server.api().call_instance_proxy(&proxy_call("/api/free")).await.unwrap();
        assert_eq!(reply, expected);
    }
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), "POST /prod/v2/deployments/d1/instances/i1/proxy/api/free");
    assert_eq!(seen.body, b"{}");
    check_headers(seen);

    let server = Canned::start([Reply::with(200, &[], "")]).await;
    let body = json!({"unload_models": true}).as_object().unwrap().clone();
    server.api().call_instance_proxy(&proxy_call("free").body(body)).await.unwrap();
    assert_eq!(server.only().json(), json!({"unload_models": true}));
}

#[tokio::test]
async fn the_second_queue_moves_runs_and_nothing_else() {
    let any = Reply::json(200, &json!({"id": "d1", "request_id": "r1", "status": "x"}));
    let server = Canned::start(vec![any; 6]).await;
    let api = server.builder().queue_api(QueueApi::V2).build().unwrap();
    let api = api.with_token(TOKEN.parse().unwrap());
    api.submit_request(&InferenceRequest::new(d1())).await.unwrap();
    api.get_request_status(&d1(), &r1()).await.unwrap();
    api.get_request_result(&d1(), &r1()).await.unwrap();
    api.cancel_request(&d1(), &r1()).await.unwrap();
    api.get_deployment(&d1(), Include::none()).await.unwrap();
    api.call_instance_proxy(&proxy_call("free")).await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "POST /prod/v2/deployments/d1/inference",
            "GET /prod/v2/deployments/d1/requests/r1/status",
            "GET /prod/v2/deployments/d1/requests/r1/result",
            "POST /prod/v2/deployments/d1/requests/r1/cancel",
            "GET /prod/v2/deployments/d1",
            "POST /prod/v2/deployments/d1/instances/i1/proxy/free",
        ]
    );
}

#[tokio::test]
async fn reads_keep_their_connection_and_each_write_has_its_own() {
    let any = Reply::json(200, &json!({"id": "d1", "request_id": "r1", "status": "x"}));
    let server = Canned::start(vec![any; 7]).await;
    let api = server.api();
    for _ in 0..3 {
        api.get_request_status(&d1(), &r1()).await.unwrap();
    }
    // A clone, and one with another token, share the pool.
    api.clone().get_request_status(&d1(), &r1()).await.unwrap();
    api.with_token("other".parse().unwrap()).get_request_status(&d1(), &r1()).await.unwrap();
    assert_eq!(server.connections(), 1);
    api.submit_request(&InferenceRequest::new(d1())).await.unwrap();
    api.submit_request(&InferenceRequest::new(d1())).await.unwrap();
    let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 0, 0, 0, 1, 2]);
}

#[tokio::test]
async fn a_user_agent_of_ones_own_is_sent() {
    let server = answering(json!([])).await;
    let api = server.builder().user_agent("mine/1.0 (x)").token(TOKEN.parse().unwrap());
    api.build().unwrap().list_deployments(&ListDeployments::all()).await.unwrap();
    assert_eq!(server.only().header("user-agent").unwrap(), "mine/1.0 (x)");
    for hostile in ["a\r\nX: y", "é", "a\0"] {
        let refused = builder("https://api.example").user_agent(hostile).build();
        assert_eq!(refused.unwrap_err(), runcomfy_core::client::ConfigError::UserAgent);
    }
}
