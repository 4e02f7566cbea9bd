//! One account as its owner sees it: requests through their whole lives, and a book of every call.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::line::{Answer, Gone, Line};

const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

/// How many requests of an account are under way at a time.
const AT_A_TIME: usize = 4;

/// Every so many-th request is cancelled as soon as it is known.
const CANCELLED_EVERY: usize = 10;

pub(super) struct Customer {
    pub(super) token: String,
    pub(super) book: Book,
    /// In the order in which they were accepted.
    pub(super) requests: Vec<Request>,
    /// How many of those are to be there in the end.
    wanted: usize,
    overrides: bool,
    /// Places in `requests`.
    under_way: Vec<usize>,
    pub(super) pictures: u64,
}

/// The calls of one account, as the caller knows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) calls: BTreeMap<&'static str, u64>,
    pub(super) answered: BTreeMap<&'static str, u64>,
    pub(super) unanswered: u64,
    /// Submits whose answer has a request id, that got another, that got none.
    pub(super) confirmed: u64,
    pub(super) refused: u64,
    pub(super) unheard: u64,
}

/// A request whose id was told.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: String,
    cancel: Cancel,
    /// Somebody tried to cancel it, and was not told that it was too late.
    may_be_cancelled: bool,
    /// The result, once it is over.
    pub(super) result: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancel {
    Unwanted,
    Wanted,
    /// Nobody knows whether it was.
    Tried,
    Answered,
}

/// Why a customer stops before it is done.
#[derive(Debug)]
pub(super) enum Stop {
    Gone(Gone),
    Wrong(anyhow::Error),
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Wrong(error)
    }
}

impl Customer {
    pub(super) fn new(number: usize, overrides: bool) -> Self {
        Self {
            token: format!("customer-{number}"),
            book: Book::default(),
            requests: Vec::new(),
            wanted: 0,
            overrides,
            under_way: Vec::new(),
            pictures: 0,
        }
    }

    /// Has it bring so many requests through their lives, those there are included.
    pub(super) fn want(&mut self, requests: usize) {
        self.wanted = requests;
    }

    /// Forgets what an emulator that is gone was asked: its successor counts from nothing.
    pub(super) fn new_book(&mut self) {
        self.book = Book::default();
    }

    /// Submits one if there is room, and looks at all that are under way. Whether anything is left to do;
    /// each request that was accepted is told to `accepted`.
    pub(super) fn go_on(
        &mut self,
        line: &mut Line,
        accepted: &mut dyn FnMut(),
    ) -> Result<bool, Stop> {
        if self.requests.len() < self.wanted
            && self.under_way.len() < AT_A_TIME
            && self.submit(line)?
        {
            accepted();
        }
        for place in std::mem::take(&mut self.under_way) {
            match self.look(line, place) {
                Ok(true) => {}
                Ok(false) => self.under_way.push(place),
                Err(stop) => {
                    self.under_way.push(place);
                    return Err(stop);
                }
            }
        }
        Ok(self.requests.len() < self.wanted || !self.under_way.is_empty())
    }

    /// Takes up again all that is not known to be over.
    pub(super) fn take_up(&mut self) {
        let open = self.requests.iter().enumerate().filter(|(_, one)| one.result.is_none());
        self.under_way = open.map(|(place, _)| place).collect();
    }

    fn submit(&mut self, line: &mut Line) -> Result<bool, Stop> {
        let number = self.requests.len();
        let body = if self.overrides {
            let text = format!("a red barn at dusk, number {number}");
            json!({"overrides": {"3": {"inputs": {"seed": number}}, "6": {"inputs": {"text": text}}}})
        } else {
            json!({})
        };
        let what = format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference");
        let Some(answer) = self.call(line, "submit_request", &what, &body.to_string())? else {
            self.book.unheard += 1;
            return Ok(false);
        };
        let Some(id) = answer.json()["request_id"].as_str().map(str::to_owned) else {
            self.book.refused += 1;
            return Ok(false);
        };
        self.book.confirmed += 1;
        let cancel = if number % CANCELLED_EVERY == CANCELLED_EVERY - 1 {
            Cancel::Wanted
        } else {
            Cancel::Unwanted
        };
        self.requests.push(Request { id, cancel, may_be_cancelled: false, result: None });
        self.under_way.push(number);
        Ok(true)
    }

    /// Cancels it if that is wanted, or asks how it is; gets the result once it is over, and a picture if
    /// it is the first. Whether nothing is left to do.
    fn look(&mut self, line: &mut Line, place: usize) -> Result<bool, Stop> {
        let id = self.requests[place].id.clone();
        let cancel = self.requests[place].cancel;
        if matches!(cancel, Cancel::Wanted | Cancel::Tried) {
            self.requests[place].cancel = Cancel::Tried;
            self.requests[place].may_be_cancelled = true;
            let Some(answer) = self.ask(line, &id, "cancel")? else { return Ok(false) };
            // After one whose answer did not come it may be too late for another.
            let too_late = answer["outcome"] == "not_cancellable" && cancel == Cancel::Wanted;
            self.requests[place].cancel = Cancel::Answered;
            self.requests[place].may_be_cancelled = !too_late;
            return Ok(false);
        }
        let Some(status) = self.ask(line, &id, "status")? else { return Ok(false) };
        let word = match status["status"].as_str() {
            Some("in_queue" | "in_progress") => return Ok(false),
            Some(word) => word.to_owned(),
            None => return Err(anyhow::anyhow!("{id} has no status: {status}").into()),
        };
        let Some(result) = self.ask(line, &id, "result")? else { return Ok(false) };
        let end = result["status"].as_str().unwrap_or_default();
        // A run that is under way when it is cancelled may end before it stops.
        let fits = match (word.as_str(), end) {
            ("completed", "succeeded") => true,
            ("cancelled", "cancelled") => self.requests[place].may_be_cancelled,
            _ => false,
        };
        if !fits {
            return Err(anyhow::anyhow!("{id}: {word}, but {result}").into());
        }
        if self.pictures == 0 && end == "succeeded" {
            self.picture(line, &result)?;
        }
        self.requests[place].result = Some(result);
        Ok(true)
    }

