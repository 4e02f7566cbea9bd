//! Files that follow from the tools themselves: written, or compared with what is there.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::shell::{command, read, root};

/// Whether to write or to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Check,
    Write,
}

pub(crate) fn run(mode: Mode) -> anyhow::Result<()> {
    let root = root()?;
    let written = read(&mut command(
        "cargo run --quiet --locked --package runcomfy-mcp --example as_written",
    )?)?;
    let published = ensure(&root.join("runcomfy-mcp/tools.json"), &format!("{written}\n"), mode)?;
    // The built program is asked, so that this crate stays small and what is written is what is served.
    let tools =
        read(&mut command("cargo run --quiet --locked --package runcomfy-mcp -- tools --json")?)?;
    let errors =
        read(&mut command("cargo run --quiet --locked --package runcomfy-mcp -- errors --json")?)?;
    let list: Value = serde_json::from_str(&tools).context("the tools are no JSON")?;
    let list = list["tools"].as_array().context("the tools are no list")?;
    let kinds: Value = serde_json::from_str(&errors).context("the errors are no JSON")?;
    let kinds = kinds.as_array().context("the errors are no list")?;
    let readme = fs::read_to_string(root.join("README.md")).context("could not read README.md")?;
    let stale: Vec<_> = [
        published,
        ensure(&root.join("docs/tools.md"), &tools_page(list), mode)?,
        ensure(&root.join("docs/errors.md"), &errors_page(kinds), mode)?,
        ensure(&root.join("README.md"), &with_table(&readme, &tools_table(list))?, mode)?,
    ]
    .into_iter()
    .flatten()
    .collect();
    if !stale.is_empty() {
        bail!(
            "not what follows from the code now: {}. Run `cargo xtask codegen` and look at the difference",
            stale.join(", ")
        );
    }
    Ok(())
}

/// Sees to it that the file holds this text. Gives its name where it did not and only a comparison is wanted.
fn ensure(path: &Path, wanted: &str, mode: Mode) -> anyhow::Result<Option<String>> {
    let found = fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    if found == wanted {
        return Ok(None);
    }
    match mode {
        Mode::Check => Ok(Some(path.display().to_string())),
        Mode::Write => {
            fs::write(path, wanted)
                .with_context(|| format!("could not write {}", path.display()))?;
            println!("wrote {}", path.display());
            Ok(None)
        }
    }
}

const BEGIN: &str = "<!-- tools: written by `cargo xtask codegen` -->";
const END: &str = "<!-- /tools -->";

fn with_table(readme: &str, table: &str) -> anyhow::Result<String> {
    let (before, rest) =
        readme.split_once(BEGIN).context("README.md has no place for the table of tools")?;
    let (_, after) = rest.split_once(END).context("README.md's table of tools has no end")?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

/// A text of a JSON object, safe in a table's cell.
fn text<'a>(value: &'a Value, key: &str) -> std::borrow::Cow<'a, str> {
    let text = value[key].as_str().unwrap_or_default();
    if text.contains('|') { text.replace('|', "\\|").into() } else { text.into() }
}

fn tools_table(tools: &[Value]) -> String {
    let mut out = String::from("| Tool | What it does |\n|---|---|\n");
    for tool in tools {
        let description = text(tool, "description");
        let first = description.split_inclusive(". ").next().unwrap_or_default();
        let _ =
            writeln!(out, "| [`{0}`](docs/tools.md#{0}) | {1} |", text(tool, "name"), first.trim());
    }
    out
}

fn tools_page(tools: &[Value]) -> String {
    let mut out = String::from(
        "<!-- written by `cargo xtask codegen`; edit the tools instead -->\n\n# Tools\n",
    );
    for tool in tools {
        let hints = &tool["annotations"];
        let hint = |name: &str| if hints[name] == true { "yes" } else { "no" };
        let _ = write!(
            out,
            "\n## {}\n\n{}\n\nReads only: {}. Destructive: {}. Idempotent: {}. Open world: {}.\n",
            text(tool, "name"),
            text(tool, "description"),
            hint("readOnlyHint"),
            hint("destructiveHint"),
            hint("idempotentHint"),
            hint("openWorldHint"),
        );
        out.push_str("\n| Argument | Type | Default | What it is |\n|---|---|---|---|\n");
        let required = tool["inputSchema"]["required"].as_array();
        for (name, rules) in tool["inputSchema"]["properties"].as_object().into_iter().flatten() {
            let must = required.is_some_and(|all| all.iter().any(|one| one == name));
            let default = match rules.get("default") {
                Some(default) => format!("`{default}`"),
                None if must => "required".to_owned(),
                None => String::new(),
            };
            let _ = writeln!(
                out,
                "| `{name}` | {} | {default} | {} |",
                kind(rules),
                text(rules, "description")
            );
        }
        out.push_str("\n| In a successful result | What it is |\n|---|---|\n");
        let properties = tool["outputSchema"]["properties"].as_object();
        for (name, rules) in properties
            .into_iter()
            .flatten()
            .filter(|(_, rules)| !text(rules, "description").starts_with("On "))
        {
            let _ = writeln!(out, "| `{name}` | {} |", text(rules, "description"));
        }
    }
    out.push_str("\nA failed call has `ok: false` and the fields of [errors.md](errors.md).\n");
    out
}

/// A type with its range, in words.
fn kind(rules: &Value) -> String {
    let mut kind = text(rules, "type").into_owned();
    match (rules.get("minimum"), rules.get("maximum")) {
        (Some(least), Some(most)) => {
            let _ = write!(kind, ", {least} to {most}");
        }
        (Some(least), None) => {
            let _ = write!(kind, ", at least {least}");
        }
        _ => {}
    }
    if let Some(Value::Array(words)) = rules.get("enum") {
        let words: Vec<_> =
            words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        let _ = write!(kind, ": {}", words.join(" "));
    }
    kind
}

fn errors_page(kinds: &[Value]) -> String {
    let mut out = String::from(
        "<!-- written by `cargo xtask codegen`; edit the error kinds and hints instead -->\n\n# Errors\n\n\
         A failed call is an MCP result with `isError: true` and, in `structuredContent`: `ok: false`, `kind`, `message`, \
         `outcome`, `retryable`, `hint`, and where known `deployment_id`, `request_id`, `status_code`, `error_code`, `detail`, \
         `retry_after_seconds` and `attempts`; for `invalid_argument` the list `invalid_arguments` of `argument` and \
         `rule`; after a run was accepted also its `submission`, and the `status` and `state` last seen.\n\n\
         `outcome` says what is known for sure: `not_sent` (nothing left this machine), `rejected` (refused, no effect), \
         `applied` (it took effect, only what came after failed), `unknown` (it may have taken effect).\n\n\
         The outcome and the advice below are those of `submit_request` in the usual case; each error carries its own.\n\n\
         | Kind | Meaning | Outcome | What to do | Exit code of `call` |\n|---|---|---|---|---|\n",
    );
    for kind in kinds {
        let _ = writeln!(
            out,
            "| `{}` | {} | `{}` | {} | {} |",
            text(kind, "kind"),
            text(kind, "meaning"),
            text(kind, "outcome"),
            text(kind, "hint"),
            kind["exit_code"],
        );
    }
    out
}
