//! Rules that every [`RunComfyApi`] keeps: the fake, the HTTP client before the emulator, the service.
//!
//! Each rule is a function that panics with its name and what it saw. It makes what it needs and deletes it
//! again, and it waits by looking: under a paused clock in memory, or with a real one over a socket, where
//! [`Setting::look`] should be a few milliseconds and runs about a tenth of a second.
//!
//! ```
//! use runcomfy_testkit::{FakeRunComfy, conformance::{self, Setting}};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! conformance::all(&FakeRunComfy::default(), &Setting::default()).await;
//! # }
//! ```

use std::{fmt::Debug, time::Duration};

use runcomfy_core::{
    CreateDeployment, Deployment, DeploymentId, Error, ErrorKind, Finished, InferenceRequest,
    Outcome, RequestId, RequestStatus, RunComfyApi, Wait, WaitEnd, WaitPolicy, Workflow,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::samples;

/// What the rules may take for granted of the account they try.
#[derive(Clone, Debug)]
pub struct Setting {
    /// A saved workflow to deploy; what it makes does not matter.
    pub workflow_id: String,
    /// Its version.
    pub workflow_version: String,
    /// What to run on.
    pub hardware: String,
    /// The time between two looks at a run.
    pub look: Duration,
    /// How long a rule may wait for its runs, queue and cold start included.
    pub patience: Duration,
}

impl Default for Setting {
    /// The stock graph of the fake on its smallest machine, looked at ten times a second.
    fn default() -> Self {
        Self {
            workflow_id: samples::workflow_id(0),
            workflow_version: "v1".to_owned(),
            hardware: "TURING_16".to_owned(),
            look: Duration::from_millis(100),
            patience: Duration::from_secs(600),
        }
    }
}

/// Declares the rules, by the file they are in: each becomes public and part of [`all`].
macro_rules! rules {
    ($($file:ident { $($rule:ident,)+ })+) => {
        $(
            mod $file;
            pub use $file::{$($rule),+};
        )+

        /// Tries every rule, one after the other.
        ///
        /// # Panics
        /// With the first rule that is broken, and what was seen.
        pub async fn all(api: &dyn RunComfyApi, setting: &Setting) {
            $($($file::$rule(api, setting).await;)+)+
        }

        /// The name of every rule, in the order in which [`all`] tries them.
        pub const NAMES: &[&str] = &[$($(stringify!($rule)),+),+];
    };
}

rules! {
    deployments {
        a_listed_deployment_reads_the_same_when_got,
        a_list_can_be_narrowed_to_ids,
        payload_and_readme_come_only_when_asked_for,
        a_new_deployment_is_as_it_was_asked_for,
        a_deployment_out_of_range_is_refused,
        an_update_changes_only_what_it_names,
        an_update_of_nothing_is_refused,
        a_paused_deployment_refuses_runs_until_it_is_resumed,
        a_deleted_deployment_is_gone_for_good,
    }
    runs {
        a_run_goes_from_queue_to_progress_to_completed,
        a_place_in_the_queue_only_falls,
        a_run_in_progress_names_its_instance,
        every_submit_is_a_run_of_its_own,
        a_queued_run_can_be_cancelled,
        a_finished_run_is_not_cancellable,
        a_live_instance_answers_and_a_dead_one_is_not_found,
    }
    results {
        a_result_before_the_end_has_no_outputs,
        a_result_has_outputs_for_each_output_node,
        a_result_reads_the_same_each_time,
        a_failed_run_is_an_answer,
        an_override_changes_that_input_and_no_other,
        a_number_of_64_bits_survives,
        an_override_of_an_unknown_node_is_refused,
        an_unknown_id_is_not_found_and_had_no_effect,
        a_request_is_known_to_its_deployment_only,
    }
}

/// One rule being tried.
struct Rule<'a> {
    name: &'static str,
    api: &'a dyn RunComfyApi,
    setting: &'a Setting,
    deadline: Instant,
}

