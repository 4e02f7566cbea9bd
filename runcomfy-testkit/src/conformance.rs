//! Rules that every [`RunComfyApi`] must satisfy: the fake, the HTTP client with the emulator, and the
//! service.
//!
//! Each rule is a function that panics with its name and what it observed. It polls, with a paused clock in
//! memory or a real clock over a socket. With a real clock, set [`Setting::poll_interval`] to a few
//! milliseconds and runs to about a tenth of a second. Runs must last for several polls.
//!
//! A rule deletes the deployments that it created, also when it panics, because deployments of the service
//! cost money. When it panics it also deletes all deployments with its own name, `conformance` and the rule's
//! name, because a broken service may have created more than it reported. So do not test one account from two
//! places at a time.
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

/// Declares the rules by file. Each becomes a public function and part of [`all`].
macro_rules! rules {
    ($($file:ident { $($rule:ident,)+ })+) => {
        $(
            mod $file;
            $(
                #[doc = concat!("Tries the rule `", stringify!($rule), "` alone.")]
                ///
                /// # Panics
                /// If the rule is broken.
                pub async fn $rule(api: &dyn RunComfyApi, setting: &Setting) {
                    let rule = Rule::new(stringify!($rule), api, setting);
                    rule.attempt($file::$rule(&rule)).await;
                }
            )+
        )+

        /// Checks every rule, one after another.
        ///
        /// # Panics
        /// With the first rule that is broken.
        pub async fn all(api: &dyn RunComfyApi, setting: &Setting) {
            $($($rule(api, setting).await;)+)+
        }

        /// The names of all rules, in the order of [`all`].
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
