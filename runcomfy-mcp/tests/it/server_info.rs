//! The revision without a handshake: each result names the server that it comes from.

use runcomfy_testkit::FakeRunComfy;
use serde_json::{Value, json};

use crate::modern::Replicas;

#[tokio::test]
async fn each_result_of_the_revision_without_a_handshake_names_the_server() {
    let account = FakeRunComfy::builder().empty().deployment("dep_1");
    let replicas = Replicas::start(1, account).await;
    let completion = json!({
        "ref": {"type": "ref/prompt", "name": "generate"},
        "argument": {"name": "deployment_id", "value": ""},
    });
    for (method, capabilities, params) in [
        ("server/discover", json!({}), json!({})),
        ("tools/list", json!({}), json!({})),
        ("tools/call", json!({}), json!({"name": "list_deployments", "arguments": {}})),
        // Through the library, as it is no object.
        ("tools/call", json!({}), json!({"name": "list_deployments", "arguments": "{}"})),
        ("tools/call", json!({}), json!({"name": "get_deployment", "arguments": {}})),
        (
            "tools/call",
            json!({"elicitation": {}}),
            json!({"name": "delete_deployment", "arguments": {"deployment_id": "dep_1"}}),
        ),
        ("resources/list", json!({}), json!({})),
        ("resources/templates/list", json!({}), json!({})),
        ("resources/read", json!({}), json!({"uri": "runcomfy://deployments"})),
        ("prompts/list", json!({}), json!({})),
        (
            "prompts/get",
            json!({}),
            json!({"name": "put_to_sleep", "arguments": {"deployment_id": "dep_1"}}),
        ),
        ("completion/complete", json!({}), completion),
    ] {
        let answer = replicas.ask(0, "alice", capabilities, method, params.clone()).await;
        let info = &answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(info["name"], "runcomfy-mcp", "{method} {params}: {answer}");
        assert_eq!(info["version"], env!("CARGO_PKG_VERSION"), "{method}");
        assert_ne!(info["title"], Value::Null, "{method}");
    }
}
