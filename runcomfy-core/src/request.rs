//! Runs of a workflow: what is submitted, and what the service says of it up to its end.

mod inference;
mod media;
mod output;
mod status;

pub use self::{
    inference::{ExtraData, InferenceRequest, Submission, Webhook},
    media::MediaKind,
    output::{OutputFile, RunFailure},
    status::{Cancellation, RequestResult, RequestState, RequestStatus},
};
