//! Three servers behind nginx, one killed while callers wait: each calls again, nothing is lost, nothing runs
//! twice. With the configuration that docs/hosting.md shows.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use crate::{
    measure,
    needs::{find, look_for},
    peer::Peer,
    program::Program,
    shell::{command, root, run as run_command, signal, step},
};

const CALLERS: usize = 9;
const REPLICAS: usize = 3;
/// Long enough for all to wait when one is killed.
const EMULATOR: [&str; 4] = ["--cold-start", "3", "--run-time", "3"];
const UNTIL_THE_KILL: Duration = Duration::from_secs(2);
const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

pub(crate) fn run() -> anyhow::Result<()> {
    look_for("replicas behind nginx, one of them killed", &["nginx-light", "redis-server"])?;
    step("the programs", || {
        for what in [
            "--package runcomfy-mcp --features redis --bins",
            "--package runcomfy-testkit --bin runcomfy-emulator",
        ] {
            run_command(&mut command(&format!("cargo build --locked {what}"))?)?;
        }
        Ok(())
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    step("three replicas behind nginx", || runtime.block_on(replicas()))
}

async fn replicas() -> anyhow::Result<()> {
    let folder = root()?.join("target/replicas");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let emulator = start("runcomfy-emulator", &EMULATOR, &[])?;
    let socket = folder.join("redis.sock");
    let _redis = redis(&socket).await?;
    let (upstream, store) =
        (format!("http://{}", emulator.address), format!("redis+unix://{}", socket.display()));
    let mut servers = Vec::new();
    for _ in 0..REPLICAS {
        let unbound = ["--calls-per-second", "0", "--paid-calls-per-second", "0"];
        let behind = ["--base-url", &upstream, "--refusals-per-minute", "0", "--log", "warn"];
        let arguments = [&["serve"][..], &behind, &unbound].concat();
        let shared = [
            ("RUNCOMFY_MCP_SEALING_KEYS", "32 characters or more and the same for all"),
            ("RUNCOMFY_MCP_REPLAY_SECRET", "32 characters or more and the same for all"),
            ("RUNCOMFY_MCP_REPLAY_STORE", &store),
        ];
        servers.push(start("runcomfy-mcp", &arguments, &shared)?);
    }
    let (_nginx, door) = nginx(&folder, &servers).await?;

    let mut runs = Vec::new();
    for number in 0..CALLERS {
        let mut caller = Peer::new(door, token(number));
        let run = caller.call("submit_request", json!({"deployment_id": DEPLOYMENT})).await?;
        runs.push(run["request_id"].as_str().context("no request_id")?.to_owned());
    }
    let looks = runs.iter().map(|run| {
        let arguments = json!({"deployment_id": DEPLOYMENT, "request_id": run, "wait_seconds": 60});
        ("get_request_result", arguments)
    });
    let (answers, broken) = wait_through_a_kill(door, looks.collect(), servers.remove(0)).await?;
    for (answer, run) in answers.iter().zip(&runs) {
        ensure!(answer["result"]["request_id"] == json!(run), "another's result: {answer}");
    }
    println!("{CALLERS} wait for results, one server is killed: {broken} call again, none lost");

    let submits = (0..CALLERS).map(|number| {
        let arguments = json!({
            "deployment_id": DEPLOYMENT,
            "wait_for_completion": true,
            "timeout_seconds": 60,
            "idempotency_key": format!("second-{number}"),
        });
        ("submit_request", arguments)
    });
    let (answers, broken) = wait_through_a_kill(door, submits.collect(), servers.remove(0)).await?;
    let replayed = answers.iter().filter(|answer| answer["replayed"] == true).count();
    ensure!(replayed == broken, "{broken} called again, {replayed} were told of their first run");
    println!("{CALLERS} submit and wait, another is killed: {broken} call again, none runs twice");

    for number in 0..CALLERS {
        let mut account = Peer::new(emulator.address, token(number));
        let overview = account.get("/_emulator/account").await?;
        ensure!(overview["runs_started"] == 2, "{number}: {} runs", overview["runs_started"]);
    }
    Ok(())
}

/// Has each caller make its call, kills the server while they wait, and has those call again whose call
/// broke. Gives the answers, and how many broke.
async fn wait_through_a_kill(
    door: SocketAddr,
    calls: Vec<(&'static str, Value)>,
    victim: Program,
) -> anyhow::Result<(Vec<Value>, usize)> {
    let mut waiting = JoinSet::new();
    for (number, (tool, arguments)) in calls.into_iter().enumerate() {
        waiting.spawn(async move {
            let mut broke = 0;
            loop {
                let mut caller = Peer::new(door, token(number));
                // Every other one listens: what is cut then is a stream of events in the middle.
                let answered = if number % 2 == 0 {
                    caller.call(tool, arguments.clone()).await
                } else {
                    let answered = caller.call_and_listen(tool, arguments.clone()).await;
                    answered.and_then(|(answer, heard)| {
                        ensure!(heard >= 2, "{number} heard {heard} times of a wait");
                        Ok(answer)
                    })
                };
                match answered {
                    Ok(answer) => return Ok((number, answer, broke)),
                    Err(error) if broke == 5 => return Err(error),
                    Err(_) => broke += 1,
                }
            }
        });
    }
    sleep(UNTIL_THE_KILL).await;
    victim.kill()?;
    let mut answers = Vec::new();
    let mut broken = 0;
    while let Some(ended) = waiting.join_next().await {
        let (number, answer, broke) = ended??;
        ensure!(answer["state"] == "succeeded", "{number}: {answer}");
        broken += usize::from(broke > 0);
        answers.push((number, answer));
    }
    ensure!(broken > 0, "nobody waited at the server that was killed");
    answers.sort_by_key(|(number, _)| *number);
    Ok((answers.into_iter().map(|(_, answer)| answer).collect(), broken))
}

fn token(number: usize) -> String {
    format!("caller-{number}")
}

fn start(name: &str, arguments: &[&str], shared: &[(&str, &str)]) -> anyhow::Result<Program> {
    let listen = ["--listen", "127.0.0.1:0"];
    let file = format!("../debug/{name}");
    Program::start_in(name, &file, &[arguments, &listen].concat(), shared)
}

/// Ended when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is as good as killed. nginx and Redis end by themselves on SIGTERM, with their workers.
        drop(signal("TERM", self.0.id().into()).status());
        drop(self.0.wait());
    }
}

async fn redis(socket: &Path) -> anyhow::Result<Daemon> {
    let mut redis = Command::new(find("redis-server").context("redis-server")?);
    redis.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(socket);
    let daemon = Daemon(redis.stdout(Stdio::null()).spawn().context("redis-server")?);
    let begun = measure::now();
    while !socket.exists() {
        ensure!(begun.elapsed() < Duration::from_secs(10), "Redis does not start");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(daemon)
}

/// The documented configuration, with the addresses of this run.
async fn nginx(folder: &Path, servers: &[Program]) -> anyhow::Result<(Daemon, SocketAddr)> {
    // Free now: nobody else on this machine is known to want it.
    let door = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut config = fs::read_to_string(root()?.join("deploy/nginx.conf"))?;
    let mut put = |from: String, to: String| {
        ensure!(config.matches(&from).count() == 1, "deploy/nginx.conf: not one {from:?}");
        config = config.replace(&from, &to);
        Ok(())
    };
    put("listen 8080;".to_owned(), format!("listen {door};"))?;
    for (number, server) in servers.iter().enumerate() {
        put(format!("mcp-{}:8000", number + 1), server.address.to_string())?;
    }
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};", folder.join(kind).display()));
    put("http {".to_owned(), format!("http {{\n{}", temporary.join("\n")))?;
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let globals =
        format!("daemon off; pid {}; error_log stderr crit;", folder.join("pid").display());
    let mut nginx = Command::new(find("nginx-light").context("nginx")?);
    nginx.arg("-p").arg(folder).arg("-c").arg(&file).args(["-g", &globals, "-e", "stderr"]);
    let daemon = Daemon(nginx.spawn().context("nginx")?);
    let begun = measure::now();
    while TcpStream::connect(door).await.is_err() {
        if begun.elapsed() > Duration::from_secs(10) {
            bail!("nginx does not start");
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok((daemon, door))
}
