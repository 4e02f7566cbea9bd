//! The tasks extension's methods: questions about a run, and its cancellation, as the caller's account.

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, CallToolResult, DetailedTask, JsonObject},
    service::RequestContext,
};
use runcomfy_core::request::RequestState;
use serde_json::Value;

use super::{RunComfyMcp, reads::to_error_data};
use crate::{
    pipeline::auth::Api,
    protocol::knows_links,
    result::{Format, ToolError, ToolResult},
    server::tasks,
    view::task_id::TaskId,
};

impl RunComfyMcp {
    pub(super) async fn task(
        &self,
        id: &str,
        context: RequestContext<RoleServer>,
    ) -> Result<DetailedTask, ErrorData> {
        let id = &parsed(id)?;
        let format = Format {
            limit: self.pipeline.settings.result_limit_bytes,
            links: knows_links(context.protocol_version().as_ref()),
            puts_in: false,
            whole_workflows: false, // a run's result has none
        };
        let shape = |answer: Result<ToolResult, ToolError>| {
            json(match answer {
                Ok(reply) => reply.render(format).into_response(),
                Err(fault) => fault.render(format).into_response(),
            })
        };
        let look = |api: Api| async move { tasks::look(id, &api, shape).await };
        match self.pipeline.run_read("tasks/get", context.into(), look).await {
            // An error would end a task whose run goes on.
            Err(fault) if fault.passes() => Ok(tasks::passing(id, &fault, RequestState::Unknown)),
            looked => looked.map_err(|fault| refused(fault, id)),
        }
    }

    pub(super) async fn cancel(
        &self,
        id: &str,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let id = &parsed(id)?;
        // In a task of its own, as every call that changes something: a client that hangs up must not leave
        // the run going, nor be told that nothing was sent. Whether it came in time is the task's to tell,
        // later.
        let cancel = |api: Api| {
            let (deployment_id, request_id) = (id.deployment_id.clone(), id.request_id.clone());
            let cancelling = self.pipeline.background.spawn(async move {
                api.cancel_request(&deployment_id, &request_id).await.map_err(ToolError::from)
            });
            async move {
                let ended = cancelling.await;
                ended.unwrap_or_else(|_| {
                    Err(ToolError::internal("whether it was cancelled is unknown"))
                })
            }
        };
        let done = self.pipeline.run_write("tasks/cancel", context.into(), cancel).await;
        done.map(drop).map_err(|fault| refused(fault, id))
    }

    /// No task of ours asks for anything.
    pub(super) fn update(id: &str) -> Result<(), ErrorData> {
        parsed(id).map(|_| ())
    }
}

fn refused(fault: ToolError, id: &TaskId) -> ErrorData {
    to_error_data(fault, ("task_id", id.to_string().into()), ErrorData::invalid_params)
}

fn parsed(id: &str) -> Result<TaskId, ErrorData> {
    let unknown = || {
        let message = "unknown task: its id is none that submit_request returned";
        ErrorData::invalid_params(message, None)
    };
    TaskId::parse(id).ok_or_else(unknown)
}

/// A tool's result as it stands within a task.
fn json(response: CallToolResponse) -> JsonObject {
    let result = match response {
        CallToolResponse::Complete(result) => result,
        // No look at a run asks for anything or makes a task.
        _ => CallToolResult::default(),
    };
    match serde_json::to_value(result) {
        Ok(Value::Object(result)) => result,
        _ => JsonObject::new(),
    }
}
