//! Connections that are not secure: nothing is sent over them, and what stays wrong is not tried again.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use runcomfy_core::{
    ErrorKind, HttpApi, RunComfyApi as _,
    client::Timeouts,
    error::{Operation, Outcome},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use crate::{
    canned::{TOKEN, builder},
    refusals::fail,
};

/// Holds the key of the authority that the process trusts. Which one that is can only be said before a
/// process starts, so these tests run in a second one.
const AUTHORITY: &str = "RUNCOMFY_TEST_AUTHORITY";

/// The key of the authority that this process trusts. Where it trusts none of ours, the test of this name is
/// run once more, in one that does.
pub(crate) fn trusted_by(test: &str) -> Option<String> {
    if let Ok(key) = std::env::var(AUTHORITY) {
        return Some(key);
    }
    let key = KeyPair::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trusted.pem");
    std::fs::write(&file, authority(&key.serialize_pem()).pem()).unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test]);
    again.env(AUTHORITY, key.serialize_pem()).env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
    let output = again.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    None
}

#[test]
fn only_a_trusted_valid_certificate_is_accepted_and_only_http_1_is_spoken() {
    let Some(key) = trusted_by(concat!(
        "tls::",
        "only_a_trusted_valid_certificate_is_accepted_and_only_http_1_is_spoken"
    )) else {
        return;
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        // What is refused below is refused for its fault and nothing else.
        let good = leaf("127.0.0.1");
        let server = Peer::start(Talk::tls(&good, Some(&key))).await;
        server
            .api()
            .get_request_status(&crate::endpoints::d1(), &crate::endpoints::r1())
            .await
            .unwrap();
        // The server offers HTTP/2 too, and finds that it is not taken: there are no streams to refuse.
        assert_eq!(server.requests.load(Ordering::Relaxed), 1);

        let mut expired = leaf("127.0.0.1");
        (expired.not_before, expired.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        let mut early = leaf("127.0.0.1");
        (early.not_before, early.not_after) =
            (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
        let faults = [
            ("expired", Talk::tls(&expired, Some(&key))),
            ("not yet valid", Talk::tls(&early, Some(&key))),
            ("of another name", Talk::tls(&leaf("api.example"), Some(&key))),
            ("self-signed", Talk::tls(&good, None)),
            (
                "of an unknown authority",
                Talk::tls(&good, Some(&KeyPair::generate().unwrap().serialize_pem())),
            ),
        ];
        for (name, talk) in faults {
            refused(name, talk).await;
        }
    });
}

#[tokio::test]
async fn an_old_version_of_tls_is_refused_and_not_tried_again() {
    // A fatal alert, protocol_version, as a server sends that knows only TLS 1.1.
    refused("alert", Talk::Bytes(b"\x15\x03\x02\x00\x02\x02\x46".to_vec())).await;
    // A ServerHello that chooses TLS 1.1.
    let mut hello = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\xc0\x13\x00");
    refused("hello", Talk::Bytes(hello)).await;
}

#[tokio::test]
async fn what_is_no_tls_is_refused_and_not_tried_again() {
    refused("http", Talk::Bytes(b"HTTP/1.1 400 No\r\n\r\n".to_vec())).await;
}

#[tokio::test]
async fn a_handshake_that_stalls_or_breaks_off_has_sent_nothing_and_is_tried_again() {
    for talk in [Talk::Silence, Talk::End] {
        for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
            let server = Peer::start(talk.clone()).await;
            let error = fail(&server.api(), operation).await;
            assert_eq!(
                (error.kind(), error.outcome(), error.attempts()),
                (ErrorKind::UpstreamUnavailable, Outcome::NotSent, 3),
                "{talk:?}"
            );
            assert_eq!(server.connections.load(Ordering::Relaxed), 3);
        }
    }
}

/// Neither a read nor a submit gets through to such a peer, or comes back to it.
async fn refused(name: &str, talk: Talk) {
    for operation in [Operation::GetRequestStatus, Operation::SubmitRequest] {
        let server = Peer::start(talk.clone()).await;
        let error = fail(&server.api(), operation).await;
        assert_eq!(
            (error.kind(), error.outcome(), error.attempts()),
            (ErrorKind::UpstreamTls, Outcome::NotSent, 1),
            "{name}: {:?}",
            std::error::Error::source(&error)
        );
        assert!(!error.is_retryable(), "{name}");
        assert_eq!(server.connections.load(Ordering::Relaxed), 1, "{name}");
        assert_eq!(server.requests.load(Ordering::Relaxed), 0, "{name}");
    }
}

/// What a peer does with a connection.
#[derive(Clone)]
pub(crate) enum Talk {
    /// It reads, and answers with these bytes.
    Bytes(Vec<u8>),
    /// It reads, and closes.
    End,
    /// It reads, and says nothing.
    Silence,
    Tls(TlsAcceptor),
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "Bytes",
            Self::End => "End",
            Self::Silence => "Silence",
            Self::Tls(_) => "Tls",
        })
    }
}

impl Talk {
    /// With such a certificate by the authority of this key, or by nobody but itself.
    pub(crate) fn tls(certificate: &CertificateParams, authority_key: Option<&str>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = match authority_key {
            Some(authority_key) => certificate.clone().signed_by(&key, &authority(authority_key)),
            None => certificate.clone().self_signed(&key),
        };
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.unwrap().der().clone()];
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        let mut config = config.with_single_cert(chain, secret).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self::Tls(TlsAcceptor::from(Arc::new(config)))
    }
}

fn authority(key: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority of this test");
    CertifiedIssuer::self_signed(authority, KeyPair::from_pem(key).unwrap()).unwrap()
}

pub(crate) fn leaf(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

/// A peer that treats every connection alike, and counts what comes.
pub(crate) struct Peer {
    pub(crate) url: String,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    pub(crate) async fn start(talk: Talk) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (connections, requests) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counters = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            let mut all = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counters.0.fetch_add(1, Ordering::Relaxed);
                all.spawn(serve(stream, talk.clone(), Arc::clone(&counters.1)));
            }
        });
        Self { url, connections, requests, task }
    }

    fn api(&self) -> HttpApi {
        let mut timeouts = Timeouts::default();
        timeouts.connect = Duration::from_millis(400);
        builder(&self.url).timeouts(timeouts).token(TOKEN.parse().unwrap()).build().unwrap()
    }
}

async fn serve(mut stream: TcpStream, talk: Talk, requests: Arc<AtomicUsize>) {
    let mut bytes = [0; 4096];
    let Talk::Tls(acceptor) = talk else {
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(!bytes[..count].windows(5).any(|word| word == b"HTTP/"));
        match talk {
            Talk::Bytes(ref answer) => stream.write_all(answer).await.unwrap(),
            Talk::Silence => std::future::pending().await,
            Talk::End | Talk::Tls(_) => {}
        }
        // Until the client goes: a close with bytes unread would be a reset.
        while matches!(talk, Talk::Bytes(_)) && stream.read(&mut bytes).await.is_ok_and(|n| n > 0) {
        }
        return;
    };
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let count = stream.read(&mut bytes).await.unwrap_or(0);
    if count == 0 {
        return;
    }
    requests.fetch_add(1, Ordering::Relaxed);
    assert!(bytes[..count].windows(8).any(|word| word == b"HTTP/1.1"), "not HTTP/1.1");
    let body = r#"{"request_id":"r1","status":"in_queue"}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}
