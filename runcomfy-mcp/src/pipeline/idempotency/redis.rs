//! Outcomes in Redis, where several servers share them.

use std::time::Duration;

use async_trait::async_trait;
use redis::{
    Client, RedisError, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::store::{Entry, ReplayKey, ReplayStore, StoreUnavailable};

/// A [`ReplayStore`] in a Redis of version 7 or later, by `redis://` or `redis+unix://`; without TLS.
///
/// It must not evict keys (`maxmemory-policy noeviction`): what it forgets early may run twice. Whether
/// outcomes outlive its restart is up to its own persistence.
#[derive(Clone)]
pub struct RedisStore {
    connection: ConnectionManager,
}

/// Longer than a healthy store takes; whoever waits is refused.
const PATIENCE: Duration = Duration::from_secs(1);
/// A machine that is starting everything at once may take its time.
const TO_CONNECT: Duration = Duration::from_secs(5);

const PREFIX: &str = "runcomfy-mcp:replay:";

impl RedisStore {
    /// Connects; later failures are mended by connecting again.
    ///
    /// # Errors
    /// The address is none, or nobody answers there. No error repeats the address, which may hold a
    /// password.
    pub async fn connect(url: &str) -> Result<Self, StoreUnavailable> {
        let client = Client::open(url).map_err(told)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(TO_CONNECT))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let connecting = ConnectionManager::new_with_config(client, config);
        let connection = connecting.await.map_err(told)?;
        Ok(Self { connection })
    }

    async fn ask(&self, command: redis::Cmd) -> Result<Value, StoreUnavailable> {
        let mut connection = self.connection.clone();
        let asked = command.query_async(&mut connection);
        match tokio::time::timeout(2 * PATIENCE, asked).await {
            Ok(answer) => answer.map_err(told),
            Err(_) => Err(StoreUnavailable("no answer".to_owned())),
        }
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisStore")
    }
}

/// What kind of failure it was, and nothing of what was asked.
fn told(error: RedisError) -> StoreUnavailable {
    StoreUnavailable(error.category().to_owned())
}

fn text(entry: &Entry) -> Result<String, StoreUnavailable> {
    serde_json::to_string(entry).map_err(|_| StoreUnavailable("not to be written".to_owned()))
}

#[async_trait]
impl ReplayStore for RedisStore {
    async fn claim(
        &self,
        key: &ReplayKey,
        entry: &Entry,
        keep: Duration,
    ) -> Result<Option<Entry>, StoreUnavailable> {
        let mut command = redis::cmd("SET");
        command.arg(format!("{PREFIX}{key}")).arg(text(entry)?).arg("NX").arg("GET");
        match self.ask(command.arg("PX").arg(milliseconds(keep)).to_owned()).await? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| StoreUnavailable("an entry can't be read".to_owned())),
            _ => Err(StoreUnavailable("an answer of another kind".to_owned())),
        }
    }

    async fn replace(
        &self,
        key: &ReplayKey,
        entry: &Entry,
        keep: Duration,
    ) -> Result<(), StoreUnavailable> {
        let mut command = redis::cmd("SET");
        command.arg(format!("{PREFIX}{key}")).arg(text(entry)?).arg("PX").arg(milliseconds(keep));
        self.ask(command).await.map(drop)
    }

    async fn forget(&self, key: &ReplayKey) -> Result<(), StoreUnavailable> {
        let mut command = redis::cmd("DEL");
        command.arg(format!("{PREFIX}{key}"));
        self.ask(command).await.map(drop)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
