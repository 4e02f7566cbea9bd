//! Creates deployments from a folder of workflow files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use runcomfy_core::{
    DeploymentId, Workflow, deployment::DEFAULT_HARDWARE, workflow::WorkflowError,
};

use super::builder::FakeBuilder;
use crate::{
    account::DeploymentSeed,
    ids::{self, Ids, Named},
    text,
};

/// Ten times the size of ComfyUI's largest workflows.
const LARGEST: u64 = 4 * 1024 * 1024;

impl FakeBuilder {
    /// Replaces all deployments by one for each `.json` file in this folder. The file is a workflow in API
    /// format; its name without the extension is the deployment's name and determines its ids. Other files
    /// and subfolders are ignored.
    ///
    /// # Errors
    /// If the folder can't be read, has no `.json` file, or a file is not a workflow in API format. The
    /// message is one line and names the file.
    pub fn deployments_in(mut self, folder: &Path) -> io::Result<Self> {
        let fault = |path: &Path, why: &str| {
            let message = format!("{}: {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let could_not = |path: &Path, error: &io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        let entries = fs::read_dir(folder).map_err(|error| could_not(folder, &error))?;
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| could_not(folder, &error))?.path();
            if path.extension().is_some_and(|ending| ending == "json") && path.is_file() {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(fault(folder, "the folder has no .json file"));
        }
        files.sort();
        self.seeds.clear();
        for path in &files {
            let size = fs::metadata(path).map_err(|error| could_not(path, &error))?.len();
            if size > LARGEST {
                return Err(fault(path, &format!("it has {size} bytes, the maximum is {LARGEST}")));
            }
            let bytes = fs::read(path).map_err(|error| could_not(path, &error))?;
            let graph = serde_json::from_slice(text::json(&bytes))
                .map_err(|error| fault(path, &format!("it is not JSON: {error}")))?;
            let workflow = Workflow::from_value(graph).map_err(|error| match error {
                WorkflowError::UiFormat => fault(
                    path,
                    "it is in the editor's format: in ComfyUI, export it with \"Export (API)\"",
                ),
                error => fault(path, &error.to_string()),
            })?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            self.seeds.push(seed(&name, workflow).ok_or_else(|| fault(path, "it has no id"))?);
        }
        Ok(self)
    }
}

/// The ids depend on the name only, so that they stay the same after a restart.
fn seed(name: &str, workflow: Workflow) -> Option<DeploymentSeed> {
    let ids = Ids::new(ids::hash(name.as_bytes()));
    Some(DeploymentSeed {
        id: DeploymentId::new(ids.uuid(Named::Deployment, 0)).ok()?,
        name: name.to_owned(),
        workflow_id: ids.uuid(Named::Workflow, 0),
        hardware: DEFAULT_HARDWARE.to_owned(),
        max_instances: 1,
        is_enabled: true,
        readme: String::new(),
        workflow: workflow.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeRunComfy;

    #[track_caller]
    fn refused(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        let error = FakeRunComfy::builder().deployments_in(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let message = error.to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(
            message.len() < 300 && message.contains(folder.path().to_str().unwrap()),
            "{message}"
        );
        message
    }

    #[test]
    fn each_file_is_a_deployment_that_keeps_its_ids() {
        let folder = tempfile::tempdir().unwrap();
        let graph = r#"{"1":{"class_type":"EmptyImage","inputs":{}}}"#;
        fs::write(folder.path().join("b.json"), graph).unwrap();
        // Some editors write a byte order mark.
        fs::write(folder.path().join("a.api.json"), format!("\u{feff}{graph}")).unwrap();
        fs::write(folder.path().join("README.md"), "no workflow").unwrap();
        let ids = || {
            let builder = FakeRunComfy::builder().deployments_in(folder.path()).unwrap();
            let seeds = builder.seeds().iter();
            seeds.map(|seed| (seed.name.clone(), seed.id.clone())).collect::<Vec<_>>()
        };
        let first = ids();
        assert_eq!(first.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a.api", "b"]);
        assert_ne!(first[0].1, first[1].1);
        assert_eq!(first, ids());
    }

    #[test]
    fn what_is_no_workflow_is_refused_by_name() {
        assert!(refused("ui.json", r#"{"nodes":[],"links":[]}"#).contains("ui.json"));
        assert!(refused("broken.json", "{\"1\":").contains("broken.json"));
        assert!(refused("list.json", "[]").contains("list.json"));
        refused("notes.txt", "nothing here");
    }
}
