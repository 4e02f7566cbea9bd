//! `CallLog`: records the outcome of every call.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::StatusCode;
use runcomfy_core::{
    RequestId,
    error::{CallKind, Operation},
};
use serde::Serialize;

use super::{
    accounts::Fingerprint,
    counters::{CallCounters, ConnectionCounters, Counters},
    faults::FaultKind,
};
use crate::{fake::FakeRunComfy, sync::lock};

/// The outcomes of all calls.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    accounts: Mutex<HashMap<Option<Fingerprint>, Arc<AccountCalls>>>,
    open: Arc<AccountCalls>,
    unauthenticated: AtomicU64,
    connections: Mutex<ConnectionCounters>,
}

/// The calls of one account.
#[derive(Debug, Default)]
struct AccountCalls {
    numbers: Mutex<RawCounters>,
    /// The account, and how many runs it had before. `None` for calls that need no token.
    fake: Option<(FakeRunComfy, u64)>,
}

/// The stored counters. The others are computed from them.
#[derive(Debug, Default)]
struct RawCounters {
    shown: CallCounters,
    /// Calls that changed something, and those of them that got the correct response.
    changes: u64,
    changes_confirmed: u64,
    /// Submits that the service accepted.
    submits_taken: u64,
    /// The last calls, for the overview.
    recent: VecDeque<RecentCall>,
}

/// A finished call, for the overview.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RecentCall {
    at: String,
    operation: &'static str,
    /// `None` without a complete response.
    status: Option<u16>,
    /// The error code with which the service refused it.
    error_code: Option<i64>,
    fault: Option<&'static str>,
    /// The request that it names or started.
    request_id: Option<RequestId>,
}

/// How many calls are kept.
const RECENT: usize = 50;

impl CallLog {
    /// Records a connection and its fault, if any.
    pub(super) fn connection_accepted(&self, fault: Option<FaultKind>) {
        let mut connections = lock(&self.connections);
        connections.accepted += 1;
        if let Some(kind) = fault {
            *connections.cut_at_accept.entry(kind.as_str()).or_default() += 1;
        }
    }

    /// Records that a fault took a connection.
    pub(super) fn connection_taken(&self) {
        lock(&self.connections).cut_in_call += 1;
    }

    /// Records a call without a valid token.
    pub(super) fn unauthenticated(&self) {
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the start of a call of this account.
    pub(super) fn call(
        &self,
        account: Option<Fingerprint>,
        fake: &FakeRunComfy,
        operation: Operation,
    ) -> CallRecord {
        let account_calls = lock(&self.accounts)
            .entry(account)
            .or_insert_with(|| {
                let fake = Some((fake.clone(), fake.runs_started()));
                Arc::new(AccountCalls { fake, ..AccountCalls::default() })
            })
            .clone();
        CallRecord::begin(account_calls, Some(operation))
    }

    /// Records the start of a call that needs no token.
    pub(super) fn open_call(&self) -> CallRecord {
        CallRecord::begin(self.open.clone(), None)
    }

    pub(super) fn counters(&self) -> Counters {
        let mut counters = Counters {
            open: self.open.shown(),
            unauthenticated: self.unauthenticated.load(Ordering::Relaxed),
            connections: lock(&self.connections).clone(),
            ..Counters::default()
        };
        for (account, account_calls) in &*lock(&self.accounts) {
            let shown = account_calls.shown();
            counters.totals.add(&shown);
            let name = account.map_or_else(|| "shared".to_owned(), |account| account.to_string());
            counters.accounts.insert(name, shown);
        }
        counters
    }
}

impl CallLog {
    /// The last calls of an account, newest first.
    pub(super) fn recent(&self, account: Option<Fingerprint>) -> Vec<RecentCall> {
        let account_calls = lock(&self.accounts).get(&account).cloned();
        let Some(account_calls) = account_calls else { return Vec::new() };
        lock(&account_calls.numbers).recent.iter().rev().cloned().collect()
    }
}

impl AccountCalls {
    /// Adds a finished call to the last calls.
    fn remember(&self, record: &CallRecord, status: Option<StatusCode>) {
        let Some(((fake, _), operation)) = self.fake.as_ref().zip(record.operation) else { return };
        let call = RecentCall {
            at: fake.stamp(),
            operation: operation.as_str(),
            status: status.map(|status| status.as_u16()),
            error_code: record.error_code,
            fault: record.fault.map(FaultKind::as_str),
            request_id: record.request.clone(),
        };
        let mut numbers = lock(&self.numbers);
        if numbers.recent.len() == RECENT {
            numbers.recent.pop_front();
        }
        numbers.recent.push_back(call);
    }

