//! The sample workflows and deployments of a new account.
//!
//! The graphs and the expected outputs were recorded from ComfyUI.

use runcomfy_core::Workflow;

/// The stock graph: a checkpoint, two prompts, a sampler, one image.
pub(crate) const TEXT_TO_IMAGE: &str = "text-to-image";

/// ComfyUI's `object_info` for the node classes in the samples, recorded.
pub(crate) const OBJECT_INFO: &str = include_str!("samples/object_info.json");

/// The node classes of a stock ComfyUI without paid ones, one per line.
pub(crate) const STOCK_CLASSES: &str = include_str!("samples/classes.txt");

/// A deployment of a new account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) hardware: &'static str,
    pub(crate) max_instances: u64,
    pub(crate) enabled: bool,
    readme: &'static str,
    graph: &'static str,
}

macro_rules! graph {
    ($name:literal) => {
        include_str!(concat!("samples/workflows/", $name, ".json"))
    };
}

/// In listing order. An index determines ids, so new samples go to the end.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        name: TEXT_TO_IMAGE,
        hardware: "AMPERE_48",
        max_instances: 2,
        enabled: true,
        readme: "A picture from a prompt. Override `6.text` (prompt), `7.text` (what to avoid), `3.seed`, \
                 and `5.width`, `5.height` and `5.batch_size`.",
        graph: graph!("text-to-image"),
    },
    Sample {
        name: "image-to-image",
        hardware: "AMPERE_24",
        max_instances: 1,
        enabled: true,
        readme: "Reworks a picture after a prompt. Override `1.image` with an https address or a `data:` URI, \
                 `6.text` and `3.denoise` (0 keeps the picture, 1 forgets it).",
        graph: graph!("image-to-image"),
    },
    Sample {
        name: "text-to-video",
        hardware: "ADA_80_PLUS",
        max_instances: 4,
        enabled: true,
        readme: "Two seconds of video from a prompt. Override `6.text`, `3.seed` and `40.length` (frames).",
        graph: graph!("text-to-video"),
    },
    Sample {
        name: "video-formats",
        hardware: "ADA_48_PLUS",
        max_instances: 1,
        enabled: true,
        readme: "The same frames as MP4, WebM and animated WebP. No prompt.",
        graph: graph!("video-formats"),
    },
    Sample {
        name: "audio-formats",
        hardware: "TURING_16",
        max_instances: 1,
        enabled: true,
        readme: "A second and a half of silence as FLAC and MP3. Override `1.duration`.",
        graph: graph!("audio-formats"),
    },
    Sample {
        name: "prompt-builder",
        hardware: "TURING_16",
        max_instances: 1,
        enabled: true,
        readme: "Joins two texts and saves the result; its output is text. Override `1.value` and `2.string_b`.",
        graph: graph!("prompt-builder"),
    },
    Sample {
        name: "resize-and-invert",
        hardware: "TURING_16",
        max_instances: 1,
        enabled: true,
        readme: "Resizes a picture and inverts its colours. Override `1.image` and `2.width`.",
        graph: graph!("resize-and-invert"),
    },
    Sample {
        name: "image-blend",
        hardware: "AMPERE_80",
        max_instances: 1,
        enabled: true,
        readme: "Blends two batches of three; saves into a folder and shows a preview besides.",
        graph: graph!("image-blend"),
    },
    Sample {
        name: "mask-preview",
        hardware: "TURING_16",
        max_instances: 1,
        enabled: true,
        readme: "Only previews: its outputs are of type `temp`.",
        graph: graph!("mask-preview"),
    },
    Sample {
        name: "broken-input",
        hardware: "TURING_16",
        max_instances: 1,
        enabled: true,
        readme: "Always fails: node 3 loads a file that is cut short.",
        graph: graph!("broken-input"),
    },
    Sample {
        name: "text-to-image-xl (paused)",
        hardware: "HOPPER_141",
        max_instances: 1,
        enabled: false,
        readme: "Paused: it refuses requests until it is enabled.",
        graph: graph!("text-to-image"),
    },
];

impl Sample {
    /// The sample's graph. Always `Some`, because a test parses every sample.
    pub(crate) fn workflow(&self) -> Option<Workflow> {
        serde_json::from_str(self.graph).ok()
    }

    pub(crate) fn readme(&self) -> String {
        format!("# {}\n\n{}\n", self.name, self.readme)
    }
}

/// The graph of the sample with this name.
pub(crate) fn workflow(name: &str) -> Option<Workflow> {
    ALL.iter().find(|sample| sample.name == name)?.workflow()
}

/// The fixed deployment id of the sample at this index.
pub(crate) fn deployment_id(place: usize) -> String {
    format!("a1b2c3d4-0000-4000-8000-{:012}", place + 1)
}

/// The fixed workflow id of the sample at this index.
pub(crate) fn workflow_id(place: usize) -> String {
    format!("5eed0000-0000-4000-8000-{:012}", place + 1)
}

#[cfg(test)]
mod tests {
    use runcomfy_core::deployment::HARDWARE;
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_sample_is_a_graph_on_known_hardware() {
        for sample in ALL {
            assert!(sample.workflow().is_some(), "{}", sample.name);
            assert!(HARDWARE.contains(&sample.hardware), "{}", sample.name);
        }
    }

    #[test]
    fn every_class_of_every_sample_is_described() {
        let described: Value = serde_json::from_str(OBJECT_INFO).unwrap();
        for sample in ALL {
            for node in sample.workflow().unwrap().nodes() {
                let class = node.class_type();
                assert!(described.get(class).is_some(), "{class} of {}", sample.name);
                assert!(STOCK_CLASSES.lines().any(|one| one == class), "{class}");
            }
        }
    }
}
