//! HTTPS beside HTTP: certificate and key from PEM files, rustls with ring.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::net::open;
use crate::{BindError, Https};

/// Opens the port and reads the keys.
///
/// # Errors
/// The port is taken, or a file cannot be used.
pub(crate) fn open(
    listen: Ipv4Addr,
    https: &Https,
    device: Option<&str>,
) -> Result<(TcpListener, Arc<ServerConfig>), BindError> {
    let config = configure(&https.cert, &https.key)?;
    Ok((open::tcp("HTTPS", listen, https.port, device)?, config))
}

fn configure(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, BindError> {
    let bad = |path: &Path, why: String| BindError::Tls { path: path.to_owned(), why };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| bad(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(cert, "it holds no PEM certificate".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| bad(key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let cert = folder.path().join("cert.pem");
        let missing = configure(&cert, &cert).err().unwrap().to_string();
        assert!(missing.contains("cert.pem"), "{missing}");
        std::fs::write(&cert, "nothing here").unwrap();
        let empty = configure(&cert, &cert).err().unwrap().to_string();
        assert!(empty.contains("holds no PEM certificate"), "{empty}");
    }
}
