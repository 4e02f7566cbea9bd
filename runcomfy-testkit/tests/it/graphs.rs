//! Runs real workflows on the emulator: the outputs have the kinds that ComfyUI would produce.

use std::{collections::BTreeMap, path::Path};

use runcomfy_core::{
    InferenceRequest, RunComfyApi as _, Wait, WaitEnd, deployment::ListDeployments,
};
use runcomfy_testkit::FakeRunComfy;
use serde_json::Value;

/// Runs each workflow of a folder. Returns the status and the kinds of outputs by name.
async fn run_all(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let api = FakeRunComfy::builder().deployments_in(&folder).unwrap().build();
    let mut came = BTreeMap::new();
    for deployment in api.list_deployments(&ListDeployments::all()).await.unwrap() {
        let id = deployment.id;
        let run = api.submit_request(&InferenceRequest::new(id.clone())).await.unwrap();
        let end = Wait::new(&api, id, run.request_id).finish().await.unwrap();
        let WaitEnd::Finished(finished) = end else { panic!("{:?}", deployment.name) };
        let result = finished.result.unwrap();
        let made = result.outputs.as_ref().map(kinds).unwrap_or_default();
        let name = deployment.name.unwrap();
        let name = name.strip_suffix(".api").unwrap().to_owned();
        came.insert(name, format!("{} {made}", result.status.unwrap()).trim_end().to_owned());
    }
    came
}

/// Each node with its channels and the extensions of its files.
fn kinds(outputs: &Value) -> String {
    let mut all = Vec::new();
    for (node, channels) in outputs.as_object().unwrap() {
        for (channel, items) in channels.as_object().unwrap() {
            let endings = items.as_array().unwrap().iter().filter_map(|item| {
                let name = item.get("filename")?.as_str()?;
                assert!(item["url"].is_string(), "{item}");
                Some(name.rsplit('.').next().unwrap())
            });
            let mut endings: Vec<_> = endings.collect();
            endings.dedup();
            all.push(format!("{node}:{channel}({})", endings.join(",")));
        }
    }
    all.join(" ")
}

#[track_caller]
fn check(came: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, came)| ((*name).to_owned(), (*came).to_owned())).collect();
    assert_eq!(*came, expected);
}

#[tokio::test(start_paused = true)]
async fn workflows_of_others_run() {
    let came = run_all("tests/graphs").await;
    check(
        &came,
        &[
            ("ace_step_song", "succeeded 106:audio(flac)"),
            ("animatediff_ipadapter", "succeeded 44:gifs(gif) 45:gifs(gif)"),
            ("controlnet_scribble", "succeeded 9:images(png)"),
            ("efficient_lora", "succeeded 5:images(png)"),
            ("ends_in_3d", "succeeded 4:3d(glb)"),
            ("ends_in_caption", "succeeded 3:text()"),
            ("ends_in_sampler-saves", "succeeded 2:images(png)"),
            ("ends_in_text-file", "succeeded 2:text()"),
            ("flux2_edit_switch", "succeeded 9:images(png)"),
            ("flux_dev_advanced", "succeeded 9:images(png)"),
            ("flux_kontext_edit", "succeeded 136:images(png)"),
            ("hiresfix_latent", "succeeded 9:images(png) 12:images(png)"),
            ("hunyuan3d_image", "succeeded 10:3d(glb)"),
            ("hunyuan_video_t2v", "succeeded 80:images(mp4) 80:animated()"),
            ("ltx23_t2v", "succeeded 75:images(mp4) 75:animated() 267:328:text()"),
            ("nano_banana_edit", "succeeded 9:images(png)"),
            ("qwen_edit_three_images", "succeeded 60:images(png)"),
            ("qwen_image_switch", "succeeded 60:images(png)"),
            ("sd15_img2img", "succeeded 9:images(png)"),
            ("sd15_inpaint", "succeeded 9:images(png)"),
            ("sd15_txt2img", "succeeded 9:images(png)"),
            ("sdxl_dual_text", "succeeded 9:images(png)"),
            ("sdxl_refiner", "succeeded 19:images(png)"),
            ("seedance_t2v", "succeeded 344:images(mp4) 344:animated()"),
            ("video_upscale_gan", "succeeded 12:images(mp4) 12:animated()"),
            ("wan21_i2v", "succeeded 28:images(webp) 28:animated()"),
            ("wan22_t2v_switch", "succeeded 80:images(mp4) 80:animated()"),
            ("wanwrapper_titles", "succeeded 60:gifs(mp4)"),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn workflows_that_a_real_comfyui_ran_run() {
    // As recorded, except for the invalid graph, because the emulator does not check ranges.
    let came = run_all("src/comfyui/samples/workflows").await;
    check(
        &came,
        &[
            ("audio", "succeeded 2:audio(flac) 3:audio(mp3) 4:audio(flac)"),
            ("blend", "succeeded 13:images(png) 14:images(png)"),
            ("invert", "succeeded 3:images(png)"),
            ("latent", "succeeded 2:latents(latent)"),
            ("load_image", "succeeded 4:images(png)"),
            ("mask_preview", "succeeded 3:images(png) 4:images(png) 4:animated()"),
            ("runtime_error", "failed"),
            ("slow", "succeeded 33:images(png)"),
            ("slow_progress", "succeeded 6:images(webp) 6:animated()"),
            ("t2i_tiny", "succeeded 9:images(png)"),
            ("t2i_tiny_slow", "succeeded 9:images(png)"),
            ("text", "succeeded 3:text() 4:text() 4:files(md)"),
            ("validation_error", "succeeded 3:images(png)"),
            (
                "video",
                "succeeded 4:images(mp4) 4:animated() 5:images(webm) 5:animated() 6:images(webp) 6:animated()",
            ),
            ("ws_image", "succeeded"),
        ],
    );
}
