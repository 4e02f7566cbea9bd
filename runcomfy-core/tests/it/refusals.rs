//! Every shape of the service's errors, at each endpoint.

use runcomfy_core::{
    Error, ErrorKind, HttpApi, InferenceRequest, RunComfyApi,
    deployment::{CreateDeployment, Include, ListDeployments, UpdateDeployment},
    error::{Operation, Outcome},
};
use serde_json::json;

use crate::{
    canned::{Canned, Reply},
    endpoints::{d1, proxy_call, r1},
};

/// The failure of one operation.
pub(crate) async fn fail(api: &HttpApi, operation: Operation) -> Error {
    let (deployment, run) = (d1(), r1());
    let failed = match operation {
        Operation::CallInstanceProxy => api.call_instance_proxy(&proxy_call("free")).await.err(),
        Operation::CancelRequest => api.cancel_request(&deployment, &run).await.err(),
        Operation::CreateDeployment => {
            let request = CreateDeployment::new("n", "w1".try_into().unwrap(), "v1");
            api.create_deployment(&request).await.err()
        }
        Operation::DeleteDeployment => api.delete_deployment(&deployment).await.err(),
        Operation::GetDeployment => api.get_deployment(&deployment, Include::none()).await.err(),
        Operation::GetRequestResult => api.get_request_result(&deployment, &run).await.err(),
        Operation::GetRequestStatus => api.get_request_status(&deployment, &run).await.err(),
        Operation::ListDeployments => api.list_deployments(&ListDeployments::all()).await.err(),
        Operation::SubmitRequest => {
            api.submit_request(&InferenceRequest::new(deployment)).await.err()
        }
        Operation::UpdateDeployment => {
            let changes = UpdateDeployment::new().name("n");
            api.update_deployment(&deployment, &changes).await.err()
        }
    };
    failed.unwrap_or_else(|| panic!("{operation:?} did not fail"))
}

/// Whether its errors can name the deployment, and the run.
pub(crate) fn names(operation: Operation) -> (bool, bool) {
    let run = matches!(
        operation,
        Operation::CancelRequest | Operation::GetRequestResult | Operation::GetRequestStatus
    );
    let deployment = !matches!(operation, Operation::CreateDeployment | Operation::ListDeployments);
    (deployment, run)
}

#[tokio::test]
async fn each_shape_of_refusal_is_understood_at_each_endpoint_and_sent_once() {
    let shapes = [
        (
            Reply::json(
                422,
                &json!({"error_code": 422_001, "error_message": "bad", "detail": [{"msg": "x"}]}),
            ),
            (ErrorKind::InvalidRequest, Some(422_001), Some("bad"), Some(json!([{"msg": "x"}]))),
        ),
        (
            Reply::json(403, &json!({"message": "Forbidden"})),
            (ErrorKind::PermissionDenied, None, Some("Forbidden"), None),
        ),
        (
            Reply::json(404, &json!({"detail": "Not Found"})),
            (ErrorKind::NotFound, None, Some("Not Found"), Some(json!("Not Found"))),
        ),
        (
            Reply::json(400, &json!({"error": {"type": "t", "message": "no prompt"}})),
            (ErrorKind::InvalidRequest, None, Some("no prompt"), None),
        ),
        (
            Reply::json(409, &json!({"error": "busy"})),
            (ErrorKind::Conflict, None, Some("busy"), None),
        ),
        (
            Reply::with(401, &["Content-Type: text/plain"], "Unauthorized"),
            (ErrorKind::Unauthenticated, None, Some("Unauthorized"), None),
        ),
        (
            Reply::with(405, &["Content-Type: text/html"], "<html>SECRET"),
            (ErrorKind::Refused, None, Some("an HTML page instead of JSON"), None),
        ),
        (
            Reply::with(402, &[], ""),
            (ErrorKind::InsufficientFunds, None, Some("Payment Required"), None),
        ),
    ];
    for operation in Operation::ALL.iter().copied() {
        let server = Canned::start(shapes.iter().map(|(reply, _)| reply.clone())).await;
        for (reply, expected) in &shapes {
            let error = fail(&server.api(), operation).await;
            let got = (error.kind(), error.error_code(), error.message(), error.detail().cloned());
            assert_eq!(got, *expected, "{operation:?} {reply:?}");
            assert_eq!((error.outcome(), error.attempts()), (Outcome::Rejected, 1));
            assert_eq!(error.operation(), operation);
            let (deployment, run) = names(operation);
            assert_eq!(error.deployment_id(), deployment.then(d1).as_ref());
            assert_eq!(error.request_id(), run.then(r1).as_ref());
        }
        assert_eq!(server.seen().len(), shapes.len(), "{operation:?}");
    }
}

