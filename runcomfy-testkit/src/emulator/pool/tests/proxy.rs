//! Tests of proxy calls to the server behind an instance.

use super::*;

struct Instance {
    caller: Caller,
    deployment: &'static str,
    id: String,
}

impl Instance {
    /// The instance of this request.
    async fn of(request: &Asked) -> Self {
        let status = request.is("in_progress").await;
        let id = status["instance_id"].as_str().unwrap().to_owned();
        Self { caller: request.caller.clone(), deployment: request.deployment, id }
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let Self { deployment, id, .. } = self;
        let what = format!("{method} prod/v2/deployments/{deployment}/instances/{id}/proxy/{path}");
        self.caller.call(&what, body).await
    }
}

/// A run in progress and its instance.
async fn busy(server: &Replay) -> (Emulator, Asked, Instance) {
    let emulator = emulator(&[server]).await;
    let request = Caller::of(&emulator).submit("invert").await;
    server.called("(held)", 1).await;
    let instance = Instance::of(&request).await;
    (emulator, request, instance)
}

#[tokio::test]
async fn answers_come_as_the_server_gives_them() {
    let server = held("invert", "executing");
    let (_emulator, request, instance) = busy(&server).await;
    let queue = instance.call("GET", "queue", None).await;
    assert_eq!(queue.json()["queue_running"][0][1], prompt_ids(&server)[0]);
    let stats = instance.call("GET", "api/system_stats", None).await;
    assert_eq!(stats.content_type.as_deref(), Some("application/json; charset=utf-8"));
    let empty = instance.call("POST", "free", Some(&json!({"unload_models": true}))).await;
    assert_eq!((empty.status, empty.bytes.len()), (200, 0));
    assert_eq!(count(&server, "POST /free {\"unload_models\":true}"), 1);
    let missing = instance.call("GET", "nope", None).await;
    assert_eq!((missing.status, missing.bytes.len()), (404, 0));

    server.release();
    request.succeeds().await;
    let query = "view?filename=invert_00001_.png&subfolder=&type=output";
    let picture = instance.call("GET", query, None).await;
    let view = Recording::load("invert").views.remove(0);
    assert_eq!((picture.status, picture.bytes), (200, view.bytes));
}

#[tokio::test]
async fn an_instance_is_one_of_its_deployment_and_its_account_only() {
    let server = held("invert", "executing");
    let (emulator, _request, mut instance) = busy(&server).await;
    assert_eq!(instance.call("GET", "queue", None).await.status, 200);
    let id = std::mem::replace(&mut instance.id, "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d".into());
    assert_eq!(instance.call("GET", "queue", None).await.service_error(), (404, Some(404_001)));
    instance.id = id;
    let other = Instance { deployment: NARROW, ..instance };
    assert_eq!(
        other.call("POST", "free", Some(&json!({}))).await.service_error(),
        (404, Some(404_001))
    );
    let caller = Caller::with_token(&emulator, "somebody else");
    let other = Instance { caller, deployment: DEPLOYMENT, id: other.id };
    assert_eq!(other.call("GET", "queue", None).await.service_error(), (404, Some(404_001)));
    assert_eq!(count(&server, "POST /free"), 0);
}

#[tokio::test]
async fn an_interrupt_stops_ones_own_job_only() {
    let recording = Recording::load("queue_delete_and_interrupt_id");
    let hold = Some(recording.index("execution_interrupted"));
    let changes = Changes { hold, interrupts: Some(1), ..Changes::default() };
    let server = Replay::several(vec![Recording::load("invert"), recording], changes);
    let emulator = emulator(&[&server]).await;
    // Another account that has had a run on the server.
    let other = Caller::with_token(&emulator, "somebody else").submit("invert").await;
    let status = other.is("completed").await;
    let id = status["instance_id"].as_str().unwrap().to_owned();
    let other = Instance { caller: other.caller.clone(), deployment: DEPLOYMENT, id };

    let request = Caller::of(&emulator).submit("queue_delete_and_interrupt_id").await;
    server.called("(held)", 1).await;
    let mine = Instance::of(&request).await;
    for body in [json!({}), json!({"prompt_id": prompt_ids(&server)[1]})] {
        assert_eq!(other.call("POST", "interrupt", Some(&body)).await.status, 200);
    }
    assert_eq!(count(&server, "POST /interrupt"), 0);
    assert_eq!(mine.call("POST", "interrupt", Some(&json!({}))).await.status, 200);
    assert_eq!(request.result().await["status"], "cancelled");
}

#[tokio::test]
async fn a_file_is_uploaded_as_a_form() {
    let server = held("invert", "executing");
    let (_emulator, _request, instance) = busy(&server).await;
    let Instance { caller, deployment, id } = &instance;
    let form = || {
        reqwest::multipart::Form::new()
            .part(
                "image",
                reqwest::multipart::Part::bytes(b"pixels".as_slice()).file_name("cat.png"),
            )
            .text("subfolder", "mine")
            .text("type", "input")
            .text("overwrite", "true")
    };
    let post = async |path: &str| {
        let path = format!("prod/v2/deployments/{deployment}/instances/{id}/proxy/{path}");
        let url = caller.origin.join(&path).unwrap();
        let post = caller.http.post(url).bearer_auth(caller.token).multipart(form());
        post.send().await.unwrap().status().as_u16()
    };
    for path in ["upload/image", "api/upload/image"] {
        assert_eq!(post(path).await, 200, "{path}");
    }
    let uploads = server.uploads();
    assert_eq!(uploads, vec![("mine/cat.png".to_owned(), b"pixels".to_vec()); 2]);
    // Routes that take JSON take no forms, which would bypass the restriction to the caller's own jobs.
    assert_eq!(post("queue").await, 422);
    assert_eq!(count(&server, "POST /queue"), 0);
}

#[tokio::test]
async fn what_would_reach_beyond_ones_own_is_refused() {
    let server = held("invert", "executing");
    let (_emulator, _request, instance) = busy(&server).await;
    for (method, path) in [
        ("POST", "manager/reboot"),
        ("GET", "api/v2/manager/queue/install"),
        ("POST", "api/jobs/cancel"),
        ("GET", "ws"),
    ] {
        let reply = instance.call(method, path, None).await;
        assert_eq!(reply.service_error(), (405, Some(405_001)), "{path}");
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_bad_gateway() {
    let mut server = held("invert", "executing");
    let (_emulator, _request, instance) = busy(&server).await;
    server.kill();
    assert_eq!(instance.call("GET", "queue", None).await.status, 502);
}
