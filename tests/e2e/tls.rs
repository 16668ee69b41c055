//! TLS by certificate files: what is spoken, how a new pair is taken over, and what a slow or wrong
//! client gets.

use gateway_tests::TEST_TIMEOUT;
use gateway_tests::gateway::{Config, Gateway, Start, run};
use gateway_tests::sample::{API_KEY, responses_body};
use gateway_tests::upstream::{ModelAnswer, Output, Script, Upstream};
use gateway_tests::wait::eventually;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for 127.0.0.1 that is its own root.
struct Made {
    cert: String,
    key: String,
    der: CertificateDer<'static>,
}

fn make() -> Made {
    let names = ["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate can be made");
    Made {
        cert: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        der: made.cert.der().clone(),
    }
}

impl Made {
    fn write(&self, place: &Path) {
        // The key first: between the two writes the pair is a bad one, which must do no harm.
        std::fs::write(place.join("key.pem"), &self.key).expect("the key can be written");
        std::fs::write(place.join("cert.pem"), &self.cert).expect("the certificate can be written");
    }
}

/// A client's side of TLS that trusts these and offers these protocols.
fn trusting(made: &[&Made], protocols: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for made in made {
        roots.add(made.der.clone()).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    config
}

fn http(made: &Made, protocols: &[&str]) -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured(trusting(&[made], protocols))
        .no_proxy()
        .timeout(TEST_TIMEOUT)
        .build()
        .expect("a client")
}

async fn connect(gateway: &Gateway, made: &[&Made]) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(gateway.address()).await?;
    let connector = TlsConnector::from(Arc::new(trusting(made, &["http/1.1"])));
    let name = ServerName::IpAddress(gateway.address().ip().into());
    connector.connect(name, socket).await
}

/// The certificate that a new connection is shown.
async fn shown(gateway: &Gateway, made: &[&Made]) -> Vec<u8> {
    let stream = connect(gateway, made).await.expect("a handshake");
    let certificates = stream.get_ref().1.peer_certificates();
    certificates.expect("a certificate")[0].to_vec()
}

fn place(gateway: &Gateway) -> std::path::PathBuf {
    gateway
        .config_file()
        .parent()
        .expect("a directory")
        .to_owned()
}

async fn gateway(upstream: &Upstream, made: &Made) -> Gateway {
    let config = Config::to(upstream)
        .rest("[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n")
        .text();
    let gateway = Gateway::spawn(&Start {
        config: Some(config),
        files: vec![
            ("cert.pem".to_owned(), made.cert.clone()),
            ("key.pem".to_owned(), made.key.clone()),
        ],
        ..Start::default()
    });
    gateway.wait_for_output("serves on https://").await;
    gateway
}

async fn ask(gateway: &Gateway, client: &reqwest::Client) -> reqwest::Response {
    let url = format!("https://{}/v1/responses", gateway.address());
    let call = client.post(url).bearer_auth(API_KEY);
    let call = call.header("content-type", "application/json");
    let call = call.body(responses_body("hi").to_string());
    call.send().await.expect("an answer")
}

#[tokio::test]
async fn both_versions_of_http_are_served_by_tls() {
    let (upstream, made) = (Upstream::start().await, make());
    let gateway = gateway(&upstream, &made).await;
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], reqwest::Version::HTTP_2),
        (&["http/1.1"], reqwest::Version::HTTP_11),
        (&[], reqwest::Version::HTTP_11),
    ] {
        let answer = ask(&gateway, &http(&made, protocols)).await;
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let text = answer.text().await.expect("a body");
        assert!(text.contains("response.completed"), "{text}");
    }
    assert_eq!(upstream.model_requests().len(), 3);
}

