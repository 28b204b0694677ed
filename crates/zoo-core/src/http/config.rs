//! How the HTTP client is set up. Everything is passed in: only a program's edge reads the environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use url::Url;

use super::Lane;
use crate::error::{Error, Result};
use crate::fs;

/// A certificate bundle holds a few hundred kilobytes; more is a mistake.
const MAX_CERTIFICATES: u64 = 16 << 20;

/// Settings of the HTTP client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// How long connecting (TCP and TLS) may take.
    pub connect_timeout: Duration,
    /// How long a server may be silent. There is no limit on the whole: a large model may take hours.
    pub silence_timeout: Duration,
    /// How often a request is tried without any progress in between.
    pub attempts: u32,
    /// The first wait between attempts; it doubles, with jitter, up to half a minute.
    pub backoff: Duration,
    /// Proxies, if any.
    pub proxy: ProxyConfig,
    /// PEM files with certificates to trust besides the system's.
    pub certificates: Vec<PathBuf>,
    /// Tokens, each bound to one origin.
    pub credentials: Vec<Credential>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            user_agent: concat!("zoo/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(30),
            attempts: 5,
            backoff: Duration::from_millis(500),
            proxy: ProxyConfig::default(),
            certificates: Vec::new(),
            credentials: Vec::new(),
        }
    }
}

/// Proxies by scheme of the target, as the usual environment variables name them.
#[derive(Clone, Default)]
pub struct ProxyConfig {
    /// For `http://` targets: a proxy URL (`http`, `https` or `socks5`).
    pub http: Option<String>,
    /// For `https://` targets.
    pub https: Option<String>,
    /// Hosts that are reached directly, comma-separated as in `NO_PROXY`.
    pub except: Option<String>,
}

impl fmt::Debug for ProxyConfig {
    /// A proxy URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyConfig")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("except", &self.except)
            .finish()
    }
}

/// Scheme, host and port of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// The origin of a URL.
    pub fn of(url: &Url) -> Self {
        Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_ascii_lowercase(),
            port: url.port_or_known_default(),
        }
    }
}

/// A bearer token and the one origin that may see it.
#[derive(Clone)]
pub struct Credential {
    origin: Origin,
    token: String,
}

impl Credential {
    /// Binds a bearer token to the origin of `endpoint`. Unprotected http is refused, except to this very machine.
    pub fn bearer(endpoint: &Url, token: impl Into<String>) -> Result<Self> {
        let loopback = match endpoint.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if endpoint.scheme() != "https" && !loopback {
            return Err(Error::Client {
                reason: format!("a token would go to {} without protection", super::shown(endpoint)),
            });
        }
        Ok(Self { origin: Origin::of(endpoint), token: token.into() })
    }

    pub(super) fn header_value(&self) -> Result<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.token))
            .map_err(|_| Error::Client { reason: "the token holds characters that no token has".into() })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential(for {}, hidden)", self.origin.host)
    }
}

impl HttpConfig {
    pub(super) fn credential_for(&self, url: &Url) -> Option<&Credential> {
        let origin = Origin::of(url);
        self.credentials.iter().find(|c| c.origin == origin)
    }

    pub(super) fn build(&self, lane: Lane) -> Result<reqwest::Client> {
        let builder = self.builder()?;
        let builder = if lane == Lane::Ranges {
            builder.http1_only()
        } else {
            // One stream should not be slowed by HTTP/2's small default windows on a long line.
            builder.http2_adaptive_window(true)
        };
        builder.build().map_err(|e| Error::Client { reason: e.to_string() })
    }

    /// A client for a library that sends requests of its own to `endpoint`: it follows redirects within that origin only, and
    /// with `authenticated` every request carries the origin's token.
    pub(super) fn build_for(&self, endpoint: &Url, authenticated: bool) -> Result<reqwest::Client> {
        let origin = Origin::of(endpoint);
        let stay = reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > super::MAX_HOPS {
                attempt.error("too many redirects")
            } else if Origin::of(attempt.url()) == origin {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let mut headers = HeaderMap::new();
        if let Some(credential) = self.credential_for(endpoint).filter(|_| authenticated) {
            headers.insert(AUTHORIZATION, credential.header_value()?);
        }
        let builder = self.builder()?.redirect(stay).default_headers(headers);
        builder.build().map_err(|e| Error::Client { reason: e.to_string() })
    }

    fn builder(&self) -> Result<reqwest::ClientBuilder> {
        let client = |reason: String| Error::Client { reason };
        // reqwest takes the process's provider; when the program has chosen one already, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.silence_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .no_proxy();
        for path in &self.certificates {
            let pem = fs::read_bounded(path, MAX_CERTIFICATES)?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|e| client(format!("`{}` holds no usable certificates: {e}", path.display())))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let except = self.proxy.except.as_deref().and_then(reqwest::NoProxy::from_string);
        let bad = |e: reqwest::Error| client(format!("a proxy URL is not usable: {}", e.without_url()));
        if let Some(url) = &self.proxy.http {
            builder = builder.proxy(reqwest::Proxy::http(url).map_err(bad)?.no_proxy(except.clone()));
        }
        if let Some(url) = &self.proxy.https {
            builder = builder.proxy(reqwest::Proxy::https(url).map_err(bad)?.no_proxy(except));
        }
        Ok(builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_token_goes_to_its_origin_only() {
        let config = HttpConfig {
            credentials: vec![Credential::bearer(&url("https://hub.example"), "secret").unwrap()],
            ..HttpConfig::default()
        };
        let has = |t: &str| config.credential_for(&url(t)).is_some();
        assert!(has("https://hub.example/a/b?c"));
        assert!(has("https://HUB.example:443/a"));
        for other in [
            "http://hub.example/",
            "https://cdn.hub.example/",
            "https://hub.example:8443/",
            "https://hub.example.evil/",
        ] {
            assert!(!has(other), "{other}");
        }
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn a_token_for_an_unprotected_host_is_refused() {
        assert!(Credential::bearer(&url("http://hub.example"), "t").is_err());
        assert!(Credential::bearer(&url("http://127.0.0.1:8080"), "t").is_ok());
    }

    #[test]
    fn proxy_passwords_are_not_printed() {
        let proxy =
            ProxyConfig { https: Some("http://user:secret@proxy:3128".into()), ..ProxyConfig::default() };
        assert!(!format!("{proxy:?}").contains("secret"));
    }
}
