//! How much a served caller may ask for, and how the server ends.

use std::time::Duration;

use clap::Args;

use crate::config::{Limits, Rate, Settings};

/// Whom the server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Preset {
    /// People who know each other: generous, and as fast as they like
    Team,
    /// Anyone with a token: none takes the others' share
    Hosted,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// What callers may ask for where nothing below says otherwise
    #[arg(
        long,
        value_name = "FOR",
        env = "RUNCOMFY_MCP_LIMITS",
        value_enum,
        default_value_t = Preset::Team
    )]
    limits: Preset,

    /// Connections at once; one more is closed [default: 4096; 1024 with --limits hosted]
    #[arg(long, value_name = "NUMBER", env = "RUNCOMFY_MCP_MAX_CONNECTIONS")]
    max_connections: Option<u16>,

    /// The largest message, in MiB (1 to 64)
    #[arg(
        long,
        value_name = "MIB",
        env = "RUNCOMFY_MCP_MAX_MESSAGE_MIB",
        default_value = "8",
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    max_message_mib: u16,

    /// Calls of one caller at once, waits aside [default: 1024; 16 with --limits hosted; 64 where
    /// all act as one account]
    #[arg(long, value_name = "NUMBER", env = "RUNCOMFY_MCP_CALLS_AT_ONCE")]
    calls_at_once: Option<u16>,

    /// Runs that one caller waits for at once [default: 2000; 32 with --limits hosted; 1000 where
    /// all act as one account]
    #[arg(long, value_name = "NUMBER", env = "RUNCOMFY_MCP_WAITS_AT_ONCE")]
    waits_at_once: Option<u16>,

    /// Calls of one caller a second, three times that after a pause; 0: no limit [default: no limit; 10 with
    /// --limits hosted]
    #[arg(long, value_name = "NUMBER", env = "RUNCOMFY_MCP_CALLS_PER_SECOND")]
    calls_per_second: Option<u16>,

    /// Those of them that can cost money, five times that after a pause; 0: no limit [default: no limit; 1
    /// with --limits hosted]
    #[arg(long, value_name = "NUMBER", env = "RUNCOMFY_MCP_PAID_CALLS_PER_SECOND")]
    paid_calls_per_second: Option<u16>,

    /// How often a minute one address may come without a good token; 0: no limit, as it must be behind a
    /// proxy through which all come [default: 10]
    #[arg(long, value_name = "NUMBER", env = "RUNCOMFY_MCP_REFUSALS_PER_MINUTE")]
    refusals_per_minute: Option<u16>,

    /// Told to end, go on for so many seconds with /readyz at 503, for load balancers to notice
    #[arg(long, value_name = "SECONDS", env = "RUNCOMFY_MCP_LINGER", default_value = "2")]
    linger: u16,

    /// Then let calls that change something finish for so many seconds
    #[arg(long, value_name = "SECONDS", env = "RUNCOMFY_MCP_DRAIN", default_value = "30")]
    drain: u16,

    /// And calls that only read for so many; waits are answered at once
    #[arg(long, value_name = "SECONDS", env = "RUNCOMFY_MCP_DRAIN_READS", default_value = "5")]
    drain_reads: u16,
}

impl LimitArgs {
    /// Puts them into the settings; `many` says whether callers come with tokens of their own.
    pub(super) fn apply(&self, settings: &mut Settings, many: bool) {
        const MIB: usize = 1024 * 1024;
        let seconds = |seconds: u16| Duration::from_secs(seconds.into());
        let hosted = self.limits == Preset::Hosted;
        if hosted {
            settings.connections.most = HOSTED_CONNECTIONS;
        }
        if let Some(most) = self.max_connections {
            settings.connections.most = most.into();
        }
        settings.max_body_bytes = usize::from(self.max_message_mib) * MIB;
        settings.linger = seconds(self.linger);
        settings.drain = seconds(self.drain);
        settings.drain_reads = seconds(self.drain_reads);
        let mut limits = match self.limits {
            _ if !many => Limits::one_caller(),
            Preset::Team => Limits::many_callers(),
            Preset::Hosted => Limits::hosted(),
        };
        if let Some(most) = self.calls_at_once {
            limits.calls_per_caller = most.into();
            limits.calls = limits.calls.max(most.into());
        }
        if let Some(most) = self.waits_at_once {
            limits.waits_per_caller = most.into();
            limits.waits = limits.waits.max(most.into());
        }
        if let Some(per_second) = self.calls_per_second {
            limits.rate = rate(per_second, 3);
        }
        if let Some(per_second) = self.paid_calls_per_second {
            limits.paid_rate = rate(per_second, 5);
        }
        if let Some(most) = self.refusals_per_minute {
            limits.refusals_per_minute = (most > 0).then_some(most.into());
        }
        settings.limits = Some(limits);
    }
}

const HOSTED_CONNECTIONS: usize = 1024;

fn rate(per_second: u16, seconds: u32) -> Option<Rate> {
    (per_second > 0)
        .then(|| Rate { per_second: per_second.into(), burst: u32::from(per_second) * seconds })
}
