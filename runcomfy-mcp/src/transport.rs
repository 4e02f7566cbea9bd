//! How clients reach the server.

mod brief;
pub mod http;
mod insertions;
pub mod stdio;

pub(crate) use self::insertions::Insertions;
