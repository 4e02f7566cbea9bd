//! `runcomfy-mcp`: see `runcomfy-mcp --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runcomfy_mcp::cli::main()
}
