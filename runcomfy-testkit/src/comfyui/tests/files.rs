//! Tests of output files that are missing or have unsafe names.

use super::{replay::Changes, *};

const GOOD: &str = "output::invert_00001_.png";

/// Runs a job whose history lists these images beside the correct one.
async fn with_images(
    mut images: Vec<Value>,
    options: ComfyOptions,
) -> (Outcome, tempfile::TempDir) {
    let recording = Recording::load("invert");
    images.push(recording.views[0].item.clone());
    let changes = Changes { outputs: Some(json!({"3": {"images": images}})), ..Changes::default() };
    let replay = Replay::changed(recording, changes);
    let (outcome, _, folder) = Running::start(&replay, options, replay.job()).end().await;
    (outcome, folder)
}

/// All files below a folder.
fn found(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => files.extend(found(&path)),
            path => files.push(path.file_name().unwrap().to_str().unwrap().to_owned()),
        }
    }
    files
}

#[tokio::test]
async fn a_file_that_can_not_be_had_fails_the_run_and_spares_the_others() {
    for item in [
        json!({"filename": "../evil.png", "subfolder": "", "type": "output"}),
        json!({"filename": "/etc/passwd", "subfolder": "", "type": "output"}),
        json!({"filename": "..", "subfolder": "", "type": "temp"}),
        json!({"filename": "evil.png", "subfolder": "../..", "type": "output"}),
        json!({"filename": "evil.png", "subfolder": "/tmp", "type": "output"}),
        json!({"filename": "gone_00001_.png", "subfolder": "", "type": "temp"}),
    ] {
        let (outcome, folder) = with_images(vec![item.clone()], impatient()).await;
        let Outcome::Failed { error, outputs, files } = outcome else {
            panic!("{item}: {outcome:?}")
        };
        assert_eq!(
            (&error["type"], &error["node_id"]),
            (&json!("output_file_error"), &json!("3")),
            "{item}"
        );
        assert_eq!(outputs["3"]["images"][0], item);
        let contents = contents(&files, folder.path());
        assert_eq!(
            contents.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            [GOOD],
            "{item}"
        );
        assert_eq!(found(folder.path()), ["invert_00001_.png"], "{item}");
    }
}

/// Names that ComfyUI on Linux accepts.
#[tokio::test]
async fn a_file_keeps_the_name_that_the_server_gave_it() {
    for (subfolder, filename) in
        [("", "back\\slash_00001_.png"), ("", "line\nbreak_00001_.png"), ("a\tb", "c:d_00001_.png")]
    {
        let mut recording = Recording::load("invert");
        let item = json!({"filename": filename, "subfolder": subfolder, "type": "output"});
        recording.views[0].item = item.clone();
        let outputs = Some(json!({"3": {"images": [item]}}));
        let bytes = recording.views[0].bytes.clone();
        let replay = Replay::changed(recording, Changes { outputs, ..Changes::default() });
        let (outcome, _, folder) = Running::start(&replay, impatient(), replay.job()).end().await;
        let Outcome::Succeeded { files, .. } = outcome else { panic!("{outcome:?}") };
        let expected = (format!("output:{subfolder}:{filename}"), bytes);
        assert_eq!(contents(&files, folder.path()), [expected]);
    }
}

#[tokio::test]
async fn what_is_no_file_is_left_as_it_is() {
    let items = vec![
        json!("text"),
        json!(true),
        json!(3),
        json!({"filename": 7}),
        json!({"filename": "x", "type": "bogus"}),
    ];
    let (outcome, _folder) = with_images(items.clone(), impatient()).await;
    let Outcome::Succeeded { outputs, files } = outcome else { panic!("{outcome:?}") };
    assert_eq!(outputs["3"]["images"].as_array().unwrap()[..5], items);
    assert_eq!(files.len(), 1);
}

#[tokio::test]
async fn files_beyond_a_limit_are_not_kept() {
    let mut small = impatient();
    small.limits.file = 100;
    let mut little = impatient();
    little.limits.all_files = 100;
    let mut none = impatient();
    none.limits.files = 0;
    for options in [small, little, none] {
        let (outcome, folder) = with_images(Vec::new(), options).await;
        assert_eq!(failure(&outcome)["type"], "output_file_error");
        assert_eq!(found(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn a_file_named_twice_is_copied_once() {
    let again = Recording::load("invert").views[0].item.clone();
    let (outcome, _folder) = with_images(vec![again], impatient()).await;
    let Outcome::Succeeded { files, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(files.len(), 1);
}

#[tokio::test]
async fn a_folder_that_can_not_be_written_fails_the_run() {
    let replay = Replay::of("invert");
    let server = Server::new(replay.url(), impatient()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let outcome = server.run(&replay.job(), &file, CancellationToken::new(), |_| ()).await;
    assert_eq!(failure(&outcome)["type"], "output_file_error");
}
