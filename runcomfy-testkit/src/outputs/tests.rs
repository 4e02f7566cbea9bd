//! Compares the simulated outputs of the samples with recorded ones.

use serde_json::from_str;

use super::*;
use crate::samples;

fn made(name: &str) -> Made {
    run(&samples::workflow(name).unwrap())
}

fn run(workflow: &Workflow) -> Made {
    let (id, base) = (RequestId::new("r1").unwrap(), "http://files.test/base/".parse().unwrap());
    make(workflow, &id, DateTime::UNIX_EPOCH, &base)
}

/// The outputs without URLs and without the random letters of previews.
fn shape(mut outputs: Value) -> Value {
    for channels in outputs.as_object_mut().unwrap().values_mut() {
        for items in channels.as_object_mut().unwrap().values_mut() {
            for item in items.as_array_mut().unwrap().iter_mut().filter_map(Value::as_object_mut) {
                item.remove("url");
                if let Some(Value::String(name)) = item.get_mut("filename")
                    && name.starts_with("ComfyUI_temp_")
                {
                    name.replace_range("ComfyUI_temp_".len()..="ComfyUI_temp_".len() + 4, "?");
                }
            }
        }
    }
    outputs
}

#[track_caller]
fn check(name: &str, recorded: &str) {
    let recorded: Value = from_str(recorded).unwrap();
    assert_eq!(shape(Value::Object(made(name).outputs)), shape(recorded), "{name}");
}

#[test]
fn each_sample_makes_what_a_real_comfyui_recorded_for_it() {
    check(
        "image-blend",
        r#"{"14": {"images": [
            {"filename": "ComfyUI_temp_qsebm_00001_.png", "subfolder": "", "type": "temp"},
            {"filename": "ComfyUI_temp_qsebm_00002_.png", "subfolder": "", "type": "temp"},
            {"filename": "ComfyUI_temp_qsebm_00003_.png", "subfolder": "", "type": "temp"}]},
          "13": {"images": [
            {"filename": "blend_64x64_00001_.png", "subfolder": "sub/folder", "type": "output"},
            {"filename": "blend_64x64_00002_.png", "subfolder": "sub/folder", "type": "output"},
            {"filename": "blend_64x64_00003_.png", "subfolder": "sub/folder", "type": "output"}]}}"#,
    );
    check(
        "audio-formats",
        r#"{"4": {"audio": [{"filename": "ComfyUI_temp_vusyj_00001.flac", "subfolder": "", "type": "temp"}]},
          "2": {"audio": [{"filename": "flac_00001.flac", "subfolder": "audio", "type": "output"}]},
          "3": {"audio": [{"filename": "mp3_00001.mp3", "subfolder": "audio", "type": "output"}]}}"#,
    );
    check(
        "prompt-builder",
        r#"{"4": {"text": ["a cat \u732b\nsecond line, on a mat"],
                  "files": [{"filename": "note_00001.md", "subfolder": "txt", "type": "output"}]},
          "3": {"text": ["a cat \u732b\nsecond line, on a mat"]}}"#,
    );
    check(
        "mask-preview",
        r#"{"4": {"images": [{"filename": "ComfyUI_temp_njkko_00001_.png", "subfolder": "", "type": "temp"}],
                  "animated": [false]},
          "3": {"images": [{"filename": "ComfyUI_temp_yvpfr_00001_.png", "subfolder": "", "type": "temp"}]}}"#,
    );
    // The recorded run saved the WebM first, so its two clips have the opposite order.
    check(
        "video-formats",
        r#"{"4": {"images": [{"filename": "clip_00001_.mp4", "subfolder": "video", "type": "output"}], "animated": [true]},
          "5": {"images": [{"filename": "clip_00002_.webm", "subfolder": "video", "type": "output"}], "animated": [true]},
          "6": {"images": [{"filename": "anim_00001_.webp", "subfolder": "", "type": "output"}], "animated": [true]}}"#,
    );
    check(
        "text-to-image",
        r#"{"9": {"images": [{"filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output"}]}}"#,
    );
}

#[test]
fn a_file_that_cannot_be_read_fails_its_branch_and_names_its_node() {
    let made = made("broken-input");
    assert_eq!(
        made.failure.unwrap(),
        json!({"type": "OSError", "message": "Truncated File Read\n", "node_id": "3", "node_type": "LoadImage"})
    );
    assert_eq!(
        shape(Value::Object(made.outputs)),
        json!({"2": {"images": [{"filename": "partial_00001_.png", "subfolder": "", "type": "output"}]}})
    );
}

#[test]
fn every_item_names_where_its_file_is() {
    let made = made("image-blend");
    assert_eq!(
        made.outputs["13"]["images"][1]["url"],
        "http://files.test/base/deployment_requests/r1/output/sub/folder/blend_64x64_00002_.png"
    );
    assert_eq!(made.files.len(), 6);
}

#[test]
fn files_are_what_their_names_say() {
    for (name, file, magic) in [
        ("video-formats", 0, &b"ftyp"[..]),
        ("video-formats", 1, b"\x1a\x45\xdf\xa3"),
        ("video-formats", 2, b"WEBP"),
        ("audio-formats", 0, b"fLaC"),
        ("audio-formats", 1, b"ID3"),
        ("mask-preview", 0, b"\x89PNG"),
        ("prompt-builder", 0, "a cat 猫".as_bytes()),
    ] {
        let Bytes::Here(bytes) = made(name).files[file].bytes() else { panic!("{name}") };
        assert!(bytes.windows(magic.len()).take(9).any(|part| part == magic), "{name} {file}");
    }
}

#[test]
fn a_prefix_that_leaves_the_folder_fails_the_run() {
    for prefix in ["../up", "a/../../up", "/etc/x"] {
        let workflow = Workflow::from_value(json!({
            "1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": prefix}},
        }));
        let made = run(&workflow.unwrap());
        assert_eq!(made.failure.unwrap()["node_id"], "1", "{prefix}");
        assert!(made.files.is_empty());
    }
}

#[test]
fn a_graph_without_output_nodes_fails_as_comfyui_has_it() {
    let graph = json!({"1": {"class_type": "EmptyImage", "inputs": {}}});
    let made = run(&Workflow::from_value(graph).unwrap());
    assert_eq!(made.failure.unwrap()["type"], "prompt_no_outputs");
}

#[test]
fn a_long_chain_of_output_nodes_is_read_in_time_that_grows_with_its_length() {
    const LENGTH: u32 = 20_000;
    let mut nodes = serde_json::Map::new();
    for n in 0..LENGTH {
        let before = n.saturating_sub(1).to_string();
        let node = json!({"class_type": "PreviewImage", "inputs": {"images": [before, 0]}});
        nodes.insert(n.to_string(), node);
    }
    let workflow = Workflow::from_value(Value::Object(nodes)).unwrap();
    let started = tokio::time::Instant::now();
    let made = run(&workflow);
    assert_eq!(made.files.len(), LENGTH as usize);
    // A separate walk from each node would take minutes; this takes well under a second.
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}
