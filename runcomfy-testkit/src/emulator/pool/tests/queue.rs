//! Tests of the order of runs and of their servers.

use super::*;

#[tokio::test]
async fn a_server_gets_one_job_at_a_time_in_the_order_of_all_accounts() {
    let server = held("invert", "executing");
    (0..3).for_each(|_| server.add("invert"));
    let emulator = emulator(&[&server]).await;
    let (one, other) = (Caller::of(&emulator), Caller::with_token(&emulator, "somebody else"));
    let mut requests = Vec::new();
    for caller in [&one, &other, &one, &other] {
        requests.push(caller.submit("invert").await);
    }
    requests[0].is("in_progress").await;
    let positions = async |of: &[usize]| {
        let mut positions = Vec::new();
        for place in of {
            positions.push(requests[*place].status().await["queue_position"].clone());
        }
        positions
    };
    assert_eq!(positions(&[0, 2]).await, [Value::Null, json!(0)]);
    assert_eq!(positions(&[1, 3]).await, [json!(0), json!(1)]);
    assert_eq!(taken(&server), [requests[0].mark.as_str()]);
    server.release();
    for request in &requests {
        request.succeeds().await;
    }
    let order: Vec<_> = requests.iter().map(|request| request.mark.clone()).collect();
    assert_eq!(taken(&server), order);
}

#[tokio::test]
async fn positions_fall_as_others_go() {
    let server = held("invert", "executing");
    let emulator = emulator(&[&server]).await;
    let caller = Caller::of(&emulator);
    let mut requests = Vec::new();
    for _ in 0..4 {
        requests.push(caller.submit("invert").await);
    }
    requests[0].is("in_progress").await;
    assert_eq!(requests[3].status().await["queue_position"], 2);
    requests[1].cancel().await;
    assert_eq!(requests[3].status().await["queue_position"], 1);
}

#[tokio::test]
async fn two_servers_work_at_once_and_are_two_instances() {
    let servers = [held("invert", "executing"), held("invert", "executing")];
    let emulator = emulator(&[&servers[0], &servers[1]]).await;
    let caller = Caller::of(&emulator);
    let requests = [caller.submit("invert").await, caller.submit("invert").await];
    let one = requests[0].is("in_progress").await["instance_id"].clone();
    let other = requests[1].is("in_progress").await["instance_id"].clone();
    assert_ne!(one, other);
    caller.servers(&["running", "running"]).await;
    servers.iter().for_each(Replay::release);
    for request in &requests {
        request.succeeds().await;
    }
    assert_eq!((taken(&servers[0]).len(), taken(&servers[1]).len()), (1, 1));
    caller.servers(&["idle", "idle"]).await;
}

/// `max_instances` is observed and does not keep other deployments from a free server.
#[tokio::test]
async fn a_deployment_has_no_more_instances_than_it_may_have() {
    let servers = [held("invert", "executing"), held("invert", "executing")];
    let emulator = emulator(&[&servers[0], &servers[1]]).await;
    let caller = Caller::of(&emulator);
    let first = caller.submit_to(NARROW, recorded("invert")).await;
    let second = caller.submit_to(NARROW, recorded("invert")).await;
    let other = caller.submit("invert").await;
    first.is("in_progress").await;
    other.is("in_progress").await;
    assert_eq!(second.status().await["status"], "in_queue");
    servers.iter().for_each(|server| server.add("invert"));
    servers.iter().for_each(Replay::release);
    second.succeeds().await;
}

#[tokio::test]
async fn a_deployment_that_may_have_more_has_them_at_once() {
    let servers = [held("invert", "executing"), held("invert", "executing")];
    let emulator = emulator(&[&servers[0], &servers[1]]).await;
    let caller = Caller::of(&emulator);
    let requests = [
        caller.submit_to(NARROW, recorded("invert")).await,
        caller.submit_to(NARROW, recorded("invert")).await,
    ];
    requests[0].is("in_progress").await;
    let path = format!("PATCH prod/v2/deployments/{NARROW}");
    let changes = json!({"name": "wider", "max_instances": 2});
    assert_eq!(caller.call(&path, Some(&changes)).await.status, 200);
    requests[1].is("in_progress").await;
}

/// No request is lost when many are submitted and servers come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_ends() {
    const EACH: usize = 12;
    let servers = [Replay::of("invert"), Replay::of("invert")];
    servers.iter().for_each(|server| (0..4 * EACH).for_each(|_| server.add("invert")));
    let emulator = emulator(&[&servers[0], &servers[1]]).await;
    let mut callers = tokio::task::JoinSet::new();
    for token in ["a", "b", "c", "d"] {
        let caller = Caller::with_token(&emulator, token);
        callers.spawn(async move {
            let mut requests = Vec::new();
            for turn in 0..EACH {
                let request = caller.submit("invert").await;
                if turn % 4 == 3 {
                    request.cancel().await;
                }
                requests.push(request);
            }
            for request in requests {
                let result = request.result().await;
                let end = result["status"].as_str().unwrap();
                assert!(matches!(end, "succeeded" | "cancelled"), "{result}");
            }
        });
    }
    callers.join_all().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_keep_a_request_from_its_run() {
    use runcomfy_core::{Error, ErrorKind, error::Operation};
    let server = Replay::of("invert");
    let lost = Error::new(Operation::SubmitRequest, ErrorKind::UpstreamUnavailable);
    let account = FakeRunComfy::builder().next_answer_lost(Operation::SubmitRequest, lost);
    let emulator = behind(account, &[&server]).start().await.unwrap();
    let caller = Caller::of(&emulator);
    let path = format!("POST prod/v1/deployments/{DEPLOYMENT}/inference");
    let reply = caller.call(&path, Some(&recorded("invert"))).await;
    assert_ne!(reply.status, 200);
    server.called("POST /prompt", 1).await;
}
