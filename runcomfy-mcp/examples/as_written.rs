//! The tools as the code has them, as JSON: what `cargo xtask codegen` writes down for the server to publish.

use runcomfy_mcp::RunComfyMcp;

fn main() -> serde_json::Result<()> {
    serde_json::to_writer(std::io::stdout().lock(), &RunComfyMcp::tools_as_written())
}
