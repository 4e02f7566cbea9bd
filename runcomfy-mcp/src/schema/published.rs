//! The tools as they are published, written down once: to make all the schemas anew took a server most of the
//! time it needed to start. `cargo xtask codegen` writes the file, and a test compares it with the code.

use std::borrow::Cow;

use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The list, as JSON without space in it.
pub(crate) const JSON: &str = include_str!("../../tools.json").trim_ascii_end();

/// The list.
pub(crate) fn tools() -> Vec<Tool> {
    read(JSON)
}

/// The schema of one tool's arguments.
pub(crate) fn input(name: &str) -> JsonObject {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Called<'json> {
        #[serde(borrow)]
        name: Cow<'json, str>,
        #[serde(borrow)]
        input_schema: &'json RawValue,
    }
    let all: Vec<Called<'_>> = read(JSON);
    all.iter()
        .find(|called| called.name == name)
        .map(|called| read(called.input_schema.get()))
        .unwrap_or_else(|| panic!("{name} is not published: `cargo xtask codegen`"))
}

fn read<'json, T: Deserialize<'json>>(json: &'json str) -> T {
    serde_json::from_str(json)
        .unwrap_or_else(|error| panic!("tools.json: {error}: `cargo xtask codegen`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{TOOLS, as_written};

    #[test]
    fn the_list_is_what_the_code_has() {
        let written = serde_json::to_string(&as_written()).unwrap();
        assert!(JSON == written, "stale: `cargo xtask codegen`");
        assert_eq!(serde_json::to_string(&tools()).unwrap(), JSON);
    }

    #[test]
    fn each_tool_is_called_by_the_schema_that_is_listed() {
        for (entry, listed) in TOOLS.iter().zip(tools()) {
            assert_eq!(entry.name(), listed.name);
            assert_eq!(entry.in_short().input_schema, listed.input_schema);
        }
    }
}
