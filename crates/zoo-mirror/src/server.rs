//! The running mirror: one listener per origin, one handler for all of them.
//!
//! Every hub's answer is computed by a plain function in [`crate::hubs`]; this module does what all of them share: logging,
//! faults, ranges, validators and pace.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::Error;
use crate::body::{Body, Pace, Plan, full, planned};
use crate::faults::{Fault, FaultRule};
use crate::hubs::github::GitHub;
use crate::hubs::huggingface::HuggingFace;
use crate::hubs::torch::Torch;
use crate::hubs::{Reply, Served};
use crate::log::{Log, Logged};
use crate::proxy::Authority;
use crate::range::{self, Asked};
use crate::{admin, proxy};

/// Bodies that clients send are lists of paths; a mebibyte is thousands of them.
const MAX_REQUEST_BODY: usize = 1 << 20;

/// The origins, each with a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// The Hugging Face hub: pages, API, redirects, small files.
    HuggingFace,
    /// The content network that the hub redirects to for large files.
    HuggingFaceContent,
    /// Plain git files, and the pointers of large ones.
    GitHubRaw,
    /// The content of large git files, for repositories that still have it.
    GitHubMedia,
    /// `CONNECT` to all that stand for a real host, in its name.
    Proxy,
    /// Faults, pace and the request log, for people and for tests in other languages.
    Admin,
    /// The object store with torchvision's weights.
    Torch,
}

impl Role {
    /// Every origin, in the order of their ports where ports are fixed.
    pub const ALL: [Self; 7] = [
        Self::HuggingFace,
        Self::HuggingFaceContent,
        Self::GitHubRaw,
        Self::GitHubMedia,
        Self::Proxy,
        Self::Admin,
        Self::Torch,
    ];

    /// The real hosts it stands for; the first is the one that links name.
    pub(crate) fn hosts(self) -> &'static [&'static str] {
        match self {
            Self::HuggingFace => &["huggingface.co", "hf.co", "www.huggingface.co"],
            // The host changes every year or so; clients must follow the link and know no name.
            Self::HuggingFaceContent => &["us.aws.cdn.hf.co", "cas-bridge.xethub.hf.co"],
            Self::GitHubRaw => &["raw.githubusercontent.com"],
            Self::GitHubMedia => &["media.githubusercontent.com"],
            Self::Torch => &["download.pytorch.org"],
            Self::Proxy | Self::Admin => &[],
        }
    }

    /// The host that a direct client uses. The content network has another name than the hub, as in reality, so that clients
    /// which compare hosts (and not ports) before they forward a token are put to the test.
    fn local_host(self) -> &'static str {
        if self == Self::HuggingFaceContent { "localhost" } else { "127.0.0.1" }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|role| *role == self).unwrap_or_default()
    }
}

/// How a request came: to the origin's own port, or through the proxy under the real host's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Direct,
    Proxy,
}

/// Everything that the origins share.
pub(crate) struct State {
    pub(crate) hugging_face: HuggingFace,
    pub(crate) github: GitHub,
    pub(crate) torch: Torch,
    pub(crate) log: Log,
    pub(crate) authority: Authority,
    rules: Mutex<Vec<FaultRule>>,
    /// Bytes per second and connection; 0 is as fast as can be.
    pace: AtomicU64,
    ports: [u16; Role::ALL.len()],
    connections: AtomicU64,
}

impl State {
    /// Where a link to an origin leads, in the words of the client that asked.
    pub(crate) fn base(&self, role: Role, via: Via) -> String {
        match (via, role.hosts().first()) {
            (Via::Proxy, Some(host)) => format!("https://{host}"),
            _ => format!("http://{}:{}", role.local_host(), self.port(role)),
        }
    }

