//! Copies the output files of a run, because ComfyUI deletes temporary files at a restart and reuses the
//! names of cached files.

use std::{collections::HashSet, path::Path};

use serde_json::{Map, Value};

use super::{
    api::{Api, CopyError},
    failure,
    job::{FileKind, StoredFile},
    names,
};

/// The copied files, and the first problem.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) files: Vec<StoredFile>,
    /// The first file that could not be copied, as the failure of the run.
    pub(super) problem: Option<Value>,
}

/// A file in the outputs.
struct Item<'a> {
    node_id: &'a str,
    kind: FileKind,
    subfolder: &'a str,
    filename: &'a str,
}

/// Copies each file in the outputs into `folder`, once.
pub(super) async fn collect(api: &Api, outputs: &Map<String, Value>, folder: &Path) -> Collected {
    let limits = api.limits();
    let mut collected = Collected::default();
    let mut seen = HashSet::new();
    let mut left = limits.all_files;
    for item in items(outputs) {
        if !seen.insert((item.kind, item.subfolder, item.filename)) {
            continue;
        }
        let problem = |why: &str| failure::of_output(item.node_id, item.kind, item.filename, why);
        if seen.len() > limits.files {
            let why = format!("the run left more than {} files", limits.files);
            collected.problem.get_or_insert(problem(&why));
            break;
        }
        let kind = item.kind.as_str();
        let Some(kept) = names::stored_path(kind, item.subfolder, item.filename, seen.len()) else {
            collected.problem.get_or_insert(problem("its name leads out of the folder"));
            continue;
        };
        let path = folder.join(kept);
        let why = match copy(api, &item, &path, limits.file.min(left)).await {
            Ok(bytes) => {
                left -= bytes;
                let (subfolder, filename) = (item.subfolder.to_owned(), item.filename.to_owned());
                collected.files.push(StoredFile {
                    kind: item.kind,
                    subfolder,
                    filename,
                    path,
                    bytes,
                });
                continue;
            }
            Err(why) => why,
        };
        // Removes an incomplete copy.
        let _ = tokio::fs::remove_file(&path).await;
        match why {
            CopyError::Disk(error) => {
                collected.problem.get_or_insert(failure::of_disk(&error));
                break;
            }
            CopyError::Comfy(error) => {
                collected.problem.get_or_insert(problem(&error.to_string()));
                if error.is_absence() {
                    break;
                }
            }
        }
    }
    collected
}

async fn copy(api: &Api, item: &Item<'_>, path: &Path, most: u64) -> Result<u64, CopyError> {
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(CopyError::Disk)?;
    }
    api.copy((item.kind, item.subfolder, item.filename), path, most).await
}

/// The items that are files. Others are texts, numbers and flags.
fn items(outputs: &Map<String, Value>) -> impl Iterator<Item = Item<'_>> {
    let channels = outputs.iter().flat_map(|(node_id, channels)| {
        channels.as_object().into_iter().flat_map(Map::values).map(move |items| (node_id, items))
    });
    channels.flat_map(|(node_id, items)| {
        items.as_array().into_iter().flatten().filter_map(move |item| {
            let text = |key: &str| item.get(key).and_then(Value::as_str);
            Some(Item {
                node_id,
                kind: FileKind::from_word(text("type").unwrap_or("output"))?,
                subfolder: text("subfolder").unwrap_or_default(),
                filename: text("filename")?,
            })
        })
    })
}
