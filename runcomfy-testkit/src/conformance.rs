//! Rules that every [`RunComfyApi`] keeps: the fake, the HTTP client before the emulator, the service.
//!
//! Each rule is a function that panics with its name and what it saw. It waits by looking: under a paused
//! clock in memory, or with a real one over a socket, where [`Setting::poll_interval`] should be a few milliseconds
//! and runs about a tenth of a second. A rule that has to catch a run in progress wants runs that last for
//! several looks.
//!
//! What a rule makes it deletes again, also when it panics: against the service a deployment costs money.
//! Then it also deletes all others that go by its name, `conformance` and the rule's, for a service that
//! breaks a rule may have made more than it said. So try an account from one place at a time.
//!
//! ```
//! use runcomfy_testkit::{FakeRunComfy, conformance::{self, Setting}};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! conformance::all(&FakeRunComfy::default(), &Setting::default()).await;
//! # }
//! ```

use runcomfy_core::RunComfyApi;

mod rule;

pub use rule::Setting;

use rule::Rule;

/// Declares the rules, by the file they are in: each becomes public and part of [`all`].
macro_rules! rules {
    ($($file:ident { $($rule:ident,)+ })+) => {
        $(
            mod $file;
            $(
                #[doc = concat!("Tries the rule `", stringify!($rule), "` alone.")]
                ///
                /// # Panics
                /// Where it is broken, with what was seen.
                pub async fn $rule(api: &dyn RunComfyApi, setting: &Setting) {
                    let rule = Rule::new(stringify!($rule), api, setting);
                    rule.attempt($file::$rule(&rule)).await;
                }
            )+
        )+

        /// Tries every rule, one after the other.
        ///
        /// # Panics
        /// With the first rule that is broken, and what was seen.
        pub async fn all(api: &dyn RunComfyApi, setting: &Setting) {
            $($($rule(api, setting).await;)+)+
        }

        /// The name of every rule, in the order in which [`all`] tries them.
        pub const NAMES: &[&str] = &[$($(stringify!($rule)),+),+];
    };
}

rules! {
    deployments {
        a_create_is_one_deployment,
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
    queue {
        a_place_in_the_queue_counts_those_ahead,
        a_place_in_the_queue_only_falls,
        a_run_is_not_overtaken,
        no_more_runs_are_in_progress_than_there_may_be_instances,
    }
    runs {
        a_run_goes_from_queue_to_progress_to_completed,
        a_run_in_progress_names_its_instance,
        every_submit_is_a_run_of_its_own,
        a_queued_run_can_be_cancelled,
        a_run_in_progress_can_be_cancelled,
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