    /// Gets the picture that a result names, and decodes it.
    fn picture(&mut self, line: &mut Line, result: &Value) -> Result<(), Stop> {
        let url = result["outputs"]["9"]["images"][0]["url"].as_str().context("no picture")?;
        let path = url.splitn(4, '/').nth(3).context("no address")?;
        // No fault meets this call: it was killed meanwhile, and the next result has a picture too.
        let Some(answer) = line.open_call(&format!("/{path}"))? else { return Ok(()) };
        decode(&answer).with_context(|| url.to_owned())?;
        self.pictures += 1;
        Ok(())
    }

    /// Asks after a request of somebody else's, which it must not find. Whether that is certain.
    pub(super) fn pry(&mut self, line: &mut Line, id: &str) -> Result<bool, Stop> {
        let what = format!("GET /prod/v1/deployments/{DEPLOYMENT}/requests/{id}/result");
        match self.call(line, "get_request_result", &what, "")? {
            Some(answer) if answer.status == 200 => {
                Err(anyhow::anyhow!("{} sees {id}, which is another's", self.token).into())
            }
            answer => Ok(answer.is_some_and(|answer| answer.status == 404)),
        }
    }

    /// That a request which was over is as it was. Where it had not ended yet, that it is known.
    pub(super) fn recall(&mut self, line: &mut Line, place: usize) -> Result<(), Stop> {
        let id = self.requests[place].id.clone();
        let what = format!("GET /prod/v1/deployments/{DEPLOYMENT}/requests/{id}/result");
        loop {
            let Some(answer) = self.call(line, "get_request_result", &what, "")? else { continue };
            if answer.status == 429 || answer.status >= 500 {
                continue;
            }
            let now = answer.json();
            if answer.status != 200 || now["request_id"] != id.as_str() {
                return Err(anyhow::anyhow!("{id} is lost: {} {now}", answer.status).into());
            }
            let Some(before) = &self.requests[place].result else { return Ok(()) };
            for what in ["status", "created_at", "finished_at", "instance_id"] {
                if before[what] != now[what] {
                    return Err(anyhow::anyhow!("{id} was run again: {before}, now {now}").into());
                }
            }
            return Ok(());
        }
    }

    /// The answer, where it is the service's own. Faults are not counted against anybody.
    fn ask(&mut self, line: &mut Line, id: &str, action: &str) -> Result<Option<Value>, Stop> {
        let (operation, method) = match action {
            "cancel" => ("cancel_request", "POST"),
            "result" => ("get_request_result", "GET"),
            _ => ("get_request_status", "GET"),
        };
        let what = format!("{method} /prod/v1/deployments/{DEPLOYMENT}/requests/{id}/{action}");
        let Some(answer) = self.call(line, operation, &what, "")? else { return Ok(None) };
        match answer.status {
            200..300 => Ok(Some(answer.json())),
            429 | 500.. => Ok(None),
            status => Err(anyhow::anyhow!("{action} of {id}: {status} {}", answer.json()).into()),
        }
    }

    /// Calls, and writes it down.
    fn call(
        &mut self,
        line: &mut Line,
        operation: &'static str,
        what: &str,
        body: &str,
    ) -> Result<Option<Answer>, Stop> {
        let answer = line.call(what, Some(&self.token), body)?;
        *self.book.calls.entry(operation).or_default() += 1;
        match &answer {
            Some(answer) => *self.book.answered.entry(class(answer.status)).or_default() += 1,
            None => self.book.unanswered += 1,
        }
        Ok(answer)
    }

    /// What the emulator tells of this account beyond the service's own calls.
    pub(super) fn account(&self, line: &mut Line) -> anyhow::Result<Value> {
        let answer = line.call("GET /_emulator/account", Some(&self.token), "");
        let answer = answer.map_err(|Gone(error)| error)?.context("no answer")?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(answer.json())
    }
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "1xx",
    }
}

fn decode(answer: &Answer) -> anyhow::Result<()> {
    ensure!(answer.status == 200, "status {}", answer.status);
    let mut reader = png::Decoder::new(std::io::Cursor::new(&answer.body)).read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().context("too large")?];
    let frame = reader.next_frame(&mut pixels)?;
    if frame.width < 64 || pixels.iter().all(|byte| *byte == pixels[0]) {
        bail!("an empty picture");
    }
    Ok(())
}