#[tokio::test]
async fn what_is_no_tls_gets_nothing() {
    let (upstream, made) = (Upstream::start().await, make());
    let gateway = gateway(&upstream, &made).await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let answer = gateway.client().raw(request, TEST_TIMEOUT).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains("HTTP/1.1") && !text.contains("ok"), "{text}");
    // A certificate that the client does not trust ends the handshake.
    assert!(connect(&gateway, &[&make()]).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_and_a_bad_one_is_not() {
    let (upstream, first) = (Upstream::start().await, make());
    let gateway = gateway(&upstream, &first).await;
    let (second, third) = (make(), make());
    let all = [&first, &second, &third];
    assert_eq!(shown(&gateway, &all).await, first.der.to_vec());

    // By itself, when the files change.
    second.write(&place(&gateway));
    eventually("the new certificate is shown", async || {
        shown(&gateway, &all).await == second.der.to_vec()
    })
    .await;

    // A key that belongs to no certificate keeps the old pair, and says so once.
    std::fs::write(place(&gateway).join("key.pem"), &third.key).expect("the key can be written");
    gateway
        .wait_for_output("the old certificate stays in force")
        .await;
    assert_eq!(shown(&gateway, &all).await, second.der.to_vec());

    // The other half arrives, and SIGHUP does not wait for the next look.
    std::fs::write(place(&gateway).join("cert.pem"), &third.cert).expect("it can be written");
    gateway.signal("HUP");
    gateway.wait_for_output("is in force").await;
    assert_eq!(shown(&gateway, &all).await, third.der.to_vec());
    let output = gateway.output();
    let bad = output.matches("does not match the certificate").count();
    assert!((1..=2).contains(&bad), "{output}");
}

#[tokio::test]
async fn a_handshake_that_never_comes_is_ended() {
    let (upstream, made) = (Upstream::start().await, make());
    let gateway = gateway(&upstream, &made).await;
    let mut silent = TcpStream::connect(gateway.address())
        .await
        .expect("a connection");
    let mut idle = connect(&gateway, &[&made]).await.expect("a handshake");
    let mut seen = Vec::new();
    let started = Instant::now();
    // Neither a socket without a handshake nor one without a request stays: each is closed after
    // ten seconds.
    let (silent, idle) = tokio::join!(
        tokio::time::timeout(TEST_TIMEOUT, silent.read_u8()),
        tokio::time::timeout(TEST_TIMEOUT, idle.read_to_end(&mut seen)),
    );
    assert!(silent.expect("it is closed").is_err());
    drop(idle.expect("it is closed"));
    assert!(
        started.elapsed() > Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_running_stream_finishes_before_the_end() {
    let words = (0..20).map(|number| format!("word{number} ")).collect();
    let slow = Script::answer(ModelAnswer::of(vec![Output::Deltas(words)]).delay_ms(25));
    let (upstream, made) = (Upstream::with(slow).await, make());
    let mut gateway = gateway(&upstream, &made).await;
    let answer = ask(&gateway, &http(&made, &["h2"])).await;
    gateway.signal("TERM");
    let text = answer.text().await.expect("the whole body");
    assert!(text.contains("response.completed"), "{text}");
    let status = gateway.wait_for_exit(Duration::from_secs(3)).await;
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
}

#[test]
fn a_certificate_that_cannot_be_used_is_an_error_of_the_configuration() {
    let place = tempfile::tempdir().expect("a directory");
    let (one, other) = (make(), make());
    let at = |name: &str| place.path().join(name);
    std::fs::write(at("cert.pem"), &one.cert).expect("written");
    std::fs::write(at("key.pem"), &one.key).expect("written");
    std::fs::write(at("other.pem"), &other.key).expect("written");
    std::fs::write(at("empty.pem"), "").expect("written");
    for (cert, key, said) in [
        ("gone.pem", "key.pem", "No such file"),
        ("empty.pem", "key.pem", "no PEM certificate"),
        ("cert.pem", "gone.pem", "No such file"),
        ("cert.pem", "empty.pem", "the private key"),
        ("cert.pem", "other.pem", "does not match"),
    ] {
        let text = format!("[server.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
        std::fs::write(at("gateway.toml"), text).expect("written");
        let ended = run(place.path(), &["--config", "gateway.toml", "check"]);
        assert_eq!(ended.code, Some(64), "{cert} {key}: {}", ended.stderr);
        for part in [said, "gateway.toml:", "^"] {
            assert!(
                ended.stderr.contains(part),
                "{cert} {key}: {}",
                ended.stderr
            );
        }
    }
    std::fs::write(at("gateway.toml"), "[server.tls]\ncert = \"cert.pem\"\n").expect("written");
    let ended = run(place.path(), &["--config", "gateway.toml", "check"]);
    assert_eq!(ended.code, Some(64));
    assert!(
        ended.stderr.contains("both `cert` and `key`"),
        "{}",
        ended.stderr
    );
}
