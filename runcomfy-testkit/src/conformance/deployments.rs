//! Rules about deployments.

use runcomfy_core::{deployment::{CreateDeployment, Deployment, Include, ListDeployments, UpdateDeployment}, DeploymentId, ErrorKind, InferenceRequest};

use super::rule::Rule;

const REFUSED: &[ErrorKind] = &[ErrorKind::InvalidArgument, ErrorKind::InvalidRequest];

/// A create call creates one deployment and returns it.
pub(super) async fn a_create_is_one_deployment(rule: &Rule<'_>) {
    let name = rule.new_deployment().name;
    let leftovers = async || {
        let all = rule.good(rule.api.list_deployments(&ListDeployments::all()).await);
        // Only deployments of this name are compared, because others may use the account.
        let own = all.into_iter().filter(|one| one.name.as_ref() == Some(&name));
        own.map(|one| one.id).collect::<Vec<_>>()
    };
    let before = leftovers().await;
    let created = rule.deployment().await;
    let mut new = leftovers().await;
    new.retain(|id| !before.contains(id));
    rule.is(new, vec![created.id]);
}

/// A list and a get return the same deployment.
pub(super) async fn a_listed_deployment_reads_the_same_when_got(rule: &Rule<'_>) {
    let api = rule.api;
    let created = rule.deployment().await;
    let listed = rule.good(api.list_deployments(&ListDeployments::all()).await);
    let listed = rule.some(listed.into_iter().find(|one| one.id == created.id), "new deployment");
    let got = rule.good(api.get_deployment(&created.id, Include::none()).await);
    rule.is(&listed, &got);
}

/// A list of ids returns those and no others. An unknown id is not an error.
pub(super) async fn a_list_can_be_narrowed_to_ids(rule: &Rule<'_>) {
    let api = rule.api;
    let (first, second) = (rule.deployment().await, rule.deployment().await);
    rule.holds(first.id != second.id, &first.id);
    let ids = async |wanted: &[&Deployment]| {
        let wanted = wanted.iter().map(|deployment| deployment.id.clone());
        let query = ListDeployments::all().ids(wanted);
        let mut ids: Vec<DeploymentId> =
            rule.good(api.list_deployments(&query).await).into_iter().map(|one| one.id).collect();
        ids.sort_unstable();
        ids
    };
    rule.is(ids(&[&second]).await, vec![second.id.clone()]);
    let mut both = vec![first.id.clone(), second.id.clone()];
    both.sort_unstable();
    rule.is(ids(&[&first, &second]).await, both);
    rule.delete(&second.id).await;
    rule.is(ids(&[&first, &second]).await, vec![first.id.clone()]);
}

/// Workflow and documentation are returned only on request, in lists as well.
pub(super) async fn payload_and_readme_come_only_when_asked_for(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    for (payload, readme) in [(false, false), (true, false), (false, true), (true, true)] {
        let include = Include::none().payload(payload).readme(readme);
        let query = ListDeployments::all().ids([id.clone()]).include(include);
        let listed = rule.good(api.list_deployments(&query).await);
        let got = rule.good(api.get_deployment(&id, include).await);
        for seen in listed.iter().chain([&got]) {
            rule.is((seen.payload.is_some(), seen.readme.is_some()), (payload, readme));
        }
        if let Some(payload) = got.payload {
            let workflow = payload.workflow().unwrap_or_else(|error| rule.broken(error));
            rule.holds(workflow.is_some_and(|graph| graph.nodes().count() > 0), "no nodes");
        }
    }
}

/// A new deployment has the requested settings, is enabled, and is listed.
pub(super) async fn a_new_deployment_is_as_it_was_asked_for(rule: &Rule<'_>) {
    let api = rule.api;
    let wanted =
        rule.new_deployment().instances(0, 3).queue_size(2).keep_warm_duration_in_seconds(30);
    let created = rule.good(rule.create(&wanted).await);
    let got = rule.good(api.get_deployment(&created.id, Include::none()).await);
    for seen in [&created, &got] {
        rule.is(seen.name.as_ref(), Some(&wanted.name));
        rule.is(seen.workflow_id.as_deref(), Some(wanted.workflow_id.as_str()));
        rule.is(seen.workflow_version.as_ref(), Some(&wanted.workflow_version));
        rule.is(seen.hardware.as_deref(), Some(&[wanted.hardware.clone()][..]));
        rule.is((seen.min_instances, seen.max_instances), (Some(0), Some(3)));
        rule.is((seen.queue_size, seen.keep_warm_duration_in_seconds), (Some(2), Some(30)));
        rule.is(seen.is_enabled, Some(true));
    }
}

