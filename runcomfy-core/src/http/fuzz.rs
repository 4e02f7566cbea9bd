//! What must hold for any bytes at all. Each target is one function that panics where it does not; mutated
//! samples go through them in tests, and libFuzzer's inventions in `fuzz/`.

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    time::Duration,
};

use super::{
    base_url::{Base, with_list_query},
    decode,
    response::{DecodeContext, RawResponse},
    retry_after::retry_after,
};
use crate::{
    deployment::Include,
    error::{Error, Operation, Outcome},
    id::{DeploymentId, InstanceId, RequestId, is_id},
    instance::ProxyPath,
    text::is_invisible,
};

/// The longest text that an error may have.
pub const MAX_ERROR_BYTES: usize = 2048;

/// The most of what came in that a refusal may repeat.
pub const MAX_ECHO_BYTES: usize = 64;

/// Panics where an error's text is long, or repeats much of `input`.
pub fn assert_brief(said: &str, input: &[u8]) {
    assert!(said.len() <= MAX_ERROR_BYTES, "{} bytes of error text", said.len());
    let longer = MAX_ECHO_BYTES + 1;
    if said.len() < longer || input.len() < longer {
        return;
    }
    // By hash: libFuzzer watches what is compared, and would copy our own words into what it sends.
    let hash = |part: &[u8]| BuildHasherDefault::<DefaultHasher>::new().hash_one(part);
    let came: HashSet<u64> = input.windows(longer).map(hash).collect();
    let echo = said.as_bytes().windows(longer).any(|part| came.contains(&hash(part)));
    assert!(!echo, "repeats more than {MAX_ECHO_BYTES} bytes of what came: {said}");
}

/// The parts between bytes that are in no text.
fn parts<const N: usize>(bytes: &[u8]) -> [String; N] {
    let mut parts = bytes.splitn(N, |byte| *byte == 0xff);
    std::array::from_fn(|_| String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned())
}

/// Ids, a route and a base, one after the other with `0xff` between them: what is taken stays what it was,
/// at its place in an address of the same origin.
pub fn safe_id_and_path(bytes: &[u8]) {
    let [deployment, request, instance, path, base] = parts(bytes);
    let checked = |text: &str, taken: Result<String, String>| {
        // Said again in other words, so that a fault in one shows.
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let fits = !text.is_empty() && text.len() <= 128 && text.chars().all(good);
        assert_eq!(taken.is_ok(), fits, "{text:?}");
        match taken {
            Ok(taken) => assert_eq!(taken, text),
            Err(refused) => {
                assert!(refused.len() <= 300, "{refused}");
                assert_brief(&refused, bytes);
            }
        }
    };
    let word = |error: crate::id::InvalidId| error.to_string();
    let deployment_id = DeploymentId::new(deployment.as_str());
    let request_id = RequestId::new(request.as_str());
    let instance_id = InstanceId::new(instance.as_str());
    checked(&deployment, deployment_id.clone().map(|id| id.to_string()).map_err(word));
    checked(&request, request_id.clone().map(|id| id.to_string()).map_err(word));
    checked(&instance, instance_id.clone().map(|id| id.to_string()).map_err(word));
    let route = ProxyPath::new(&path);
    match &route {
        Ok(route) => {
            assert_eq!(route.as_str(), path.strip_prefix('/').unwrap_or(&path));
            assert!(route.as_str().len() <= 1024 && route.as_str().split('/').count() <= 16);
        }
        Err(refused) => assert_brief(&refused.to_string(), bytes),
    }
    let base = match Base::parse(&base) {
        Ok(base) => base,
        Err(refused) => {
            assert_brief(&refused.to_string(), bytes);
            let Ok(usual) = Base::parse("https://api.example:8443") else { return };
            usual
        }
    };
    assert!(base.url().scheme() == "https" || base.is_local(), "{}", base.url());
    let (Ok(deployment_id), Ok(request_id), Ok(instance_id), Ok(route)) =
        (deployment_id, request_id, instance_id, route)
    else {
        return;
    };
    let mut segments =
        vec!["prod", "v2", deployment_id.as_str(), request_id.as_str(), instance_id.as_str()];
    segments.extend(route.as_str().split('/'));
    let include = Include { payload: path.len() % 2 == 0, readme: request.len() % 2 == 0 };
    let ids = [deployment_id.clone(), deployment_id.clone()];
    let built = with_list_query(base.join(segments.iter().copied()), include, &ids);
    // Read back from the text: that is what goes out.
    let read = ::url::Url::parse(built.as_str());
    assert_eq!(read.as_ref(), Ok(&built));
    assert_eq!(built.origin(), base.url().origin());
    assert!(built.username().is_empty() && built.password().is_none());
    assert!(built.fragment().is_none());
    assert_eq!(built.path_segments().map(Iterator::collect::<Vec<_>>), Some(segments));
    let listed = built.query_pairs().filter(|(key, _)| key == "ids");
    assert_eq!(
        listed.map(|(_, id)| id.into_owned()).collect::<Vec<_>>(),
        [deployment_id.as_str(), deployment_id.as_str()]
    );
}

