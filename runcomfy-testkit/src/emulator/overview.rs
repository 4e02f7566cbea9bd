//! The overview for the page, and the account routes of the control API.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use chrono::{SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::{
    accounts::Fingerprint,
    app_state::{AppState, Caller, RequireJson, bearer},
    encode,
};
use crate::{fake::FakeRunComfy, ids, text};

pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/_emulator/overview", get(overview))
        .route("/_emulator/account", get(account))
        .route("/_emulator/pay-in", post(pay_in))
}

/// Up to this many accounts are always shown in full.
const MAX_FULL_ACCOUNTS: usize = 6;

async fn overview(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut accounts = state.accounts.all();
    // A stable order when accounts are added.
    accounts.sort_unstable_by_key(|(fingerprint, _)| *fingerprint);
    let few = accounts.len() <= MAX_FULL_ACCOUNTS;
    // The account that is shown in full if there are many.
    let asked = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(key, _)| key == "account")
        .map(|(_, name)| name.into_owned());
    let chosen = asked.filter(|name| accounts.iter().any(|(one, _)| account_name(*one) == *name));
    let summary = |(place, (fingerprint, fake)): (usize, &(Option<Fingerprint>, FakeRunComfy))| {
        let name = account_name(*fingerprint);
        // By default the first.
        let whole = few || chosen.as_ref().map_or(place == 0, |chosen| *chosen == name);
        let mut summary = if whole { fake.overview() } else { fake.summary() };
        if whole {
            strip_base(&mut summary, &state.base);
            summary.insert("calls".to_owned(), json!(state.shared.call_log.recent(*fingerprint)));
        }
        summary.insert("account".to_owned(), json!(name));
        Value::Object(summary)
    };
    let summaries: Vec<_> = accounts.iter().enumerate().map(summary).collect();
    let counters = state.shared.call_log.counters();
    let mut body = json!({
        "time_scale": state.accounts.time_scale(),
        "scenarios": state.shared.faults.playing(),
        "comfyui": state.pool.as_ref().map_or_else(|| json!([]), |pool| pool.overview()),
        "counters": {
            "calls": counters.totals.calls,
            "runs_started": counters.totals.submits.accepted,
            "faults_injected": counters.totals.faults.values().sum::<u64>(),
            "webhooks_delivered": state.notifier.as_ref().map_or(0, |one| one.delivered()),
        },
        "accounts": summaries,
    });
    // The time is not part of the ETag.
    let tag = format!("\"{:016x}\"", ids::hash(format!("{}{body}", this_process()).as_bytes()));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    body["now"] = json!(now(&accounts));
    let mut answer = encode::json(StatusCode::OK, &body);
    if let Ok(tag) = tag.parse() {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}

/// The name of an account in the control API.
fn account_name(fingerprint: Option<Fingerprint>) -> String {
    fingerprint.map_or_else(|| "shared".to_owned(), |fingerprint| fingerprint.to_string())
}

/// The simulated time, which is the same for all accounts of one template.
fn now(accounts: &[(Option<Fingerprint>, FakeRunComfy)]) -> String {
    match accounts {
        [(_, fake), ..] => fake.stamp(),
        [] => Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
    }
}

/// Identifies this process, so that an ETag from before a restart does not match.
fn this_process() -> &'static str {
    static START: OnceLock<String> = OnceLock::new();
    START.get_or_init(|| format!("{:?}{}", Utc::now(), std::process::id()))
}

/// Makes the URLs of files relative, because the page may be reached under another name.
fn strip_base(summary: &mut Map<String, Value>, base: &Url) {
    let requests = summary.get_mut("requests").and_then(Value::as_array_mut).into_iter().flatten();
    let files = requests.filter_map(|one| one["files"].as_array_mut()).flatten();
    for file in files {
        let path = file["url"].as_str().and_then(|url| url.strip_prefix(base.as_str()));
        if let Some(path) = path.map(|path| format!("/{path}")) {
            file["url"] = Value::String(path);
        }
    }
}

/// The caller's account in full, with the name that counters and fault rules use.
async fn account(
    State(state): State<Arc<AppState>>,
    Caller(fake): Caller,
    headers: HeaderMap,
) -> Response {
    let mut summary = Map::new();
    let fingerprint = bearer(&headers).and_then(|one| state.accounts.fingerprint(one));
    summary.insert("account".to_owned(), json!(account_name(fingerprint)));
    summary.extend(fake.overview());
    strip_base(&mut summary, &state.base);
    encode::json(StatusCode::OK, &Value::Object(summary))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayIn {
    amount_usd: f64,
}

/// Adds money to the caller's account.
async fn pay_in(Caller(fake): Caller, _: RequireJson, body: Bytes) -> Response {
    let unprocessable = |why: &str| {
        let body = json!({"error": why, "field": "amount_usd"});
        encode::json(StatusCode::UNPROCESSABLE_ENTITY, &body)
    };
    let Ok(PayIn { amount_usd }) = serde_json::from_slice(text::json(&body)) else {
        return unprocessable("the body must be {\"amount_usd\": <number>}");
    };
    if !(0.0..=1e9).contains(&amount_usd) {
        return unprocessable("amount_usd must be 0 to 1000000000");
    }
    match fake.pay_in_usd(amount_usd).await {
        Ok(()) => encode::json(StatusCode::OK, &encode::balance(fake.balance())),
        Err(error) => {
            let body = json!({"error": error.to_string()});
            encode::json(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    }
}
