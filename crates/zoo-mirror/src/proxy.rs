//! The proxy: clients that cannot be told another address reach the mirror in the real hosts' names. It answers `CONNECT`,
//! speaks TLS with a certificate for the host that is asked for, signed by an authority made anew at every start, and refuses
//! every other host: nothing leaves this machine.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::body::{Body, full};
use crate::server::{self, Never, Role, State, Via};

/// The throwaway certificate authority and what it signed.
pub(crate) struct Authority {
    pem: String,
    acceptor: TlsAcceptor,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, Error> {
        let fail = |error: rcgen::Error| Error::Certificates(error.to_string());
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "zoo-mirror, made for one run");
        let key = KeyPair::generate().map_err(fail)?;
        let authority = params.self_signed(&key).map_err(fail)?;
        let issuer = Issuer::new(params, key);

        let hosts: Vec<String> =
            Role::ALL.iter().flat_map(|role| role.hosts()).map(|host| (*host).to_owned()).collect();
        let mut leaf = CertificateParams::new(hosts).map_err(fail)?;
        leaf.use_authority_key_identifier_extension = true;
        let leaf_key = KeyPair::generate().map_err(fail)?;
        let certificate = leaf.signed_by(&leaf_key, &issuer).map_err(fail)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = |error: rustls::Error| Error::Certificates(error.to_string());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .map_err(tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { pem: authority.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }
}

/// Answers on one connection to the proxy port.
pub(crate) async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Never>(connect(request, state)) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

fn connect(request: Request<Incoming>, state: Arc<State>) -> Response<Body> {
    let refuse = |status, text: String| {
        let mut response = Response::new(full(text));
        *response.status_mut() = status;
        response
    };
    if request.method() != Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "this proxy only tunnels TLS (CONNECT)\n".into());
    }
    let host = request.uri().host().unwrap_or_default().to_ascii_lowercase();
    let Some(role) = Role::ALL.into_iter().find(|role| role.hosts().contains(&host.as_str())) else {
        return refuse(StatusCode::FORBIDDEN, format!("this mirror does not stand for {host}\n"));
    };
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let acceptor = state.authority.acceptor.clone();
        if let Ok(stream) = acceptor.accept(TokioIo::new(upgraded)).await {
            server::serve(TokioIo::new(stream), role, Via::Proxy, state).await;
        }
    });
    Response::new(full(Vec::new()))
}
