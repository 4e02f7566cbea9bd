//! `runcomfy-mcp demo`

mod session;

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use self::session::{Session, show};
use super::{
    backend::{Backend, settings},
    exit::End,
    options::Options,
    signals::Stop,
};
use crate::server::RunComfyMcp;

/// See the whole job done on the built-in emulator, step by step, with pictures.
///
/// An MCP client calls all ten tools. No account, no GPU, no network.
#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Where to save the pictures
    #[arg(long, value_name = "DIR", default_value = "runcomfy-demo")]
    out: PathBuf,
}

impl Demo {
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<End> {
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("could not make the folder {}", self.out.display()))?;
        let options = Options { emulator: true, ..options.clone() };
        let backend = Backend::single(&options, None).await?;
        show(
            "An assistant and RunComfy, on the built-in emulator: the pictures are drawn, the prices are not charged.",
        )?;
        let mut settings = settings(&options).for_terminal();
        // Somebody watches, and nobody else is asked.
        settings.wait.shortest = Duration::from_millis(500);
        let server = RunComfyMcp::new(backend.one(), settings);
        let stop = Stop::listen_apart(|signal| signal.die()).context("could not start")?;
        let (asked, ending) = (stop.clone(), server.ending().clone());
        tokio::spawn(async move {
            asked.asked().await;
            ending.cancel(); // waits answer at once
        });
        let mut session = Session::start(server, stop.clone()).await?;
        let saved = play(&mut session, &backend, &self.out).await;
        session.end().await?;
        if let Some(signal) = stop.signal() {
            return Ok(End::Signal(signal));
        }
        let saved = saved?;
        show("\nPictures:")?;
        for path in &saved {
            show(&format!("  {}", path.display()))?;
        }
        show(&next_steps())?;
        Ok(End::Code(0))
    }
}

/// The story: make a picture, change the mind, tidy up. Gives the pictures' paths.
async fn play(
    session: &mut Session,
    backend: &Backend,
    out: &std::path::Path,
) -> anyhow::Result<Vec<PathBuf>> {
    session.tell("What can I use?")?;
    let listed = session.call("list_deployments", json!({})).await?;
    session.remark(&names(&listed))?;
    let text_to_image = listed["deployments"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|deployment| deployment["name"] == "text-to-image")
        .context("the emulator has no deployment named text-to-image")?;
    let (workflow_id, existing) =
        (text_to_image["workflow_id"].clone(), text_to_image["id"].clone());

    session.tell("What can be set on it?")?;
    let shown = session
        .call("get_deployment", json!({"deployment_id": existing, "include_payload": true}))
        .await?;
    let nodes = &shown["payload_summary"]["workflow_node_summary"];
    let (prompt, seed) = (node(nodes, "CLIPTextEncode")?, node(nodes, "KSampler")?);

    session.remark(&format!(
        "node {prompt}: {}; node {seed}: {}",
        inputs(nodes, &prompt),
        inputs(nodes, &seed)
    ))?;

    session.tell("One of my own, with room for two runs at once.")?;
    let created = session
        .call(
            "create_deployment",
            json!({"name": "demo", "workflow_id": workflow_id, "workflow_version": "v1"}),
        )
        .await?;
    let id = created["deployment"]["id"].clone();
    session.call("update_deployment", json!({"deployment_id": id, "max_instances": 2})).await?;

    let mut saved = Vec::new();
    let wishes = [
        ("a lighthouse on a rocky shore at dusk, oil painting", 42),
        ("snow on a forest at night", 7),
    ];
    let mut last = Value::Null;
    for (at, (wish, number)) in wishes.into_iter().enumerate() {
        session.tell(&format!("Make me a picture: {wish}."))?;
        let overrides =
            json!({&prompt: {"inputs": {"text": wish}}, &seed: {"inputs": {"seed": number}}});
        last = session
            .call(
                "submit_request",
                json!({"deployment_id": id, "overrides": overrides, "wait_for_completion": true, "timeout_seconds": 60}),
            )
            .await?;
        for file in last["output_urls"].as_array().into_iter().flatten() {
            let url = file["url"].as_str().context("an output without an address")?;
            let picture =
                backend.api.download(url, MOST_BYTES).await.context("could not get the picture")?;
            let path = out.join(format!("picture-{}.png", at + 1));
            std::fs::write(&path, &picture.bytes)
                .with_context(|| format!("could not write {}", path.display()))?;
            session.remark(&format!(
                "saved {} ({} KB)",
                path.display(),
                picture.bytes.len() / 1024
            ))?;
            saved.push(path);
        }
    }

    session.tell("Where did that run, and what did it make?")?;
    let ids = json!({"deployment_id": id, "request_id": last["request_id"]});
    let status = session.call("get_request_status", ids.clone()).await?;
    session.call("get_request_result", ids).await?;

    session.tell("Free the GPU's memory on that machine.")?;
    session
        .call(
            "call_instance_proxy",
            json!({
                "deployment_id": id,
                "instance_id": status["status"]["instance_id"],
                "comfy_backend_path": "api/free",
                "request_body": {"unload_models": true, "free_memory": true},
            }),
        )
        .await?;

    session.tell("Another one. No, stop.")?;
    let second = session.call("submit_request", json!({"deployment_id": id})).await?;
    session
        .call("cancel_request", json!({"deployment_id": id, "request_id": second["request_id"]}))
        .await?;

    session.tell("A slip of the hand: is it caught before it costs anything?")?;
    session
        .call_badly("update_deployment", json!({"deployment_id": id, "max_instance": 50}))
        .await?;

    session.tell("Tidy up.")?;
    session.call("delete_deployment", json!({"deployment_id": id, "confirm": true})).await?;
    Ok(saved)
}

/// The most bytes that a picture may have.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The first node of a class, by id.
fn node(nodes: &Value, class_type: &str) -> anyhow::Result<String> {
    let node = nodes.as_array().into_iter().flatten().find(|node| node["class_type"] == class_type);
    let id = node.and_then(|node| node["node_id"].as_str());
    Ok(id.with_context(|| format!("the workflow has no {class_type}"))?.to_owned())
}

/// What the listed deployments are called.
fn names(listed: &Value) -> String {
    let names = listed["deployments"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|deployment| deployment["name"].as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// The inputs of a node that can be set.
fn inputs(nodes: &Value, node_id: &str) -> String {
    let node = nodes.as_array().into_iter().flatten().find(|node| node["node_id"] == node_id);
    let inputs = node.and_then(|node| node["settable_inputs"].as_object()).into_iter().flatten();
    inputs.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// How to go on with a real account.
fn next_steps() -> String {
    let program = std::env::current_exe()
        .map_or_else(|_| "runcomfy-mcp".to_owned(), |path| path.display().to_string());
    format!(
        "\nConnect an assistant, on the emulator first:\n  \
         claude mcp add runcomfy -- {program} --emulator\n\
         then with your account (RunComfy: Profile, Account, API Token):\n  \
         claude mcp add runcomfy -e RUNCOMFY_API_KEY=<token> -- {program}\n\
         Other clients: see the README. Check the set-up: {program} doctor"
    )
}
