//! What stands behind the tools: RunComfy, or the built-in emulator.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use runcomfy_core::{
    HttpApi, Token,
    client::{ConfigError, HttpApiBuilder, Observer},
};
use runcomfy_testkit::{Emulator, FakeRunComfy};

use super::{
    credentials::{self, Source},
    options::Options,
};
use crate::{config::Settings, pipeline::auth::AuthMode, telemetry::Metrics};

/// A way to RunComfy, or to the emulator, which runs as long as this is held.
pub(super) struct Backend {
    pub(super) api: HttpApi,
    pub(super) source: Option<Source>,
    /// Whether what stands at the source is a placeholder, and no token.
    pub(super) not_filled_in: bool,
    emulator: Option<Emulator>,
}

/// How long the emulator's machines take to start and to run: long enough to watch, short enough to wait.
const COLD_START: Duration = Duration::from_secs(3);
const RUN_TIME: Duration = Duration::from_secs(3);

/// The emulator's account of a caller who has no token.
const EMULATOR_TOKEN: &str = "emulator";

impl Backend {
    /// With the token that is configured, if one is.
    pub(super) async fn single(
        options: &Options,
        metrics: Option<&Arc<Metrics>>,
    ) -> anyhow::Result<Self> {
        if options.emulator {
            return Self::emulated(metrics).await;
        }
        let mut api = built(observed(builder(options), metrics))?;
        let (mut source, mut not_filled_in) = (None, false);
        if let Some(found) = credentials::find(api.takes_any_token())? {
            not_filled_in = found.token.is_none();
            source = Some(found.source);
            if let Some(token) = found.token {
                api = api.with_token(token);
            }
        }
        Ok(Self { api, source, not_filled_in, emulator: None })
    }

    /// Without a token of its own: each caller brings one.
    pub(super) async fn shared(options: &Options, metrics: &Arc<Metrics>) -> anyhow::Result<Self> {
        if options.emulator {
            return Self::emulated(Some(metrics)).await;
        }
        let api = built(observed(builder(options), Some(metrics)))?;
        Ok(Self { api, source: None, not_filled_in: false, emulator: None })
    }

    /// On an emulator of its own, with times that a person can watch.
    async fn emulated(metrics: Option<&Arc<Metrics>>) -> anyhow::Result<Self> {
        let emulator = Emulator::builder()
            .account(FakeRunComfy::builder().cold_start(COLD_START).run_time(RUN_TIME))
            .start()
            .await
            .context("could not start the emulator")?;
        let builder = HttpApi::builder()
            .base_url(emulator.url().as_str())
            .token(Token::new(EMULATOR_TOKEN)?)
            .user_agent(user_agent());
        let api = observed(builder, metrics).build()?;
        Ok(Self { api, source: None, not_filled_in: false, emulator: Some(emulator) })
    }

    /// The address of the emulator, where that is what stands behind.
    pub(super) fn emulator_url(&self) -> Option<&str> {
        self.emulator.as_ref().map(|emulator| emulator.url().as_str())
    }

    /// Everyone acts as the one account; nobody does where its token was not filled in.
    pub(super) fn one(&self) -> AuthMode {
        match &self.source {
            Some(source) if self.not_filled_in => {
                AuthMode::NotFilledIn { source: source.to_string() }
            }
            _ => AuthMode::One(Arc::new(self.api.clone())),
        }
    }

    /// Each caller acts with a token of their own.
    pub(super) fn each(&self) -> anyhow::Result<AuthMode> {
        let anonymous = self.emulator.as_ref().map(|_| Token::new(EMULATOR_TOKEN)).transpose()?;
        Ok(AuthMode::Each { api: self.api.clone(), anonymous })
    }
}

fn builder(options: &Options) -> HttpApiBuilder {
    HttpApi::builder()
        .base_url(&options.base_url)
        .queue_api(options.queue_api.into())
        .user_agent(user_agent())
}

/// Makes the client, and says in the log how it goes out.
fn built(builder: HttpApiBuilder) -> Result<HttpApi, ConfigError> {
    let api = builder.build()?;
    if let Some(proxy) = api.outbound_proxy() {
        tracing::info!("going out by way of the proxy {proxy}");
    }
    Ok(api)
}

fn observed(builder: HttpApiBuilder, metrics: Option<&Arc<Metrics>>) -> HttpApiBuilder {
    match metrics {
        Some(metrics) => builder.observer(Arc::clone(metrics) as Arc<dyn Observer>),
        None => builder,
    }
}

fn user_agent() -> String {
    format!("runcomfy-mcp/{}", env!("CARGO_PKG_VERSION"))
}

/// The server's settings, as the command line has them.
pub(super) fn settings(options: &Options) -> Settings {
    let mut settings =
        Settings { allow_manager_routes: options.allow_manager_routes, ..Settings::default() };
    options.policy.apply(&mut settings);
    settings
}
