//! TLS from certificate files: read, checked, and read again when they change. A pair that is not
//! usable never replaces one that is. Knows nothing of connections beyond the handshake.

mod expiry;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

/// How often the files are checked for changes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's own certificate, then those between it and a root.
    pub cert: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificate {path} cannot be used: {why}")]
    Cert { path: PathBuf, why: String },
    #[error("the private key {path} cannot be used: {why}")]
    Key { path: PathBuf, why: String },
    #[error("the private key {key} does not match the certificate {cert}: {why}")]
    Pair {
        cert: PathBuf,
        key: PathBuf,
        why: String,
    },
}

/// A certificate and its key that belong together.
pub struct Pair {
    key: Arc<CertifiedKey>,
    /// Of the contents of both files.
    digest: [u8; 32],
}

/// Reads and checks a pair.
///
/// # Errors
/// When a file cannot be read, or the two do not belong together.
pub fn read(files: &TlsFiles) -> Result<Pair, TlsError> {
    let (cert, key) = contents(files)?;
    pair(files, &cert, &key)
}

fn contents(files: &TlsFiles) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let cert = std::fs::read(&files.cert).map_err(|error| bad_cert(&files.cert, error))?;
    let key = std::fs::read(&files.key).map_err(|error| bad_key(&files.key, error))?;
    Ok((cert, key))
}

fn digest(cert: &[u8], key: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(cert.len().to_le_bytes());
    hash.update(cert);
    hash.update(key);
    hash.finalize().into()
}

fn bad_cert(path: &Path, why: impl std::fmt::Display) -> TlsError {
    TlsError::Cert {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn bad_key(path: &Path, why: impl std::fmt::Display) -> TlsError {
    TlsError::Key {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn pair(files: &TlsFiles, cert: &[u8], key: &[u8]) -> Result<Pair, TlsError> {
    let chain = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_cert(&files.cert, error))?;
    if chain.is_empty() {
        return Err(bad_cert(&files.cert, "it contains no PEM certificate"));
    }
    let secret = PrivateKeyDer::from_pem_slice(key).map_err(|error| bad_key(&files.key, error))?;
    let certified =
        CertifiedKey::from_der(chain, secret, &ring::default_provider()).map_err(|why| {
            TlsError::Pair {
                cert: files.cert.clone(),
                key: files.key.clone(),
                why: why.to_string(),
            }
        })?;
    Ok(Pair {
        key: Arc::new(certified),
        digest: digest(cert, key),
    })
}

/// The certificate in force.
pub struct Tls {
    current: Arc<Current>,
    /// Digest of the newest files that were read, usable or not, so that a bad pair is logged once.
    seen: ArcSwap<[u8; 32]>,
    acceptor: TlsAcceptor,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Serves the pair in these files.
    ///
    /// # Errors
    /// When the pair is not usable.
    pub fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let pair = read(files)?;
        let current = Arc::new(Current(ArcSwap::new(pair.key)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| bad_cert(&files.cert, error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            current,
            seen: ArcSwap::from_pointee(pair.digest),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Does handshakes, each with the pair that is in force when it begins.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Puts the pair in the files in force when it is new and usable. Otherwise the old one stays,
    /// and a bad pair is logged.
    pub fn reload_if_changed(&self, files: &TlsFiles) {
        let read = contents(files);
        let found = match &read {
            Ok((cert, key)) => digest(cert, key),
            // A file that is missing is logged once, like a bad one.
            Err(_) => [0; 32],
        };
        if **self.seen.load() == found {
            return;
        }
        self.seen.store(Arc::new(found));
        match read.and_then(|(cert, key)| pair(files, &cert, &key)) {
            Ok(pair) => {
                self.current.0.store(pair.key);
                tracing::info!("the certificate has changed; new connections use the new one");
            }
            Err(error) => tracing::error!("{error}; the old certificate stays in force"),
        }
    }

    /// When the certificate in force expires, in Unix seconds; `None` if it cannot be read from it.
    pub fn expires_at(&self) -> Option<i64> {
        let current = self.current.0.load();
        expiry::of(current.cert.first()?)
    }

    /// Follows the files for as long as the process runs. `files` says where they are at present;
    /// `observe` is told at the start and after each look when the certificate in force expires.
    pub async fn follow(
        &self,
        files: impl Fn() -> Option<TlsFiles>,
        observe: impl Fn(Option<i64>),
    ) {
        loop {
            observe(self.expires_at());
            tokio::time::sleep(POLL_INTERVAL).await;
            if let Some(files) = files() {
                self.reload_if_changed(&files);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a fresh pair for `name`.
    fn write(files: &TlsFiles, name: &str) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    }

    fn files(dir: &Path) -> TlsFiles {
        TlsFiles {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        }
    }

    #[test]
    fn a_bad_pair_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        write(&files, "a.example");
        let tls = Tls::open(&files).unwrap();
        let served = || tls.current.0.load().cert.first().unwrap().to_vec();
        let first = served();

        std::fs::write(&files.key, "no key").unwrap();
        tls.reload_if_changed(&files);
        assert_eq!(served(), first);
        std::fs::remove_file(&files.cert).unwrap();
        tls.reload_if_changed(&files);
        assert_eq!(served(), first);

        write(&files, "b.example");
        tls.reload_if_changed(&files);
        assert_ne!(served(), first);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        write(&files, "a.example");
        let cert = std::fs::read(&files.cert).unwrap();
        write(&files, "a.example");
        std::fs::write(&files.cert, cert).unwrap();
        assert!(matches!(read(&files), Err(TlsError::Pair { .. })));
        std::fs::write(&files.cert, "").unwrap();
        assert!(matches!(read(&files), Err(TlsError::Cert { .. })));
        std::fs::remove_file(&files.key).unwrap();
        assert!(matches!(read(&files), Err(TlsError::Key { .. })));
    }
}
