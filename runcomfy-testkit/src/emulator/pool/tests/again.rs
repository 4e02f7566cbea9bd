//! Tests of successive emulators and of emulators that share a server: each returns its own outputs.

use super::*;

/// How accounts get their ids.
#[derive(Clone, Copy, Debug)]
enum Ids {
    /// Random.
    New,
    /// The same at each start.
    Seeded,
}

const BOTH: [Ids; 2] = [Ids::New, Ids::Seeded];

/// An emulator without a state file.
async fn start(ids: Ids, server: &Replay) -> Emulator {
    let builder = behind(FakeRunComfy::builder(), &[server]);
    let builder = match ids {
        Ids::New => builder,
        Ids::Seeded => builder.one_account(7),
    };
    builder.start().await.unwrap()
}

/// The nodes with outputs.
fn nodes(result: &Value) -> Vec<&str> {
    result["outputs"].as_object().unwrap().keys().map(String::as_str).collect()
}

/// The nodes of the recorded run.
fn recorded_nodes(name: &str) -> Vec<String> {
    let entry = Recording::load(name).entry.unwrap();
    entry["outputs"].as_object().unwrap().keys().cloned().collect()
}

async fn made(request: &Asked, name: &str) {
    let result = request.succeeds().await;
    assert_eq!(nodes(&result), recorded_nodes(name), "{name}");
}

#[track_caller]
fn all_differ(mut values: Vec<String>) {
    let count = values.len();
    values.sort();
    values.dedup();
    assert_eq!(values.len(), count, "{values:?}");
}

#[tokio::test]
async fn the_next_emulator_does_not_answer_with_what_the_last_one_ran() {
    for ids in BOTH {
        let server = Replay::of("invert");
        server.add("blend");
        let first = start(ids, &server).await;
        made(&Caller::of(&first).submit("invert").await, "invert").await;
        first.shutdown().await;

        server.hold(Recording::load("blend").index("execution_start"));
        let second = start(ids, &server).await;
        let looks = count(&server, "GET /queue");
        let request = Caller::of(&second).submit("blend").await;
        // The history was read before and has no entry of it.
        server.called("GET /queue", looks + 1).await;
        server.release();
        made(&request, "blend").await;
        all_differ(prompt_ids(&server));
    }
}

#[tokio::test]
async fn the_next_emulator_hands_over_one_job_at_a_time() {
    for ids in BOTH {
        let server = Replay::of("invert");
        (0..5).for_each(|_| server.add("invert"));
        for _ in 0..2 {
            let emulator = start(ids, &server).await;
            let caller = Caller::of(&emulator);
            let mut requests = Vec::new();
            for _ in 0..3 {
                requests.push(caller.submit("invert").await);
            }
            for request in &requests {
                made(request, "invert").await;
            }
            emulator.shutdown().await;
        }
        assert_eq!(server.most_jobs(), 1, "{ids:?}");
        all_differ(prompt_ids(&server));
    }
}

/// Dropped, not shut down, so that the running job is not cancelled.
#[tokio::test]
async fn what_a_killed_emulator_left_behind_is_not_taken_for_the_next_ones() {
    for ids in BOTH {
        let server = held("invert", "executed");
        server.add("blend");
        let first = start(ids, &server).await;
        Caller::of(&first).submit("invert").await;
        server.called("(held)", 1).await;
        drop(first);

        let second = start(ids, &server).await;
        let request = Caller::of(&second).submit("blend").await;
        server.called("POST /prompt", 2).await;
        server.release();
        made(&request, "blend").await;
        all_differ(prompt_ids(&server));
    }
}

#[tokio::test]
async fn two_emulators_on_one_server_each_have_one_job_there_and_get_their_own() {
    for ids in BOTH {
        let server = held("invert", "executing");
        server.add("invert");
        (0..2).for_each(|_| server.add("blend"));
        let emulators = [start(ids, &server).await, start(ids, &server).await];
        let [one, other] = emulators.each_ref().map(Caller::of);
        let mut requests = Vec::new();
        for _ in 0..2 {
            requests.push((one.submit("invert").await, "invert"));
            requests.push((other.submit("blend").await, "blend"));
        }
        server.called("POST /prompt", 2).await;
        server.release();
        for (request, name) in &requests {
            made(request, name).await;
        }
        assert_eq!(server.most_jobs(), 2, "{ids:?}");
        all_differ(prompt_ids(&server));
    }
}

#[tokio::test]
async fn inputs_of_two_emulators_do_not_overwrite_each_other() {
    for ids in BOTH {
        let server = Replay::of("load_image");
        server.add("load_image");
        for content in ["one", "other"] {
            let emulator = start(ids, &server).await;
            let mut body = recorded("load_image");
            body["workflow_api_json"]["1"]["inputs"]["image"] =
                json!(format!("data:image/png,{content}"));
            Caller::of(&emulator).submit_to(DEPLOYMENT, body).await.succeeds().await;
        }
        let uploads = server.uploads();
        assert_eq!(uploads.len(), 2);
        all_differ(uploads.into_iter().map(|(place, _)| place).collect());
    }
}
