//! By which names the server may be reached, and from which web pages.

use runcomfy_http_edge::HostPolicy;

/// Host names and origins that the server accepts. By default: this machine only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Names that a `Host` header may carry; a name without a port allows every port.
    pub allowed_hosts: Vec<String>,
    /// Web pages that may call, as `scheme://host:port`; `*` as port allows every port.
    pub allowed_origins: Vec<String>,
}

/// The most common cause is a server that is reached by another name than this machine's own.
const UNKNOWN_HOST: &str = "the name in the Host header is not allowed; whoever runs the server can allow it with \
    --allowed-host NAME";

impl Default for HttpOptions {
    fn default() -> Self {
        let own = |list: [&str; 3]| list.map(str::to_owned).to_vec();
        Self {
            allowed_hosts: own(["localhost", "127.0.0.1", "[::1]"]),
            allowed_origins: own(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]),
        }
    }
}

impl HttpOptions {
    pub(super) fn host_policy(&self) -> HostPolicy {
        HostPolicy::new(&self.allowed_hosts, &self.allowed_origins, UNKNOWN_HOST)
    }
}
