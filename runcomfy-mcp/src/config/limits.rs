//! What a caller may ask for, and all of them together.

/// How many of something a second, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How many a second.
    pub per_second: f64,
    /// How many at once, after a pause.
    pub burst: u32,
}

/// What a caller, and all of them together, may ask for at once. A caller is a token.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Calls of one caller under way at once, waits aside.
    pub calls_per_caller: usize,
    /// Calls of everyone under way at once, waits aside.
    pub calls: usize,
    /// Runs that one caller waits for at once.
    pub waits_per_caller: usize,
    /// Runs that are waited for at once.
    pub waits: usize,
    /// How fast a caller may call. `None`: as fast as they like.
    pub rate: Option<Rate>,
    /// How fast a caller may call what can cost money. `None`: as fast as any other.
    pub paid_rate: Option<Rate>,
    /// How often in a minute one address may come without a token, or with one that RunComfy refuses.
    /// `None`: as often as it likes; so it has to be behind a proxy, where all come from one address.
    pub refusals_per_minute: Option<u32>,
    /// Callers that are remembered; the one who has been away longest is forgotten first.
    pub callers: usize,
}

impl Limits {
    /// Where everyone who connects acts as one account, as over stdio: generous, for one caller's work.
    #[must_use]
    pub fn one_caller() -> Self {
        Self {
            calls_per_caller: 64,
            calls: 64,
            waits_per_caller: 1000,
            waits: 1000,
            rate: None,
            paid_rate: None,
            refusals_per_minute: None,
            callers: 10_000,
        }
    }

    /// Where callers come with tokens of their own, who know each other: what one program of theirs may come
    /// to need, as fast as it likes.
    #[must_use]
    pub fn many_callers() -> Self {
        Self {
            calls_per_caller: 1024,
            calls: 4096,
            waits_per_caller: 2000,
            waits: 4096,
            rate: None,
            paid_rate: None,
            refusals_per_minute: Some(10),
            callers: 10_000,
        }
    }

    /// Where anyone may come who has a token: none may take the others' share.
    #[must_use]
    pub fn hosted() -> Self {
        Self {
            calls_per_caller: 16,
            calls: 512,
            waits_per_caller: 32,
            waits: 2000,
            rate: Some(Rate { per_second: 10.0, burst: 30 }),
            paid_rate: Some(Rate { per_second: 1.0, burst: 5 }),
            refusals_per_minute: Some(10),
            callers: 10_000,
        }
    }
}