    fn shown(&self) -> CallCounters {
        let numbers = lock(&self.numbers);
        let mut shown = numbers.shown.clone();
        let ended = shown.answered.values().sum::<u64>() + shown.unanswered;
        shown.in_flight = shown.calls - ended;
        shown.answers_lost = numbers.changes - numbers.changes_confirmed;
        shown.submits.answers_lost = numbers.submits_taken - shown.submits.confirmed;
        if let Some((fake, before)) = &self.fake {
            // The simulated service's own count, not what the responses say.
            shown.submits.accepted = fake.runs_started().saturating_sub(*before);
        }
        shown
    }
}

/// One call, from its head to its end. Dropping it records that it was not answered.
#[derive(Debug)]
pub(super) struct CallRecord {
    account_calls: Arc<AccountCalls>,
    operation: Option<Operation>,
    fault: Option<FaultKind>,
    request: Option<RequestId>,
    error_code: Option<i64>,
    forwarded: bool,
    ended: bool,
}

impl CallRecord {
    fn begin(account_calls: Arc<AccountCalls>, operation: Option<Operation>) -> Self {
        let record = Self {
            account_calls,
            operation,
            fault: None,
            request: None,
            error_code: None,
            forwarded: false,
            ended: false,
        };
        let mut numbers = lock(&record.account_calls.numbers);
        numbers.shown.calls += 1;
        if let Some(operation) = operation {
            *numbers.shown.operations.entry(operation.as_str()).or_default() += 1;
        }
        numbers.shown.submits.seen += u64::from(record.is_submit());
        drop(numbers);
        record
    }

    /// Sets the request that the call names or started.
    pub(super) fn set_request(&mut self, request: RequestId) {
        self.request = Some(request);
    }

    /// Sets the error code with which the service refused it.
    pub(super) fn set_error_code(&mut self, error_code: i64) {
        self.error_code = Some(error_code);
    }

    /// Sets the fault of the call.
    pub(super) fn set_fault(&mut self, kind: FaultKind) {
        self.fault = Some(kind);
        *lock(&self.account_calls.numbers).shown.faults.entry(kind.as_str()).or_default() += 1;
    }

    /// Marks the call as forwarded to the service. Finish the returned value with the service's outcome.
    pub(super) fn forward(&mut self) -> ForwardedCall {
        self.forwarded = true;
        ForwardedCall { account_calls: self.account_calls.clone(), operation: self.operation }
    }

    /// Records a complete response. `confirms` tells whether it is the correct response to a call that took
    /// effect.
    pub(super) fn answered(mut self, status: StatusCode, confirms: bool) {
        let class = match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        let mut numbers = lock(&self.account_calls.numbers);
        *numbers.shown.answered.entry(class).or_default() += 1;
        numbers.changes_confirmed += u64::from(confirms && changes(self.operation));
        numbers.shown.submits.confirmed += u64::from(confirms && self.is_submit());
        drop(numbers);
        self.account_calls.remember(&self, Some(status));
        self.ended = true;
    }

    fn is_submit(&self) -> bool {
        self.operation == Some(Operation::SubmitRequest)
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        if !self.ended {
            self.account_calls.remember(self, None);
        }
        let mut numbers = lock(&self.account_calls.numbers);
        numbers.shown.unanswered += u64::from(!self.ended);
        numbers.shown.submits.withheld += u64::from(self.is_submit() && !self.forwarded);
    }
}

/// A call that was forwarded to the service.
#[derive(Debug)]
pub(super) struct ForwardedCall {
    account_calls: Arc<AccountCalls>,
    operation: Option<Operation>,
}

impl ForwardedCall {
    /// Records whether the service accepted or refused the call.
    pub(super) fn finish(self, took_effect: bool) {
        let submits = self.operation == Some(Operation::SubmitRequest);
        let mut numbers = lock(&self.account_calls.numbers);
        numbers.changes += u64::from(took_effect && changes(self.operation));
        numbers.shown.submits.refused += u64::from(!took_effect && submits);
        numbers.submits_taken += u64::from(took_effect && submits);
    }
}

fn changes(operation: Option<Operation>) -> bool {
    operation.is_some_and(|operation| operation.call_kind() != CallKind::Read)
}
