//! The Rust quick start of docs/emulator.md: what comes below is there word for word.

use std::time::Duration;

use runcomfy_core::{
    HttpApi, InferenceRequest, Overrides, RunComfyApi, Token, Wait, WaitEnd,
    deployment::CreateDeployment, id::WorkflowId,
};
use runcomfy_testkit::{Emulator, FakeRunComfy, Script};

#[tokio::test]
async fn a_picture_is_made_and_another_run_is_cancelled() -> Result<(), Box<dyn std::error::Error>>
{
    let fake = FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(Duration::ZERO).build();
    let emulator = Emulator::start(fake.clone()).await?;
    let token = Token::new("me")?;
    let api = HttpApi::builder().base_url(emulator.url().as_str()).token(token).build()?;

    let workflow = WorkflowId::new("5eed0000-0000-4000-8000-000000000001")?;
    let wanted = CreateDeployment::new("my-pictures", workflow, "v1");
    let deployment = api.create_deployment(&wanted).await?.id;

    let overrides = Overrides::new()
        .set("6", "text", "a lighthouse on a rocky shore at dusk")
        .set("3", "seed", 42)
        .set("5", "width", 768)
        .set("5", "height", 512);
    let request = InferenceRequest::new(deployment.clone()).overrides(overrides);
    let request = api.submit_request(&request).await?.request_id;
    let WaitEnd::Finished(run) = Wait::new(&api, deployment.clone(), request).finish().await?
    else {
        return Err("not in time".into());
    };
    let result = run.result?;
    assert_eq!(result.status.as_deref(), Some("succeeded"));
    let picture = api.download(&result.output_files()[0].url, 10_000_000).await?;
    assert_eq!(picture.content_type.as_deref(), Some("image/png"));

    // One that would take an hour.
    fake.next_request(Script::default().running(Duration::from_secs(3600)));
    let another = InferenceRequest::new(deployment.clone());
    let another = api.submit_request(&another).await?.request_id;
    let cancelled = api.cancel_request(&deployment, &another).await?;
    assert_eq!(cancelled.outcome.as_deref(), Some("cancelled"));

    api.delete_deployment(&deployment).await?;
    assert_eq!(fake.runs_started(), 2);
    assert_eq!(emulator.counters().totals.submits.accepted, 2);
    Ok(())
}