    fn port(&self, role: Role) -> u16 {
        self.ports.get(role.index()).copied().unwrap_or_default()
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Vec<FaultRule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_pace(&self, bytes_per_second: Option<u64>) {
        self.pace.store(bytes_per_second.unwrap_or(0), Ordering::Relaxed);
    }

    fn strike(&self, path: &str, is_content: bool) -> Option<Fault> {
        self.rules().iter_mut().find_map(|rule| rule.strikes(path, is_content).then(|| rule.fault.clone()))
    }
}

/// A running mirror. It stops when dropped.
pub struct Mirror {
    state: Arc<State>,
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").field("ports", &self.state.ports).finish_non_exhaustive()
    }
}

/// What a mirror is started with.
pub(crate) struct Contents {
    pub(crate) hugging_face: HuggingFace,
    pub(crate) github: GitHub,
    pub(crate) torch: Torch,
    pub(crate) rules: Vec<FaultRule>,
    pub(crate) pace: Option<u64>,
    pub(crate) first_port: Option<u16>,
}

impl Mirror {
    /// An empty one, to be filled.
    pub fn builder() -> crate::MirrorBuilder {
        crate::MirrorBuilder::default()
    }

    pub(crate) fn start(contents: Contents) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("zoo-mirror")
            .enable_all()
            .build()
            .map_err(Error::io("start its threads"))?;
        // Bound without waiting, so that a mirror can also be started from async code.
        let inside = runtime.enter();
        let mut listeners = Vec::new();
        for (i, role) in Role::ALL.into_iter().enumerate() {
            let port = contents.first_port.map_or(0, |first| first.saturating_add(i as u16));
            let listener = listen(port).map_err(Error::io(format!("listen on port {port}")))?;
            listeners.push((role, listener));
        }
        let mut ports = [0; Role::ALL.len()];
        for (place, (_, listener)) in ports.iter_mut().zip(&listeners) {
            *place = listener.local_addr().map_err(Error::io("learn its own port"))?.port();
        }
        let state = Arc::new(State {
            hugging_face: contents.hugging_face,
            github: contents.github,
            torch: contents.torch,
            log: Log::default(),
            authority: Authority::new()?,
            rules: Mutex::new(contents.rules),
            pace: AtomicU64::new(contents.pace.unwrap_or(0)),
            ports,
            connections: AtomicU64::new(0),
        });
        for (role, listener) in listeners {
            runtime.spawn(accept(role, listener, Arc::clone(&state)));
        }
        drop(inside);
        Ok(Self { state, runtime: Some(runtime) })
    }

    /// The base URL of an origin, for clients that can be told one.
    pub fn endpoint(&self, role: Role) -> String {
        self.state.base(role, Via::Direct)
    }

    /// `HF_ENDPOINT` for this mirror.
    pub fn hf_endpoint(&self) -> String {
        self.endpoint(Role::HuggingFace)
    }

    /// Serves what `raw.githubusercontent.com` does.
    pub fn raw_endpoint(&self) -> String {
        self.endpoint(Role::GitHubRaw)
    }

    /// Serves what `download.pytorch.org` does (`ZOO_TORCH_ENDPOINT`).
    pub fn torch_endpoint(&self) -> String {
        self.endpoint(Role::Torch)
    }

    /// Puts a new commit on the `main` of a repository of the Hugging Face hub: what it held, changed by `change`. The commit before
    /// stays, as it does on the hub. Answers the new one's id.
    pub fn hf_push(
        &self,
        id: &str,
        change: impl FnOnce(crate::HfRepoBuilder) -> crate::HfRepoBuilder,
    ) -> Result<String, Error> {
        self.state.hugging_face.push(id, change)
    }

    /// The proxy, for clients that cannot be told another address (`HTTPS_PROXY`).
    pub fn proxy_url(&self) -> String {
        self.endpoint(Role::Proxy)
    }

    /// The certificate of the throwaway authority that signs for the real hosts' names, in PEM.
    pub fn authority_pem(&self) -> &str {
        self.state.authority.pem()
    }

    /// Adds a fault; earlier ones come first.
    pub fn fault(&self, rule: FaultRule) {
        self.state.rules().push(rule);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.state.rules().clear();
    }

    /// Limits every connection to so many bytes of content per second.
    pub fn pace(&self, bytes_per_second: Option<u64>) {
        self.state.set_pace(bytes_per_second);
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<Logged> {
        self.state.log.entries()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.state.log.clear();
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting: a stalled answer may sleep for minutes.
            runtime.shutdown_background();
        }
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(role: Role, listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, say; the next moment may be better.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            if role == Role::Proxy {
                proxy::serve(stream, state).await;
            } else {
                serve(TokioIo::new(stream), role, Via::Direct, state).await;
            }
        });
    }
}

