use super::*;

#[track_caller]
fn check(operation: Operation, kind: ErrorKind, outcome: Outcome, retryable: bool) {
    let error = Error::new(operation, kind).with_outcome(outcome);
    assert_eq!(error.is_retryable(), retryable, "{operation:?} {kind:?} {outcome:?}");
}

#[test]
fn a_paid_call_is_repeated_only_where_nothing_can_have_happened() {
    for paid in
        [Operation::SubmitRequest, Operation::CreateDeployment, Operation::CallInstanceProxy]
    {
        check(paid, ErrorKind::TimedOut, Outcome::Unknown, false);
        check(paid, ErrorKind::RateLimited, Outcome::Unknown, false);
        check(paid, ErrorKind::TimedOut, Outcome::NotSent, true);
        check(paid, ErrorKind::UpstreamUnavailable, Outcome::Unknown, false);
        check(paid, ErrorKind::UpstreamProtocol, Outcome::Unknown, false);
        check(paid, ErrorKind::UpstreamProtocol, Outcome::Applied, false);
        check(paid, ErrorKind::UpstreamUnavailable, Outcome::NotSent, true);
        check(paid, ErrorKind::RateLimited, Outcome::Rejected, true);
    }
}

#[test]
fn a_call_without_a_second_effect_is_repeated_after_any_passing_fault() {
    for free in [Operation::GetRequestStatus, Operation::DeleteDeployment, Operation::CancelRequest]
    {
        check(free, ErrorKind::TimedOut, Outcome::Unknown, true);
        check(free, ErrorKind::UpstreamUnavailable, Outcome::Unknown, true);
        check(free, ErrorKind::NotFound, Outcome::Rejected, false);
        check(free, ErrorKind::Unauthenticated, Outcome::Rejected, false);
    }
}

#[test]
fn a_word_for_programs_reads_back_as_what_it_was() {
    for kind in ErrorKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(*kind));
    }
    for outcome in Outcome::ALL {
        assert_eq!(outcome.as_str().parse(), Ok(*outcome));
    }
    assert_eq!("nonsense".parse::<Operation>(), Err(ParseNameError));
}

#[test]
fn words_for_programs_are_unique() {
    let mut words: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), ErrorKind::ALL.len());
}

#[test]
fn an_error_reads_as_one_line_with_what_is_known() {
    let error = Error::new(Operation::SubmitRequest, ErrorKind::InvalidRequest)
        .with_status_code(422)
        .with_error_code(422_001)
        .with_message("Validation\n\u{1b}[31mError\u{202e}");
    assert_eq!(
        error.to_string(),
        "could not submit the request: RunComfy found the request invalid (HTTP 422, error_code 422001): \
         Validation [31mError"
    );
    let error = Error::new(Operation::ListDeployments, ErrorKind::UpstreamUnavailable)
        .with_attempts(3, Duration::from_millis(12_400));
    assert_eq!(
        error.to_string(),
        "could not list deployments: RunComfy is unavailable (after 3 tries in 12.4 s)"
    );
}

#[test]
fn messages_and_details_are_bounded() {
    let error = Error::new(Operation::SubmitRequest, ErrorKind::InvalidRequest)
        .with_message("é".repeat(5000))
        .with_detail(Value::Array(vec![Value::from("x"); 500]));
    assert!(error.message().unwrap().len() <= MAX_MESSAGE_BYTES + '…'.len_utf8());
    assert_eq!(error.detail().unwrap().as_array().unwrap().len(), MAX_DETAILS);
    let most = error.clone().with_status_code(400).with_error_code(i64::MIN);
    let said = most.with_attempts(u32::MAX, Duration::from_secs(u32::MAX.into())).to_string();
    assert!(said.len() < 1750, "{} bytes leave no room for advice", said.len());
    let error = error.with_detail(Value::from("y".repeat(9000)));
    assert_eq!(error.detail(), None);
}