/// A `Retry-After`, and after `0xff` a `Date`: a delay of at most a day, or none.
pub fn retry_after_header(bytes: &[u8]) {
    const DAY: Duration = Duration::from_secs(86_400);
    let [value, date] = parts(bytes);
    let dated = retry_after(&value, Some(&date));
    let alone = retry_after(&value, None);
    assert!(dated.is_none_or(|delay| delay <= DAY), "{dated:?}");
    let number = value.trim();
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = number.parse().map_or(DAY, Duration::from_secs).min(DAY);
        assert_eq!((alone, dated), (Some(seconds), Some(seconds)));
    } else {
        // A date says nothing where nobody knows when it was written.
        assert_eq!(alone, None);
    }
}

/// The caller's token, which no error may repeat.
const SECRET: &str = "rc_CANARY_0123456789";

/// A response: a letter that says to what, the status, and the content type, up to the end of the line; what
/// `Retry-After` says on the next; then the body. Gives the error that it is read as.
pub fn upstream_reply(bytes: &[u8]) -> Option<Error> {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (head, delay, body) = (line(), line(), line());
    let (letter, head) = head.split_first().unwrap_or((&b'a', &[]));
    let head = String::from_utf8_lossy(head);
    let (status, kind) = head.split_once(' ').unwrap_or((&head, ""));
    let answer = |status: u16| RawResponse {
        status,
        content_type: (!kind.is_empty()).then(|| kind.to_owned()),
        retry_after: retry_after(&String::from_utf8_lossy(delay), None),
        body: body.to_vec().into(),
        non_finite: None,
    };
    let answer = answer(status.parse().unwrap_or(200));
    let (status, delay) = (answer.status, answer.retry_after);
    let error = read(*letter, answer).err()?;
    assert_ne!(error.outcome(), Outcome::NotSent, "it was answered");
    assert_eq!(error.status_code(), Some(status));
    // Whatever may have been done on the way is not refused.
    let refused = error.outcome() == Outcome::Rejected;
    let certain = (400..499).contains(&status) && status != 408 || status == 503 && delay.is_some();
    assert!(!refused || certain || error.error_code().is_some(), "{error:?}");
    let said = error.to_string();
    assert!(said.len() <= MAX_ERROR_BYTES, "{} bytes of error text", said.len());
    assert!(!said.chars().any(|c| c.is_control() || is_invisible(c)), "{said:?}");
    let all = format!("{said} {error:?} {}", error.detail().cloned().unwrap_or_default());
    assert!(!all.contains(&SECRET[..TELLING]), "repeats the token: {all}");
    Some(error)
}

/// So much of a token is as good as all of it to whoever looks for it.
const TELLING: usize = 12;

/// The same, with the caller's token where `0x01` is, and the first half of it where `0x02` is: a service
/// that repeats what it was sent. Gives the error with what must not be in anything that is made of it.
pub fn repeated_token(bytes: &[u8]) -> Option<(Error, &'static str)> {
    let mut planted = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            1 => planted.extend_from_slice(SECRET.as_bytes()),
            2 => planted.extend_from_slice(&SECRET.as_bytes()[..TELLING + 2]),
            byte => planted.push(*byte),
        }
    }
    Some((upstream_reply(&planted)?, &SECRET[..TELLING]))
}

/// What each call makes of a response.
fn read(letter: u8, answer: RawResponse) -> Result<(), Error> {
    const OPERATIONS: [Operation; 10] = [
        Operation::ListDeployments,
        Operation::GetDeployment,
        Operation::CreateDeployment,
        Operation::UpdateDeployment,
        Operation::DeleteDeployment,
        Operation::SubmitRequest,
        Operation::GetRequestStatus,
        Operation::GetRequestResult,
        Operation::CancelRequest,
        Operation::CallInstanceProxy,
    ];
    let operation = OPERATIONS[usize::from(letter.wrapping_sub(b'a')) % OPERATIONS.len()];
    let context = DecodeContext { operation, secrets: &[SECRET] };
    let good = answer.is_success();
    let Ok(asked) = RequestId::new("r1") else { return Ok(()) };
    let same = |id: &Option<RequestId>| {
        assert!(id.as_ref().is_some_and(|id| id.as_str().eq_ignore_ascii_case("r1")), "{id:?}");
    };
    let mut not_ready = false;
    match operation {
        Operation::ListDeployments => drop(decode::deployments(&context, answer)?),
        Operation::DeleteDeployment => drop(decode::deleted(&context, answer)?),
        Operation::SubmitRequest => {
            assert!(is_id(decode::submission(&context, answer)?.request_id.as_str()));
        }
        Operation::GetRequestStatus => same(&decode::status(&context, answer, &asked)?.request_id),
        Operation::GetRequestResult => {
            let result = decode::result(&context, answer, &asked)?;
            same(&result.request_id);
            not_ready = !result.is_final();
        }
        Operation::CancelRequest => {
            same(&decode::cancellation(&context, answer, &asked)?.request_id)
        }
        Operation::CallInstanceProxy => drop(decode::proxy_reply(&context, answer)?),
        _ => drop(decode::deployment(&context, answer)?),
    }
    assert!(good || not_ready, "a refusal was taken for an answer");
    Ok(())
}
