//! The service's errors, with their error codes and HTTP statuses.

use runcomfy_core::{DeploymentId, Error, ErrorKind, RequestId, error::Operation, id::InstanceId};
use serde_json::{Value, json};

/// The deployment does not exist or was deleted.
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

/// A submit to a deleted deployment. The service reports it with status 200 and an error code.
pub(super) fn deleted(id: &DeploymentId) -> Error {
    said_with_200(ErrorKind::NotFound, 10_003, "The deployment has been deleted", id)
}

/// A submit to a paused deployment. The service reports it with status 200 and an error code.
pub(super) fn disabled(id: &DeploymentId) -> Error {
    said_with_200(ErrorKind::DeploymentDisabled, 10_002, "The deployment is disabled", id)
}

/// The balance is used up. The service reports it with status 200 and an error code.
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

/// One invalid field; `place` is its path in the request.
pub(crate) fn invalid(operation: Operation, place: &[&str], message: &str) -> Error {
    faults(operation, vec![json!({"loc": place, "msg": message, "type": "value_error"})])
}

/// Several invalid fields, each an object with `loc`, `msg` and `type`.
pub(crate) fn faults(operation: Operation, faults: Vec<Value>) -> Error {
    unprocessable(operation, "Validation Error").with_detail(Value::Array(faults))
}

pub(crate) fn unprocessable(operation: Operation, message: &str) -> Error {
    Error::new(operation, ErrorKind::InvalidRequest)
        .with_status_code(422)
        .with_error_code(422_001)
        .with_message(message)
}
