//! Tests of several emulators on one real ComfyUI: each returns its own outputs.

use super::*;
use crate::{
    comfyui::tests::emulated::Caller,
    emulator::{Emulator, EmulatorBuilder},
};

/// Emulators with the same ids at each start, and with random ids.
async fn builders(test: &str) -> Option<[impl Fn() -> EmulatorBuilder; 2]> {
    server(test).await?;
    let url: url::Url = std::env::var("COMFYUI_URL").unwrap().parse().unwrap();
    Some([None, Some(7)].map(|seed: Option<u64>| {
        let url = url.clone();
        move || {
            let builder = Emulator::builder().comfyui(url.clone());
            match seed {
                None => builder,
                Some(seed) => builder.one_account(seed),
            }
        }
    }))
}

/// The nodes with outputs.
#[track_caller]
fn nodes(result: &Value) -> Vec<String> {
    assert_eq!(result["status"], "succeeded", "{result}");
    let mut nodes: Vec<_> = result["outputs"].as_object().unwrap().keys().cloned().collect();
    nodes.sort();
    nodes
}

/// A graph whose image width identifies it.
fn picture(width: usize) -> Value {
    let mut graph = workflow("invert");
    graph["1"]["inputs"]["width"] = json!(width);
    graph
}

/// The width of the image in a result, from its PNG header.
async fn width(caller: &Caller, result: &Value) -> usize {
    assert_eq!(nodes(result), ["3"]);
    let png = caller.file(result["outputs"]["3"]["images"][0]["url"].as_str().unwrap()).await;
    u32::from_be_bytes(png[16..20].try_into().unwrap()) as usize
}

/// A user who restarts the emulator.
#[tokio::test]
async fn the_next_emulator_answers_with_its_own_runs() {
    let test = "the_next_emulator_answers_with_its_own_runs";
    let Some(builders) = builders(test).await else { return };
    for builder in builders {
        for (name, expected) in [("blend", ["13", "14"].as_slice()), ("audio", &["2", "3", "4"])] {
            let caller = Caller::start(builder()).await;
            let request = caller.submit(workflow(name)).await;
            assert_eq!(nodes(&caller.result(&request).await), expected);
            caller.emulator.shutdown().await;
        }
    }
}

#[tokio::test]
async fn what_a_killed_emulator_left_running_is_not_the_next_ones() {
    let test = "what_a_killed_emulator_left_running_is_not_the_next_ones";
    let Some(builders) = builders(test).await else { return };
    for builder in builders {
        let first = Caller::start(builder()).await;
        let mut slow = workflow("slow");
        slow["2"]["inputs"]["seed"] = json!(chance());
        // It takes some seconds.
        slow["33"]["inputs"]["images"] = json!(["9", 0]);
        let request = first.submit(slow).await;
        first.result_unlike(&request, &["in_queue"]).await;
        // Dropped, so that the running job is not cancelled.
        drop(first);
        let second = Caller::start(builder()).await;
        let request = second.submit(picture(72)).await;
        assert_eq!(width(&second, &second.result(&request).await).await, 72);
        second.emulator.shutdown().await;
    }
}

#[tokio::test]
async fn two_emulators_at_once_get_their_own() {
    let test = "two_emulators_at_once_get_their_own";
    let Some(builders) = builders(test).await else { return };
    for builder in builders {
        let callers = [Caller::start(builder()).await, Caller::start(builder()).await];
        let mut requests = Vec::new();
        for number in 0..8 {
            let caller = &callers[number % 2];
            requests.push((caller, caller.submit(picture(64 + 8 * number)).await));
        }
        for (number, (caller, request)) in requests.into_iter().enumerate() {
            assert_eq!(width(caller, &caller.result(&request).await).await, 64 + 8 * number);
        }
        for caller in callers {
            caller.emulator.shutdown().await;
        }
    }
}
