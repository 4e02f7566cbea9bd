//! The project's own HTTP client with every fault: the outcome that it reports is true, and nothing is done
//! twice.

use std::time::Duration;

use runcomfy_core::{
    DeploymentId, Error, ErrorKind, HttpApi, InferenceRequest, RunComfyApi as _, Token,
    client::{Limits, Timeouts},
    error::Outcome,
    retry::RetryPolicy,
};
use runcomfy_testkit::{Effect, Emulator, Fault, FaultKind, FaultRule};

use super::{DEPLOYMENT, quick, settled};

fn client(emulator: &Emulator) -> HttpApi {
    let mut timeouts = Timeouts::default();
    (timeouts.read_attempt, timeouts.write_attempt) =
        (Duration::from_millis(400), Duration::from_millis(400));
    timeouts.read_stall = Duration::from_millis(300);
    let mut retry = RetryPolicy::default();
    (retry.base, retry.declined_base) = (Duration::from_millis(1), Duration::from_millis(1));
    HttpApi::builder()
        .base_url(emulator.url().as_str())
        .token(Token::new("me").unwrap())
        .timeouts(timeouts)
        .limits(Limits::default())
        .retry(retry)
        .build()
        .unwrap()
}

/// The fault with short delays.
fn brief(kind: FaultKind) -> Fault {
    let fault = Fault::new(kind);
    let (name, value) = match kind {
        FaultKind::RateLimited | FaultKind::Unavailable => ("retry_after", 0),
        FaultKind::NotFoundAtFirst => ("ms", 50),
        FaultKind::CutResponse => ("at", 20),
        FaultKind::Trickle => ("every_ms", 50),
        FaultKind::GzipBomb => ("mib", 64),
        _ => return fault,
    };
    fault.with(name, value).unwrap()
}

type End = Result<(), (ErrorKind, Outcome)>;

fn end<T>(answer: Result<T, Error>) -> End {
    answer.map(drop).map_err(|error| (error.kind(), error.outcome()))
}

const UNAVAILABLE: End = Err((ErrorKind::UpstreamUnavailable, Outcome::Unknown));
const SENSELESS: End = Err((ErrorKind::UpstreamProtocol, Outcome::Unknown));
const LATE: End = Err((ErrorKind::TimedOut, Outcome::Unknown));
const DISABLED: End = Err((ErrorKind::DeploymentDisabled, Outcome::Rejected));
const FORBIDDEN: End = Err((ErrorKind::PermissionDenied, Outcome::Rejected));
const NO_TOKEN: End = Err((ErrorKind::Unauthenticated, Outcome::Rejected));

/// The outcome of a submit and of a read that have the fault once.
fn expected(kind: FaultKind) -> Option<(End, End)> {
    use FaultKind::*;
    Some(match kind {
        // Retried after a refusal, or a correct response, or without effect on a submit.
        RateLimited | Unavailable | WrongContentType | UnknownFields | UnknownStatus
        | CanceledSpelling | CancelledSpelling | NotFoundAtFirst | FailedRun | PartialOutputs
        | NoOutputs | CancelledRun => (Ok(()), Ok(())),
        // The connection ended before anything was sent.
        ResetAtAccept | CloseAtAccept => (Ok(()), Ok(())),
        ErrorCode => (DISABLED, DISABLED),
        Refused => (FORBIDDEN, FORBIDDEN),
        TokenRevoked => (NO_TOKEN, NO_TOKEN),
        InternalError | BadGateway | GatewayTimeout | ResetBeforeBody | ResetAfterBody
        | CloseAfterBody | AnswerLost | CutResponse => (UNAVAILABLE, Ok(())),
        Html | EmptyBody | Garbage | GiantHeaders => (SENSELESS, Ok(())),
        Redirect | GzipBomb | EndlessBody => (SENSELESS, SENSELESS),
        InformationalFlood | Trickle | Stall => (LATE, Ok(())),
        _ => return None,
    })
}

#[tokio::test]
async fn a_submit_ends_as_the_fault_allows_and_never_starts_two_runs() {
    let id = DeploymentId::new(DEPLOYMENT).unwrap();
    for kind in FaultKind::ALL {
        let (wanted, _) = expected(*kind).expect("an expectation for each fault");
        for effect in ["applied", "none"] {
            // A refusal that took effect cannot be handled correctly by any client.
            let lies = matches!(wanted, Ok(()) | Err((_, Outcome::Rejected)));
            let fault = match brief(*kind).with("effect", effect) {
                Ok(fault) if !lies || fault == brief(*kind) => fault,
                _ => continue,
            };
            let (emulator, fake) = quick().await;
            emulator.inject(FaultRule::new(fault.clone()).times(1));
            let mut end =
                end(client(&emulator).submit_request(&InferenceRequest::new(id.clone())).await);
            let at_accept = matches!(kind, FaultKind::ResetAtAccept | FaultKind::CloseAtAccept);
            if at_accept && end == UNAVAILABLE {
                // The request had already been sent when the connection ended.
                end = Ok(());
                assert_eq!(fake.runs_started(), 0, "{fault}");
            } else {
                let runs = u64::from(end.is_ok() || fault.effect() == Effect::Applied);
                assert_eq!(fake.runs_started(), runs, "{fault}");
            }
            // The response's head reports the failure before its slow body.
            let failed = *kind == FaultKind::Trickle && fault.effect() == Effect::Withheld;
            assert_eq!(end, if failed { UNAVAILABLE } else { wanted }, "{fault}");
            settled(&emulator).await;
            let counters = emulator.counters();
            assert_eq!(counters.broken(), [""; 0], "{fault}");
            if matches!(end, Err((_, Outcome::Unknown))) {
                assert_eq!(counters.totals.submits.seen, 1, "{fault} was tried again");
            }
        }
    }
}

#[tokio::test]
async fn a_bare_503_leaves_it_open_whether_a_run_was_started() {
    for effect in [Effect::Applied, Effect::Withheld] {
        let (emulator, fake) = quick().await;
        let bare = Fault::new(FaultKind::Unavailable).with("effect", effect.as_str()).unwrap();
        emulator.inject(FaultRule::new(bare).times(1));
        let request = InferenceRequest::new(DeploymentId::new(DEPLOYMENT).unwrap());
        assert_eq!(end(client(&emulator).submit_request(&request).await), UNAVAILABLE);
        assert_eq!(fake.runs_started(), u64::from(effect == Effect::Applied));
    }
}

#[tokio::test]
async fn a_read_outlives_what_passes_and_names_what_does_not() {
    let id = DeploymentId::new(DEPLOYMENT).unwrap();
    for kind in FaultKind::ALL {
        let (_, wanted) = expected(*kind).expect("an expectation for each fault");
        let (emulator, fake) = quick().await;
        let api = client(&emulator);
        let run = api.submit_request(&InferenceRequest::new(id.clone())).await.unwrap().request_id;
        emulator.inject(FaultRule::new(brief(*kind)).times(1));
        assert_eq!(end(api.get_request_status(&id, &run).await), wanted, "{kind:?}");
        assert_eq!(fake.runs_started(), 1);
    }
}
