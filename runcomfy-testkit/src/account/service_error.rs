//! The service's refusals, with its numbers and HTTP statuses.

use runcomfy_core::{DeploymentId, Error, ErrorKind, InstanceId, Operation, RequestId};
use serde_json::{Value, json};

/// No such deployment, or no longer.
pub(super) fn not_found(operation: Operation, id: &DeploymentId) -> Error {
    missing(operation, "Deployment not found").with_deployment_id(id.clone())
}

pub(super) fn request_not_found(operation: Operation, id: &RequestId) -> Error {
    missing(operation, "Request not found").with_request_id(id.clone())
}

pub(crate) fn instance_not_found(id: &InstanceId) -> Error {
    missing(Operation::CallInstanceProxy, &format!("Instance {id} not found"))
}

pub(crate) fn missing(operation: Operation, message: &str) -> Error {
    Error::new(operation, ErrorKind::NotFound)
        .with_status_code(404)
        .with_error_code(404_001)
        .with_message(message)
}

/// A submit to a deleted deployment. By its number, though by HTTP it went well.
pub(super) fn deleted(id: &DeploymentId) -> Error {
    said_with_200(ErrorKind::NotFound, 10_003, "The deployment has been deleted", id)
}

/// A submit to a paused deployment. By its number, though by HTTP it went well.
pub(super) fn disabled(id: &DeploymentId) -> Error {
    said_with_200(ErrorKind::DeploymentDisabled, 10_002, "The deployment is disabled", id)
}

/// No money left. By its number, though by HTTP it went well.
pub(super) fn insufficient_funds(operation: Operation) -> Error {
    const MESSAGE: &str =
        "Insufficient funds: the deployment is disabled. Add funds, then enable it again.";
    by_number(operation, ErrorKind::InsufficientFunds, 10_001, MESSAGE)
}

fn said_with_200(kind: ErrorKind, code: i64, message: &str, id: &DeploymentId) -> Error {
    by_number(Operation::SubmitRequest, kind, code, message).with_deployment_id(id.clone())
}

fn by_number(operation: Operation, kind: ErrorKind, code: i64, message: &str) -> Error {
    Error::new(operation, kind).with_status_code(200).with_error_code(code).with_message(message)
}

/// A call with one thing wrong, at this place of it.
pub(crate) fn invalid(operation: Operation, place: &[&str], message: &str) -> Error {
    faults(operation, vec![json!({"loc": place, "msg": message, "type": "value_error"})])
}

/// A call with several things wrong, each an object with `loc`, `msg` and `type`.
pub(crate) fn faults(operation: Operation, faults: Vec<Value>) -> Error {
    unprocessable(operation, "Validation Error").with_detail(Value::Array(faults))
}

pub(crate) fn unprocessable(operation: Operation, message: &str) -> Error {
    Error::new(operation, ErrorKind::InvalidRequest)
        .with_status_code(422)
        .with_error_code(422_001)
        .with_message(message)
}
