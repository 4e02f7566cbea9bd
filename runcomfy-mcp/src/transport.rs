//! How clients reach the server.

mod brief;
pub mod http;
pub mod stdio;