impl<'a> Rule<'a> {
    fn new(name: &'static str, api: &'a dyn RunComfyApi, setting: &'a Setting) -> Self {
        Self { name, api, setting, deadline: Instant::now() + setting.patience }
    }

    #[track_caller]
    fn broken(&self, seen: impl Debug) -> ! {
        panic!("broken rule: {}; saw {seen:?}", self.name)
    }

    #[track_caller]
    fn holds(&self, holds: bool, seen: impl Debug) {
        if !holds {
            self.broken(seen);
        }
    }

    #[track_caller]
    fn is<T: Debug + PartialEq>(&self, seen: T, expected: T) {
        if seen != expected {
            self.broken(format_args!("{seen:?} where {expected:?} was expected"));
        }
    }

    #[track_caller]
    fn good<T>(&self, answer: Result<T, Error>) -> T {
        answer.unwrap_or_else(|error| self.broken(error))
    }

    #[track_caller]
    fn some<T>(&self, part: Option<T>, missing: &str) -> T {
        part.unwrap_or_else(|| self.broken(format_args!("no {missing}")))
    }

    /// The call was refused, for one of these reasons, and it is known that nothing came of it.
    #[track_caller]
    fn refused<T: Debug>(&self, answer: Result<T, Error>, kinds: &[ErrorKind]) {
        match answer {
            Ok(answer) => self.broken(answer),
            Err(error) => {
                self.holds(kinds.contains(&error.kind()), &error);
                self.holds(matches!(error.outcome(), Outcome::NotSent | Outcome::Rejected), &error);
            }
        }
    }

    /// What a new deployment of the setting's workflow is asked for with.
    fn wanted(&self) -> CreateDeployment {
        let workflow_id = match self.setting.workflow_id.as_str().try_into() {
            Ok(workflow_id) => workflow_id,
            Err(error) => self.broken(error),
        };
        CreateDeployment::new(
            format!("conformance {}", self.name),
            workflow_id,
            &self.setting.workflow_version,
        )
        .hardware(&self.setting.hardware)
    }

    async fn deployment(&self) -> Deployment {
        self.good(self.api.create_deployment(&self.wanted()).await)
    }

    async fn delete(&self, deployment_id: &DeploymentId) {
        self.good(self.api.delete_deployment(deployment_id).await);
    }

    async fn submit(&self, request: &InferenceRequest) -> RequestId {
        self.good(self.api.submit_request(request).await).request_id
    }

    /// Submits a sample graph in place of the deployment's own.
    async fn submit_sample(&self, deployment_id: &DeploymentId, name: &str) -> RequestId {
        let request = InferenceRequest::new(deployment_id.clone());
        self.submit(&request.workflow_api_json(self.sample(name))).await
    }

    fn sample(&self, name: &str) -> Workflow {
        self.some(samples::workflow(name), name)
    }

    fn graph(&self, graph: Value) -> Workflow {
        Workflow::from_value(graph).unwrap_or_else(|error| self.broken(error))
    }

    async fn status(&self, deployment_id: &DeploymentId, request_id: &RequestId) -> RequestStatus {
        self.good(self.api.get_request_status(deployment_id, request_id).await)
    }

    /// Waits for the next look, but not for ever.
    async fn pause(&self) {
        self.holds(Instant::now() < self.deadline, "no end");
        tokio::time::sleep(self.setting.look).await;
    }

    /// Waits until the run is over.
    async fn finish(&self, deployment_id: &DeploymentId, request_id: &RequestId) -> Finished {
        let mut policy = WaitPolicy::with_timeout(self.setting.patience);
        (policy.shortest, policy.shortest_in_queue) = (self.setting.look, self.setting.look);
        (policy.longest, policy.jitter) = (self.setting.look, 0.0);
        let wait = Wait::new(self.api, deployment_id.clone(), request_id.clone()).policy(policy);
        match self.good(wait.finish().await) {
            WaitEnd::Finished(finished) => *finished,
            WaitEnd::TimedOut(timed_out) => self.broken(timed_out),
        }
    }
}