/// Answers on one connection until it ends.
pub(crate) async fn serve<I>(io: I, role: Role, via: Via, state: Arc<State>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let connection = state.connections.fetch_add(1, Ordering::Relaxed);
    let pace = Arc::new(Pace::default());
    let service = service_fn(move |request| {
        let (state, pace) = (Arc::clone(&state), Arc::clone(&pace));
        async move { answer(&state, role, via, connection, pace, request).await }
    });
    // An error is a client that went away, or a fault that was asked for.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(io, service).await;
}

/// A request, as the hubs' functions see it.
pub(crate) struct Ask {
    pub(crate) via: Via,
    pub(crate) method: Method,
    /// Path without query, still percent-encoded.
    pub(crate) path: String,
    /// Path and query as they came.
    pub(crate) target: String,
    /// Its parts, decoded.
    pub(crate) parts: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

async fn read(via: Via, request: Request<Incoming>) -> Ask {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let target = head.uri.path_and_query().map_or_else(|| path.clone(), ToString::to_string);
    let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    Ask {
        via,
        method: head.method,
        parts: path.split('/').filter(|part| !part.is_empty()).map(decoded).collect(),
        query: query.into_owned().collect(),
        path,
        target,
        headers: head.headers,
        body: Limited::new(body, MAX_REQUEST_BODY)
            .collect()
            .await
            .map(Collected::to_bytes)
            .unwrap_or_default(),
    }
}

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped on request")]
struct Dropped;

async fn answer(
    state: &State,
    role: Role,
    via: Via,
    connection: u64,
    pace: Arc<Pace>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let version = format!("{:?}", request.version());
    let ask = read(via, request).await;
    let text = |name| ask.header(name).map(str::to_owned);
    let mut entry = Logged {
        role,
        method: ask.method.to_string(),
        path: ask.path.clone(),
        range: text(header::RANGE),
        if_range: text(header::IF_RANGE),
        accept_encoding: text(header::ACCEPT_ENCODING),
        user_agent: text(header::USER_AGENT),
        had_authorization: ask.headers.contains_key(header::AUTHORIZATION),
        status: 0,
        sent: 0,
        connection,
        version,
    };
    if role == Role::Admin {
        return Ok(admin::answer(state, &ask).into_response());
    }
    let reply = match role {
        Role::HuggingFace => state.hugging_face.answer(state, &ask),
        Role::HuggingFaceContent => state.hugging_face.content(&ask),
        Role::GitHubRaw => state.github.raw(&ask),
        Role::GitHubMedia => state.github.media(&ask),
        Role::Torch => state.torch.answer(&ask),
        Role::Proxy | Role::Admin => Reply::status(StatusCode::NOT_FOUND, "not found"),
    };
    // A rule may name the file as people know it, or a part of the URL.
    let shown = match &reply {
        Reply::Content(served) => format!("{} {}", ask.path, served.label),
        Reply::Other(_) => ask.path.clone(),
    };
    let fault = state.strike(&shown, matches!(reply, Reply::Content(_)));
    let (mut response, plan) = match fault {
        Some(Fault::DropConnection) => {
            state.log.add(entry);
            return Err(Dropped);
        }
        Some(Fault::Status { code, retry_after }) => (failed(code, retry_after), None),
        Some(Fault::RedirectLoop) => (moved(&ask.target), None),
        Some(Fault::HtmlPage) => (page(), None),
        Some(Fault::PointerText) => (pointer_instead(&reply), None),
        fault => match reply {
            Reply::Content(served) => content(&ask, served, fault, state.pace.load(Ordering::Relaxed), pace),
            Reply::Other(response) => (response, None),
        },
    };
    entry.status = response.status().as_u16();
    let sent = state.log.add(entry);
    if let Some(plan) = plan.filter(|_| ask.method != Method::HEAD) {
        *response.body_mut() = planned(Plan { sent, ..plan });
    }
    Ok(response)
}

/// A file's bytes: whole, in part, or the reason why not.
fn content(
    ask: &Ask,
    served: Served,
    fault: Option<Fault>,
    rate: u64,
    pace: Arc<Pace>,
) -> (Response<Body>, Option<Plan>) {
    let Served { content, etag, headers, content_type, accepts_ranges, .. } = served;
    let lost = if let Some(Fault::Truncate { lose }) = fault { lose } else { 0 };
    let len = content.len().saturating_sub(lost);
    let etag = etag.map(|tag| if fault == Some(Fault::ChangeEtag) { format!("changed-{tag}") } else { tag });
    let quoted = etag.map(|tag| format!("\"{tag}\""));
    let mut response = Response::new(full(Bytes::new()));
    let map = response.headers_mut();
    put(map, header::CONTENT_TYPE, content_type);
    if let Some(etag) = &quoted {
        put(map, header::ETAG, etag);
    }
    if accepts_ranges {
        put(map, header::ACCEPT_RANGES, "bytes");
    }
    for (name, value) in &headers {
        put(map, name.clone(), value);
    }
    let known = ask.header(header::IF_NONE_MATCH).is_some_and(|tag| quoted.as_deref() == Some(tag));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return (response, None);
    }
    let valid = ask.header(header::IF_RANGE).is_none_or(|tag| quoted.as_deref() == Some(tag));
    let ignored = !valid || !accepts_ranges || fault == Some(Fault::IgnoreRange);
    let asked = range::parse(ask.header(header::RANGE).filter(|_| !ignored), len);
    let map = response.headers_mut();
    let (from, to) = match asked {
        Asked::Unsatisfiable => {
            put(map, header::CONTENT_RANGE, &format!("bytes */{len}"));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return (response, None);
        }
        Asked::Part(from, to) => {
            put(map, header::CONTENT_RANGE, &format!("bytes {from}-{}/{len}", to.saturating_sub(1)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (from, to)
        }
        Asked::Whole => (0, len),
    };
    put(response.headers_mut(), header::CONTENT_LENGTH, &(to - from).to_string());
    let rate = (rate > 0).then_some(rate);
    let sent = crate::log::Sent::default();
    (response, Some(Plan { content, from, to, fault, rate, pace, sent }))
}

pub(crate) fn put(map: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        map.append(name, value);
    }
}

fn failed(code: u16, retry_after: Option<u32>) -> Response<Body> {
    let mut response = Response::new(full(format!("{{\"error\":\"fault {code} on request\"}}")));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    put(response.headers_mut(), header::CONTENT_TYPE, "application/json; charset=utf-8");
    if let Some(seconds) = retry_after {
        put(response.headers_mut(), header::RETRY_AFTER, &seconds.to_string());
    }
    response
}

fn moved(to: &str) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::FOUND;
    put(response.headers_mut(), header::LOCATION, to);
    response
}

fn page() -> Response<Body> {
    let mut response = Response::new(full("<!DOCTYPE html><html><body>Please log in.</body></html>"));
    put(response.headers_mut(), header::CONTENT_TYPE, "text/html; charset=utf-8");
    response
}

fn pointer_instead(reply: &Reply) -> Response<Body> {
    let text = match reply {
        Reply::Content(served) => crate::hubs::pointer_text(&served.sha256, served.content.len()),
        Reply::Other(_) => crate::hubs::pointer_text(&"0".repeat(64), 0),
    };
    let mut response = Response::new(full(text));
    put(response.headers_mut(), header::CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

impl Reply {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::Other(response) => response,
            Self::Content(_) => Response::new(full(Bytes::new())),
        }
    }
}

/// Never made; services that cannot fail have it as their error.
pub(crate) type Never = Infallible;