/// A deployment out of range is refused and not created.
pub(super) async fn a_deployment_out_of_range_is_refused(rule: &Rule<'_>) {
    let api = rule.api;
    let mut nameless = rule.new_deployment();
    nameless.name = String::new();
    let unfit: [CreateDeployment; 5] = [
        rule.new_deployment().hardware("COMMODORE_64"),
        rule.new_deployment().instances(0, 0),
        rule.new_deployment().instances(0, 61),
        rule.new_deployment().instances(2, 1),
        nameless,
    ];
    for wanted in unfit {
        rule.refused(rule.create(&wanted).await, REFUSED);
        let all = rule.good(api.list_deployments(&ListDeployments::all()).await);
        let made = all.iter().any(|one| one.name.as_ref() == Some(&wanted.name));
        rule.holds(!made, &wanted);
    }
}

/// An update changes the fields that it names and no others.
pub(super) async fn an_update_changes_only_what_it_names(rule: &Rule<'_>) {
    type FieldChange = (UpdateDeployment, fn(&Rule<'_>, &mut Deployment));
    let api = rule.api;
    let mut expected = rule.deployment().await;
    let id = expected.id.clone();
    let change = UpdateDeployment::new;
    // Paused first, so that no instance starts.
    let changes: [FieldChange; 8] = [
        (change().is_enabled(false), |_, it| it.is_enabled = Some(false)),
        (change().max_instances(5_u64), |_, it| it.max_instances = Some(5)),
        (change().min_instances(1_u64), |_, it| it.min_instances = Some(1)),
        (change().queue_size(3_u64), |_, it| it.queue_size = Some(3)),
        (change().keep_warm_duration_in_seconds(7_u64), |_, it| {
            it.keep_warm_duration_in_seconds = Some(7);
        }),
        (change().hardware(&rule.setting.other_hardware), |rule, it| {
            it.hardware = Some(vec![rule.setting.other_hardware.clone()]);
        }),
        (change().workflow_version(&rule.setting.other_workflow_version), |rule, it| {
            it.workflow_version = Some(rule.setting.other_workflow_version.clone());
        }),
        (change().name("conformance renamed"), |_, it| {
            it.name = Some("conformance renamed".to_owned());
        }),
    ];
    for (changes, expect) in changes {
        let updated = rule.good(api.update_deployment(&id, &changes).await).deployment;
        let got = rule.good(api.get_deployment(&id, Include::none()).await);
        expect(rule, &mut expected);
        for mut seen in [updated, got] {
            seen.updated_at.clone_from(&expected.updated_at);
            rule.is(&seen, &expected);
        }
    }
}

/// An empty update is refused before it is sent.
pub(super) async fn an_update_of_nothing_is_refused(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    let answer = api.update_deployment(&id, &UpdateDeployment::new()).await;
    rule.refused(answer, &[ErrorKind::InvalidArgument]);
}

/// A paused deployment refuses runs until it is resumed.
pub(super) async fn a_paused_deployment_refuses_runs_until_it_is_resumed(rule: &Rule<'_>) {
    let api = rule.api;
    let id = rule.deployment().await.id;
    let switch = async |on: bool| {
        let updated = api.update_deployment(&id, &UpdateDeployment::new().is_enabled(on)).await;
        rule.is(rule.good(updated).deployment.is_enabled, Some(on));
    };
    let request = InferenceRequest::new(id.clone());
    switch(false).await;
    rule.refused(api.submit_request(&request).await, &[ErrorKind::DeploymentDisabled]);
    switch(true).await;
    let run = rule.submit(&request).await;
    rule.finish(&id, &run).await;
}

/// A deleted deployment is not found and cannot be deleted again.
pub(super) async fn a_deleted_deployment_is_gone_for_good(rule: &Rule<'_>) {
    const GONE: &[ErrorKind] = &[ErrorKind::NotFound];
    let api = rule.api;
    let id = rule.deployment().await.id;
    rule.delete(&id).await;
    rule.refused(api.get_deployment(&id, Include::none()).await, GONE);
    rule.refused(api.delete_deployment(&id).await, GONE);
    let changes = UpdateDeployment::new().name("conformance").is_enabled(true);
    rule.refused(api.update_deployment(&id, &changes).await, GONE);
    rule.refused(api.submit_request(&InferenceRequest::new(id.clone())).await, GONE);
    let listed = rule.good(api.list_deployments(&ListDeployments::all()).await);
    rule.holds(listed.iter().all(|one| one.id != id), &id);
}
