//! The two stand-ins of `clients/peers`, installed and named: the stacks of other servers, not those servers.

use std::fs;

use super::contestant::Contestant;
use crate::{
    clients::{node, npm_ci, python_1},
    shell::{root, step},
};

pub(super) fn install() -> anyhow::Result<Vec<Contestant>> {
    step("install the stand-ins", || {
        let (root, folder) = (root()?, root()?.join("target/clients"));
        let python = python_1(&folder)?;
        let place = folder.join("typescript");
        npm_ci("typescript", &place)?;
        // Node looks for packages beside the script that wants them.
        let script = place.join("server.mjs");
        fs::copy(root.join("clients/peers/server.mjs"), &script)?;
        let python =
            format!("{} {}", python.display(), root.join("clients/peers/server.py").display());
        let node = format!("{} {}", node(&place).display(), script.display());
        let stand_in = |name: &str, program: &str| {
            Contestant::command(name, &format!("{program} --port {{port}} --upstream {{upstream}}"))
                .with_stdio(&format!("{program} --stdio --upstream {{upstream}}"))
        };
        Ok(vec![stand_in("python", &python), stand_in("typescript", &node)])
    })
}
