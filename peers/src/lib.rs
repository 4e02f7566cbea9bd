//! What the programs of this package have in common: their arguments, and the tools they list.

use std::net::SocketAddr;

use anyhow::Context as _;

/// The server's own list of tools, as it is published: `{"tools": […]}`.
pub const TOOLS: &str = concat!("{\"tools\":", include_str!("../../runcomfy-mcp/tools.json"), "}");

/// What stands behind `name` on the command line, if it is there.
#[must_use]
pub fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}

/// Whether `name` is on the command line.
#[must_use]
pub fn flag(name: &str) -> bool {
    std::env::args().any(|word| word == name)
}

/// Where to listen: what `--listen` says, or a port of its own.
///
/// # Errors
/// It is no address.
pub fn listen() -> anyhow::Result<SocketAddr> {
    let listen = argument("--listen").unwrap_or_else(|| "127.0.0.1:0".to_owned());
    listen.parse().with_context(|| format!("--listen {listen}"))
}

/// JSON without the space between its parts.
#[must_use]
pub fn compact(json: &str) -> String {
    let (mut compact, mut in_text, mut escaped) = (String::with_capacity(json.len()), false, false);
    for character in json.chars() {
        if in_text || !character.is_ascii_whitespace() {
            compact.push(character);
        }
        if character == '"' && !escaped {
            in_text = !in_text;
        }
        escaped = character == '\\' && !escaped;
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_json_is_the_same_json() {
        let whole: serde_json::Value = serde_json::from_str(TOOLS).unwrap();
        assert_eq!(compact(TOOLS), whole.to_string());
        assert_eq!(compact(r#"{ "a\" b" : " \\" }"#), r#"{"a\" b":" \\"}"#);
    }
}
