#![doc = include_str!("../README.md")]

// Each group of modules uses only the groups above it.
mod delivery;
mod detach;
mod framing;
mod health;
mod refusal;
mod request;
mod service;
mod settings;

mod body;
mod connection_state;
mod host_policy;

mod response_body;
mod socket;

mod connection;

mod server;

pub use body::{MemoryBudget, MemoryPermit, ReadBodyError, read_body};
pub use connection::{ShutdownSignals, serve_connection};
pub use delivery::{Delivery, DeliveryOutcome, DeliveryReceipt};
pub use detach::Detach;
pub use health::{Liveness, health_routes, is_health_path};
pub use host_policy::{HostPolicy, enforce_host_policy};
pub use refusal::{refusal, retry_later};
pub use request::{HttpRequestId, PeerAddr, content_length, single_header};
pub use server::{OpenConnections, Server, ServerBuilder};
pub use service::{ResponseFuture, Service};
pub use settings::ConnectionSettings;
