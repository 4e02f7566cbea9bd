//! The name that every update must have.

use futures_util::future::join;
use runcomfy_core::{
    ErrorKind, RunComfyApi,
    deployment::UpdateDeployment,
    error::{Operation, Outcome},
};
use serde_json::json;

use crate::{
    canned::{Canned, Reply},
    endpoints::d1,
};

fn pause() -> UpdateDeployment {
    UpdateDeployment::new().is_enabled(false)
}

fn named(name: &str) -> Reply {
    Reply::json(200, &json!({"id": "d1", "name": name}))
}

#[tokio::test]
async fn an_update_without_a_name_reads_it_and_sends_it_along() {
    let server = Canned::start([named(" cur "), named(" cur ")]).await;
    let updated = server.api().update_deployment(&d1(), &pause()).await.unwrap();
    assert!(!updated.name_race_possible);
    assert_eq!(server.lines(), ["GET /prod/v2/deployments/d1", "PATCH /prod/v2/deployments/d1"]);
    // Exactly the name that was read: a trimmed one would be a rename.
    assert_eq!(server.seen()[1].json(), json!({"name": " cur ", "is_enabled": false}));
}

#[tokio::test]
async fn a_name_that_changed_meanwhile_is_reported() {
    let server = Canned::start([named("cur"), named("theirs")]).await;
    let updated = server.api().update_deployment(&d1(), &pause()).await.unwrap();
    assert!(updated.name_race_possible);

    let silent = Reply::json(200, &json!({"id": "d1"}));
    let server = Canned::start([named("cur"), silent, named("x")]).await;
    assert!(!server.api().update_deployment(&d1(), &pause()).await.unwrap().name_race_possible);
    let rename = UpdateDeployment::new().name("mine");
    assert!(!server.api().update_deployment(&d1(), &rename).await.unwrap().name_race_possible);
}

#[tokio::test]
async fn nothing_is_changed_where_the_name_can_not_be_read() {
    let check = async |reply: Reply, kind, outcome| {
        let server = Canned::start([reply]).await;
        let error = server.api().update_deployment(&d1(), &pause()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (kind, outcome));
        assert_eq!(error.operation(), Operation::UpdateDeployment);
        assert_eq!(error.deployment_id(), Some(&d1()));
        assert_eq!(server.lines()[0], "GET /prod/v2/deployments/d1");
        assert!(server.lines().iter().all(|line| line.starts_with("GET")), "{:?}", server.lines());
    };
    let protocol = ErrorKind::UpstreamProtocol;
    check(Reply::with(404, &[], ""), ErrorKind::NotFound, Outcome::Rejected).await;
    check(Reply::with(401, &[], ""), ErrorKind::Unauthenticated, Outcome::Rejected).await;
    for body in [
        json!({"id": "d1"}),
        json!({"id": "d1", "name": ""}),
        json!({"id": "d1", "name": " "}),
        json!({"id": "d1", "name": 7}),
        json!({"id": "d1", "name": null}),
    ] {
        check(Reply::json(200, &body), protocol, Outcome::NotSent).await;
    }
}

#[tokio::test]
async fn a_name_read_that_fails_leaves_nothing_open() {
    let server = Canned::start(vec![Reply::with(500, &[], ""); 3]).await;
    let error = server.api().update_deployment(&d1(), &pause()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::UpstreamUnavailable, Outcome::NotSent));
    assert!(error.is_retryable());
    assert_eq!(server.lines(), ["GET /prod/v2/deployments/d1"; 3]);
}

#[tokio::test]
async fn an_update_of_nothing_makes_no_call() {
    let server = Canned::start([]).await;
    let error = server.api().update_deployment(&d1(), &UpdateDeployment::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::InvalidArgument, Outcome::NotSent));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn updates_of_one_deployment_take_turns_in_all_clones() {
    let server = Canned::start(vec![named("cur"); 4]).await;
    let api = server.api();
    let (clone, id, changes) = (api.clone(), d1(), pause());
    let (one, two) =
        join(api.update_deployment(&id, &changes), clone.update_deployment(&id, &changes)).await;
    one.unwrap();
    two.unwrap();
    let methods: Vec<_> = server.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["GET", "PATCH", "GET", "PATCH"]);
}
