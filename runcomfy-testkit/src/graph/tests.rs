//! Tests of reading graphs.

use serde_json::json;

use super::*;

fn graph(value: Value) -> Workflow {
    Workflow::from_value(value).unwrap()
}

fn encoded(text: Value) -> Value {
    json!({"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}})
}

#[test]
fn a_scene_is_read_from_the_samplers_positive_side_seed_and_latent() {
    let workflow = graph(json!({
        "1": {"class_type": "KSampler", "inputs": {
            "seed": u64::MAX, "negative": ["3", 0], "positive": ["2", 0], "latent_image": ["5", 0]}},
        "2": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["6", 0]}},
        "3": encoded(json!("blurry")),
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 640, "height": 384, "batch_size": 2}},
        "6": encoded(json!(["7", 0])),
        "7": {"class_type": "PrimitiveString", "inputs": {"value": "a cat"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }));
    let graph = Graph::new(&workflow);
    let save = workflow.node("9").unwrap();
    let expected = Scene { prompt: "a cat".into(), seed: u64::MAX, width: 640, height: 384 };
    assert_eq!(graph.scene(save), expected);
    assert_eq!(graph.batch_size(save), 2);
}

#[test]
fn a_custom_sampler_is_read_through_its_guider_and_noise() {
    let workflow = graph(json!({
        "1": {"class_type": "SamplerCustomAdvanced", "inputs": {
            "noise": ["2", 0], "guider": ["3", 0], "latent_image": ["4", 0]}},
        "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
        "3": {"class_type": "CFGGuider", "inputs": {"negative": ["5", 0], "positive": ["6", 0]}},
        "4": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 64}},
        "5": encoded(json!("no")),
        "6": encoded(json!("yes")),
    }));
    let scene = Graph::new(&workflow).scene(workflow.node("1").unwrap());
    assert_eq!((&*scene.prompt, scene.seed), ("yes", 7));
}

#[test]
fn a_graph_that_doubles_its_text_at_each_node_or_goes_in_circles_comes_to_an_end() {
    let mut nodes = serde_json::Map::new();
    for n in 0..200_u32 {
        let before = n.checked_sub(1).unwrap_or(199).to_string();
        nodes.insert(
            n.to_string(),
            json!({"class_type": "StringConcatenate", "inputs": {
                "string_a": [before, 0], "string_b": [before, 0], "delimiter": "x"}}),
        );
    }
    let workflow = graph(Value::Object(nodes));
    let graph = Graph::new(&workflow);
    let last = workflow.node("199").unwrap();
    assert!(graph.text(last, "string_a").is_none_or(|text| text.len() <= MOST_TEXT));
    assert_eq!(graph.upstream(last).len(), 200);
}

proptest::proptest! {
    #[test]
    fn the_nearest_is_what_a_walk_upstream_meets_first(
        links in proptest::collection::vec((0_usize..12, 0_usize..12, 0_u8..4), 12),
    ) {
        let nodes = links.iter().enumerate().map(|(n, (a, b, class))| {
            let class = if *class == 0 { "Wanted" } else { "Other" };
            let inputs = json!({"a": [a.to_string(), 0], "b": [b.to_string(), 0]});
            (n.to_string(), json!({"class_type": class, "inputs": inputs}))
        });
        let workflow = graph(Value::Object(nodes.collect()));
        let graph = Graph::new(&workflow);
        let wanted = |node: Node<'_>| {
            (node.class_type() == "Wanted").then(|| node.id().to_owned())
        };
        let nearest = graph.nearest(wanted);
        for node in workflow.nodes() {
            let met = graph.upstream(node).into_iter().find_map(wanted);
            proptest::prop_assert_eq!(nearest.to(node), met.as_ref());
        }
    }
}