#[tokio::test]
async fn an_error_behind_a_good_status_is_an_error_everywhere_but_through_the_proxy() {
    let hidden = Reply::json(200, &json!({"error_code": "10002", "error_message": "paused"}));
    for operation in Operation::ALL.iter().copied() {
        if operation == Operation::CallInstanceProxy {
            continue; // What ComfyUI says is data.
        }
        let server = Canned::start([hidden.clone()]).await;
        let error = fail(&server.api(), operation).await;
        assert_eq!(
            (error.kind(), error.outcome(), error.status_code(), error.error_code()),
            (ErrorKind::DeploymentDisabled, Outcome::Rejected, Some(200), Some(10_002))
        );
        server.only();
    }
}

#[tokio::test]
async fn an_error_without_a_length_is_read_up_to_its_limit_and_no_further() {
    let endless = Reply::Endless(b"HTTP/1.1 403 No\r\n\r\nx".to_vec());
    let server = Canned::start([endless]).await;
    let error = fail(&server.api(), Operation::ListDeployments).await;
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().unwrap().len() < 3000);
}

#[tokio::test]
async fn an_errors_status_counts_even_where_its_body_is_broken() {
    let whole = Reply::json(403, &json!({"message": "no"}));
    for broken in [whole.clone().cut_short(), Reply::Stall(b"HTTP/1.1 403 No\r\n\r\n{".to_vec())] {
        let server = Canned::start([broken]).await;
        let error = fail(&server.api(), Operation::SubmitRequest).await;
        assert_eq!(
            (error.kind(), error.outcome()),
            (ErrorKind::PermissionDenied, Outcome::Rejected)
        );
        server.only();
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let other = Canned::start([]).await;
        let location = format!("Location: {}/elsewhere", other.url());
        for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
            let server = Canned::start([Reply::with(status, &[&location], "")]).await;
            let error = fail(&server.api(), operation).await;
            assert_eq!(
                (error.kind(), error.outcome(), error.status_code()),
                (ErrorKind::UpstreamProtocol, Outcome::Unknown, Some(status))
            );
            server.only();
        }
        assert_eq!(other.connections(), 0);
    }
}

#[tokio::test]
async fn the_answer_about_another_run_is_not_taken() {
    let other = Reply::json(200, &json!({"request_id": "r2", "status": "completed"}));
    for operation in
        [Operation::GetRequestStatus, Operation::GetRequestResult, Operation::CancelRequest]
    {
        let server = Canned::start(vec![other.clone(); 3]).await;
        let error = fail(&server.api(), operation).await;
        assert_eq!(error.kind(), ErrorKind::UpstreamProtocol);
        assert_eq!(error.request_id(), Some(&r1()));
    }
}

#[tokio::test]
async fn a_refusal_that_names_a_run_carries_its_id() {
    let refusal = json!({"request_id": "r7", "error_code": 10_001});
    let server = Canned::start([Reply::json(200, &refusal)]).await;
    let error = fail(&server.api(), Operation::SubmitRequest).await;
    assert_eq!(error.kind(), ErrorKind::InsufficientFunds);
    assert_eq!(error.request_id().unwrap().as_str(), "r7");
}
