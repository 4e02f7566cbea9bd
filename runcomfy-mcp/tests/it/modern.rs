//! Several servers before one emulator, and a client of the newest revision, whose requests stand by
//! themselves: each may reach another server.

use std::{net::SocketAddr, sync::Arc};

use runcomfy_core::HttpApi;
use runcomfy_mcp::{
    AuthMode, RunComfyMcp, Settings,
    replay::{MemoryStore, ReplayStore},
    transport::http::HttpServer,
};
use runcomfy_testkit::{Emulator, FakeBuilder};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use crate::over_http::{Server, settings};

/// The keys that they share.
const KEY: &str = "a key for tests of more than 32 characters";

pub(crate) struct Replicas {
    pub(crate) emulator: Emulator,
    addresses: Vec<SocketAddr>,
    /// Ends them.
    _tasks: JoinSet<()>,
}

impl Replicas {
    pub(crate) async fn start(many: usize, account: FakeBuilder) -> Self {
        Self::start_with(many, account, settings()).await
    }

    pub(crate) async fn start_with(many: usize, account: FakeBuilder, settings: Settings) -> Self {
        Self::start_all(many, account, settings, None).await
    }

    /// Servers that share a store of what was done.
    pub(crate) async fn start_sharing(
        many: usize,
        account: FakeBuilder,
        settings: Settings,
        store: Arc<MemoryStore>,
    ) -> Self {
        Self::start_all(many, account, settings, Some(store)).await
    }

    async fn start_all(
        many: usize,
        account: FakeBuilder,
        settings: Settings,
        store: Option<Arc<MemoryStore>>,
    ) -> Self {
        crate::watched::watch();
        let emulator = Emulator::builder().account(account).start().await.unwrap();
        let (mut addresses, mut tasks) = (Vec::new(), JoinSet::new());
        for _ in 0..many {
            let api = HttpApi::builder().base_url(emulator.url().as_str()).build().unwrap();
            let server =
                RunComfyMcp::new(AuthMode::Each { api, anonymous: None }, settings.clone());
            let mut server = server.with_sealing_keys(&[KEY]).unwrap();
            if let Some(store) = &store {
                let store: Arc<dyn ReplayStore> = Arc::<MemoryStore>::clone(store);
                server = server.with_replay_store(store, KEY.as_bytes());
            }
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            tasks.spawn(HttpServer::new(server).serve(listener));
        }
        Self { emulator, addresses, _tasks: tasks }
    }

    /// One request to one of them, from a client that declares these capabilities.
    pub(crate) async fn ask(
        &self,
        replica: usize,
        token: &str,
        capabilities: Value,
        method: &str,
        mut params: Value,
    ) -> Value {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        });
        let named = ["name", "taskId", "uri"].into_iter().find_map(|key| params[key].as_str());
        let name = named.unwrap_or_default();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\nAuthorization: Bearer {token}"
        );
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        Server::send_to(self.addresses[replica], &head, &message.to_string()).await.message()
    }
}
