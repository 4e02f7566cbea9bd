//! Starts an emulator from its builder.

#[cfg(all(feature = "comfyui", feature = "state"))]
use std::path::PathBuf;
use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

#[cfg(feature = "state")]
use super::state;
use super::{
    Emulator,
    account_factory::AccountFactory,
    accounts::{AccountSource, Accounts, TemplatedAccounts},
    app_state::{AppState, DrawingLimit},
    builder::{AccountSetup, EmulatorBuilder},
    connection::{ConnectionHandle, Connections},
    hosts::Hosts,
    notifier::Notifier,
    pool::Pool,
    routes,
    shared::SharedState,
};

impl EmulatorBuilder {
    /// Starts the emulator.
    ///
    /// # Errors
    /// If the address cannot be bound or the state file cannot be read. An unreadable state file is not
    /// changed.
    pub async fn start(mut self) -> io::Result<Emulator> {
        let listen = self.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            io::Error::new(error.kind(), format!("could not listen on {listen}: {error}"))
        })?;
        let url = match &self.public_url {
            Some(url) => public(url)?,
            None => {
                let address = listener.local_addr()?;
                Url::parse(&format!("http://{address}/")).map_err(io::Error::other)?
            }
        };
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let pool = self.pool()?;
        let shared = Arc::new(SharedState::new(self.fault_seed));
        self.faults.drain(..).for_each(|rule| shared.faults.inject(rule, None));
        self.scenarios.drain(..).for_each(|scenario| shared.faults.play(scenario));
        let copies = self.webhook_copies;
        let accounts = Arc::new(Accounts::new(self.restored(&url).await?, url.clone()));
        let notifier = Notifier::begin(&accounts, copies);
        let workers = pool.as_ref().map(|pool| {
            pool.resume_open_runs(accounts.all().iter().map(|(_, fake)| fake));
            pool.clone().start_workers()
        });
        let state = AppState {
            accounts: accounts.clone(),
            base: url.clone(),
            pool,
            notifier: notifier.clone(),
            shared: shared.clone(),
            hosts: Hosts::of(listener.local_addr()?, &url),
            drawing: DrawingLimit::new(),
        };
        let service =
            routes::router(state).into_make_service_with_connect_info::<ConnectionHandle>();
        let connections =
            Connections { listener, shared: shared.clone(), stop: stop.clone(), cut: cut.clone() };
        let serving = axum::serve(connections, service)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        Ok(Emulator {
            url,
            stop,
            cut,
            shared,
            accounts,
            notifier,
            server: Some(tokio::spawn(serving)),
            workers,
        })
    }
}

#[cfg(not(feature = "comfyui"))]
impl EmulatorBuilder {
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as where there is one")]
    fn pool(&mut self) -> io::Result<Option<Arc<Pool>>> {
        Ok(None)
    }
}

#[cfg(feature = "comfyui")]
impl EmulatorBuilder {
    fn pool(&mut self) -> io::Result<Option<Arc<Pool>>> {
        if self.comfyui.is_empty() {
            return Ok(None);
        }
        let AccountSetup::Templated(template) = &mut self.accounts else {
            let why =
                "ComfyUI needs accounts that start from one template: use EmulatorBuilder::account";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        #[cfg(feature = "state")]
        let outputs = self.state.as_ref().map(|file| {
            let mut folder = file.clone().into_os_string();
            folder.push(".outputs");
            PathBuf::from(folder)
        });
        #[cfg(not(feature = "state"))]
        let outputs = None;
        let (servers, hosts) = (std::mem::take(&mut self.comfyui), self.input_hosts.clone());
        let times = self.comfyui_times.clone();
        let pool = Arc::new(Pool::new(servers, hosts, times, outputs, self.report.take())?);
        template.drive(pool.driver());
        Ok(Some(pool))
    }
}

impl EmulatorBuilder {
    /// The accounts, restored from the state file if there is one.
    async fn restored(self, base: &Url) -> io::Result<AccountSource> {
        let one = self.one_account;
        let template = match self.accounts {
            // Before the events are replayed, because results contain URLs.
            AccountSetup::Templated(template) => template.served_at(base),
            #[cfg(feature = "state")]
            AccountSetup::Source(_) if self.state.is_some() => {
                let why = "a state file needs accounts that start from one template: use EmulatorBuilder::account";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            AccountSetup::Source(kind) => return Ok(kind),
        };
        #[cfg(feature = "state")]
        if let Some(path) = self.state {
            return state::restore(&path, template, one).await;
        }
        let factory = AccountFactory::new(template);
        Ok(AccountSource::Templated(Box::new(TemplatedAccounts {
            factory,
            one,
            known: Mutex::default(),
        })))
    }
}

/// Checks the public URL and makes it end in `/`.
fn public(url: &Url) -> io::Result<Url> {
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain {
        let why = "the public URL must be http or https, without a user, a query or a fragment";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}
