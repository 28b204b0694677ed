//! The one place that reads the environment, into plain settings. What the libraries need is passed to them.
//!
//! | Variable | Means |
//! |---|---|
//! | `ZOO_HOME`, `MODELHUB_PATH` | the store; `--home` wins |
//! | `ZOO_OFFLINE`, `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | never use the network; the first one wins where it is set |
//! | `ZOO_LOG` | which log lines to print, as `tracing` filters |
//! | `HF_ENDPOINT`, `ZOO_ONNX_ENDPOINT`, `ZOO_TORCH_ENDPOINT` | where the hubs are |
//! | `ZOO_TORCHVISION_CATALOG` | what the torchvision zoo has, in place of the catalogue compiled in |
//! | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME` | the Hugging Face token, or the file with it |
//! | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `ONNX_HOME`, `TORCH_HOME`, `XDG_CACHE_HOME` | caches of other tools to adopt files from |
//! | `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` | proxies, in either case |
//! | `SSL_CERT_FILE` | certificates to trust besides the system's |
//! | `ORT_DYLIB_PATH` | the ONNX Runtime library |
//! | `NO_COLOR`, `TERM` | no colour; no bars on a dumb terminal |
//!
//! An empty variable counts as one that is not set, as the programs that share them have it.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;
use zoo_core::http::HttpConfig;

use crate::exit::{Exit, Failure, Result};

/// A token file holds one line.
const MAX_TOKEN: u64 = 64 << 10;

/// Looks up a variable.
type Variables = Box<dyn Fn(&str) -> Option<OsString>>;

/// What settings are made from. Tests make one by hand and leave the process alone.
pub(crate) struct Surroundings {
    pub(crate) var: Variables,
    /// The user's home directory.
    pub(crate) user: Option<PathBuf>,
    /// The platform's folder for caches.
    pub(crate) cache: Option<PathBuf>,
    /// The folder that this program lies in.
    pub(crate) program: Option<PathBuf>,
}

/// Everything that is not on the command line.
#[derive(Debug)]
pub(crate) struct Settings {
    home: Option<PathBuf>,
    pub(crate) offline: bool,
    pub(crate) http: HttpConfig,
    pub(crate) hf_endpoint: Option<Url>,
    pub(crate) hf_token: Option<Token>,
    pub(crate) hf_caches: Vec<PathBuf>,
    pub(crate) onnx_endpoint: Option<Url>,
    pub(crate) onnx_caches: Vec<PathBuf>,
    pub(crate) torch_endpoint: Option<Url>,
    /// The file with the torchvision zoo's catalogue.
    pub(crate) torch_catalog: Option<PathBuf>,
    pub(crate) torch_caches: Vec<PathBuf>,
    /// The ONNX Runtime library, named.
    pub(crate) runtime: Option<PathBuf>,
    /// Folders in which it may lie.
    pub(crate) runtime_folders: Vec<PathBuf>,
    pub(crate) log: Option<String>,
}

/// What a terminal can do, if standard output or error is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// It shows colours, and the user wants them.
    pub(crate) colour: bool,
    /// It can move the cursor.
    pub(crate) cursor: bool,
}

/// Where the Hugging Face token is. It is read only when a request may need it.
pub(crate) enum Token {
    Value(String),
    File(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(hidden)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Token {
    /// The token; a file that is not there has none.
    pub(crate) fn read(&self) -> Option<String> {
        let text = match self {
            Self::Value(text) => text.clone(),
            Self::File(path) => String::from_utf8(zoo_core::fs::read_bounded(path, MAX_TOKEN).ok()?).ok()?,
        };
        Some(text.trim().to_owned()).filter(|t| !t.is_empty())
    }
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        use etcetera::BaseStrategy as _;
        #[expect(clippy::disallowed_methods, reason = "this is the module that the rule sends everybody to")]
        let var = |name: &str| std::env::var_os(name);
        Self {
            var: Box::new(var),
            user: etcetera::home_dir().ok(),
            cache: etcetera::base_strategy::choose_native_strategy().ok().map(|s| s.cache_dir()),
            program: std::env::current_exe().ok().and_then(|p| p.parent().map(Path::to_owned)),
        }
    }

    /// What the terminal can do. Nothing in it can be wrong, so errors elsewhere can be printed as it likes.
    pub(crate) fn terminal(&self) -> Terminal {
        let dumb = self.raw("TERM").is_some_and(|term| term == "dumb");
        Terminal { colour: self.raw("NO_COLOR").is_none() && !dumb, cursor: !dumb }
    }

    fn raw(&self, name: &str) -> Option<OsString> {
        (self.var)(name).filter(|value| !value.is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let text = |value: OsString| {
            value.into_string().map_err(|_| Failure::usage(format!("{name} is not readable as text")))
        };
        self.raw(name).map(text).transpose()
    }

    fn url(&self, name: &str) -> Result<Option<Url>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
            _ => Err(Failure::usage(format!("{name} is not an http or https URL: `{text}`"))),
        }
    }

    /// The lower-case name wins, as in curl.
    fn either_case(&self, name: &str) -> Result<Option<String>> {
        match self.text(name)? {
            Some(text) => Ok(Some(text)),
            None => self.text(&name.to_uppercase()),
        }
    }

    fn proxies(&self, http: &mut HttpConfig) -> Result<()> {
        // A web server passes the header `Proxy` of a request to a CGI program as HTTP_PROXY: anybody could set it.
        let plain = if self.raw("REQUEST_METHOD").is_some() {
            self.text("http_proxy")
        } else {
            self.either_case("http_proxy")
        };
        let all = self.either_case("all_proxy")?;
        http.proxy.http = plain?.or_else(|| all.clone()).map(with_scheme);
        http.proxy.https = self.either_case("https_proxy")?.or(all).map(with_scheme);
        http.proxy.except = self.either_case("no_proxy")?;
        Ok(())
    }

    fn offline(&self) -> Result<bool> {
        if let Some(text) = self.text("ZOO_OFFLINE")? {
            return flag(&text).ok_or_else(|| {
                Failure::usage(format!("ZOO_OFFLINE is neither yes nor no: `{text}`")).hint("write 1 or 0")
            });
        }
        // Words that they do not know mean no to the libraries that these variables belong to.
        for name in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
            if self.text(name)?.and_then(|text| flag(&text)) == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `~/.cache`, or what the XDG variable names instead. Python's tools use it on every platform.
    fn xdg_cache(&self) -> Option<PathBuf> {
        self.path("XDG_CACHE_HOME").or_else(|| self.user.as_ref().map(|user| user.join(".cache")))
    }

    /// As `torch.hub` has it, which also takes `~` for the home directory where no shell did.
    fn torch_home(&self) -> Option<PathBuf> {
        let named = self.path("TORCH_HOME").or_else(|| self.xdg_cache().map(|cache| cache.join("torch")))?;
        match (named.strip_prefix("~"), &self.user) {
            (Ok(below), Some(user)) => Some(user.join(below)),
            _ => Some(named),
        }
    }

    fn hf_home(&self) -> Option<PathBuf> {
        self.path("HF_HOME").or_else(|| self.xdg_cache().map(|cache| cache.join("huggingface")))
    }

    fn token(&self) -> Result<Option<Token>> {
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(text) = self.text(name)? {
                return Ok(Some(Token::Value(text)));
            }
        }
        // Its owner's switch for "a token only where I name one".
        if self.text("HF_HUB_DISABLE_IMPLICIT_TOKEN")?.and_then(|text| flag(&text)).unwrap_or(false) {
            return Ok(None);
        }
        let file = self.path("HF_TOKEN_PATH").or_else(|| self.hf_home().map(|home| home.join("token")));
        Ok(file.map(Token::File))
    }
}

impl Settings {
    /// Reads them; `home` and `offline` are the command line's word, and win.
    pub(crate) fn read(around: &Surroundings, home: Option<&Path>, offline: bool) -> Result<Self> {
        let own_cache = around.cache.as_ref().map(|cache| cache.join("zoo"));
        let home = home
            .map(Path::to_owned)
            .or_else(|| around.path("ZOO_HOME"))
            .or_else(|| around.path("MODELHUB_PATH"))
            .or_else(|| own_cache.clone());
        let mut http = HttpConfig::default();
        around.proxies(&mut http)?;
        http.certificates.extend(around.path("SSL_CERT_FILE"));
        let hf_cache = around
            .path("HF_HUB_CACHE")
            .or_else(|| around.path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| around.hf_home().map(|home| home.join("hub")));
        let onnx_home =
            around.path("ONNX_HOME").or_else(|| around.xdg_cache().map(|cache| cache.join("onnx")));
        let torch_cache = around.torch_home().map(|home| home.join("hub").join("checkpoints"));
        let runtime = |folder: &PathBuf| folder.join("runtime");
        let mut runtime_folders: Vec<PathBuf> = home.iter().chain(&own_cache).map(runtime).collect();
        runtime_folders.extend(around.program.clone());
        runtime_folders.dedup();
        Ok(Self {
            home,
            offline: offline || around.offline()?,
            http,
            hf_endpoint: around.url("HF_ENDPOINT")?,
            hf_token: around.token()?,
            hf_caches: hf_cache.into_iter().collect(),
            onnx_endpoint: around.url("ZOO_ONNX_ENDPOINT")?,
            onnx_caches: onnx_home.map(|home| home.join("hub")).into_iter().collect(),
            torch_endpoint: around.url("ZOO_TORCH_ENDPOINT")?,
            torch_catalog: around.path("ZOO_TORCHVISION_CATALOG"),
            torch_caches: torch_cache.into_iter().collect(),
            runtime: around.path("ORT_DYLIB_PATH"),
            runtime_folders,
            log: around.text("ZOO_LOG")?,
        })
    }

    /// The store's home. Only commands that use the store fail where there is none.
    pub(crate) fn home(&self) -> Result<&Path> {
        self.home.as_deref().ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no home directory to keep models below")
                .hint("name a folder with --home or ZOO_HOME")
        })
    }
}

/// The words that the Hugging Face libraries take for yes and no.
fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// curl takes `proxy:3128` for an HTTP proxy, so people write that.
fn with_scheme(proxy: String) -> String {
    if proxy.contains("://") { proxy } else { format!("http://{proxy}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(vars: &[(&str, &str)]) -> Surroundings {
        let vars: Vec<(String, OsString)> =
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        Surroundings {
            var: Box::new(move |name| vars.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())),
            user: Some("user".into()),
            cache: Some("cache".into()),
            program: Some("bin".into()),
        }
    }

    fn settings(vars: &[(&str, &str)]) -> Settings {
        Settings::read(&around(vars), None, false).unwrap()
    }

    #[test]
    fn the_home_is_the_first_that_is_named() {
        let home = |vars: &[(&str, &str)]| settings(vars).home().unwrap().to_owned();
        assert_eq!(home(&[]), Path::new("cache").join("zoo"));
        assert_eq!(home(&[("MODELHUB_PATH", "m")]), Path::new("m"));
        assert_eq!(home(&[("MODELHUB_PATH", "m"), ("ZOO_HOME", "z")]), Path::new("z"));
        assert_eq!(home(&[("MODELHUB_PATH", "m"), ("ZOO_HOME", "")]), Path::new("m"));
        let named = Settings::read(&around(&[("ZOO_HOME", "z")]), Some(Path::new("c")), false).unwrap();
        assert_eq!(named.home().unwrap(), Path::new("c"));
        let nowhere = Surroundings { cache: None, ..around(&[]) };
        let failure = Settings::read(&nowhere, None, false).unwrap().home().unwrap_err().hint;
        assert!(failure.unwrap().contains("ZOO_HOME"));
    }

    #[test]
    fn offline_by_any_of_its_names() {
        assert!(!settings(&[]).offline);
        assert!(settings(&[("ZOO_OFFLINE", "1")]).offline);
        assert!(settings(&[("HF_HUB_OFFLINE", "YES")]).offline);
        assert!(settings(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]).offline);
        assert!(!settings(&[("HF_HUB_OFFLINE", "1"), ("ZOO_OFFLINE", "off")]).offline);
        assert!(!settings(&[("HF_HUB_OFFLINE", "perhaps")]).offline);
        assert!(Settings::read(&around(&[("ZOO_OFFLINE", "perhaps")]), None, false).is_err());
        assert!(Settings::read(&around(&[("ZOO_OFFLINE", "0")]), None, true).unwrap().offline);
    }

    #[test]
    fn proxies_in_either_case_with_the_usual_precedence() {
        let http = settings(&[("http_proxy", "a:1"), ("HTTP_PROXY", "http://b:1"), ("NO_PROXY", "c")]).http;
        assert_eq!(http.proxy.http.as_deref(), Some("http://a:1"));
        assert_eq!(http.proxy.https, None);
        assert_eq!(http.proxy.except.as_deref(), Some("c"));
        let http = settings(&[("ALL_PROXY", "socks5://s:1"), ("HTTPS_PROXY", "http://h:1")]).http;
        assert_eq!(http.proxy.http.as_deref(), Some("socks5://s:1"));
        assert_eq!(http.proxy.https.as_deref(), Some("http://h:1"));
    }

    #[test]
    fn a_cgi_request_cannot_set_a_proxy() {
        let vars = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil:1")];
        assert_eq!(settings(&vars).http.proxy.http, None);
        let vars = [("REQUEST_METHOD", "GET"), ("http_proxy", "http://own:1")];
        assert_eq!(settings(&vars).http.proxy.http.as_deref(), Some("http://own:1"));
    }

    #[test]
    fn the_token_is_found_where_its_owners_tools_keep_it() {
        let token = |vars: &[(&str, &str)]| format!("{:?}", settings(vars).hf_token);
        let file = |parts: [&str; 2]| format!("Some(File({:?}))", parts.iter().collect::<PathBuf>());
        assert_eq!(token(&[("HF_TOKEN", "secret")]), "Some(Value(hidden))");
        assert_eq!(token(&[("HUGGING_FACE_HUB_TOKEN", "secret")]), "Some(Value(hidden))");
        assert_eq!(token(&[("HF_HOME", "h")]), file(["h", "token"]));
        assert_eq!(token(&[("HF_HOME", "h"), ("HF_TOKEN_PATH", "t/x")]), file(["t", "x"]));
        assert_eq!(token(&[("XDG_CACHE_HOME", "x")]), file(["x", "huggingface/token"]));
        assert_eq!(token(&[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), "None");
        let text = settings(&[("HF_TOKEN", " secret\n")]).hf_token.unwrap().read();
        assert_eq!(text.as_deref(), Some("secret"));
        assert_eq!(Token::File("no/such/file".into()).read(), None);
    }

    #[test]
    fn caches_of_other_tools() {
        let caches = |vars: &[(&str, &str)]| {
            let s = settings(vars);
            [s.hf_caches, s.onnx_caches, s.torch_caches]
                .concat()
                .iter()
                .map(|p| p.display().to_string().replace('\\', "/"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            caches(&[]),
            ["user/.cache/huggingface/hub", "user/.cache/onnx/hub", "user/.cache/torch/hub/checkpoints"]
        );
        assert_eq!(
            caches(&[("XDG_CACHE_HOME", "x")]),
            ["x/huggingface/hub", "x/onnx/hub", "x/torch/hub/checkpoints"]
        );
        assert_eq!(
            caches(&[("HF_HOME", "h"), ("ONNX_HOME", "o"), ("TORCH_HOME", "t")]),
            ["h/hub", "o/hub", "t/hub/checkpoints"]
        );
        assert_eq!(caches(&[("TORCH_HOME", "~/t")])[2], "user/t/hub/checkpoints");
        let vars = [("HF_HUB_CACHE", "a"), ("HUGGINGFACE_HUB_CACHE", "b"), ("HF_HOME", "h")];
        assert_eq!(caches(&vars)[0], "a");
    }

    #[test]
    fn endpoints_must_be_urls() {
        let s = settings(&[
            ("HF_ENDPOINT", "https://mirror.example/hf"),
            ("ZOO_ONNX_ENDPOINT", "http://localhost:1"),
            ("ZOO_TORCH_ENDPOINT", "http://localhost:2/torch"),
            ("ZOO_TORCHVISION_CATALOG", "c.json"),
        ]);
        assert_eq!(s.hf_endpoint.unwrap().as_str(), "https://mirror.example/hf");
        assert_eq!(s.onnx_endpoint.unwrap().port(), Some(1));
        assert_eq!(s.torch_endpoint.unwrap().path(), "/torch");
        assert_eq!(s.torch_catalog.as_deref(), Some(Path::new("c.json")));
        for bad in ["mirror.example", "ftp://mirror.example", "https://"] {
            let error = Settings::read(&around(&[("HF_ENDPOINT", bad)]), None, false).unwrap_err();
            assert_eq!(error.exit, Exit::Usage);
            assert!(error.error.to_string().contains("HF_ENDPOINT"));
        }
    }

    #[test]
    fn the_runtime_is_looked_for_in_the_usual_folders() {
        let s = settings(&[("ORT_DYLIB_PATH", "lib.so"), ("ZOO_HOME", "z")]);
        assert_eq!(s.runtime.as_deref(), Some(Path::new("lib.so")));
        let own = Path::new("cache").join("zoo").join("runtime");
        assert_eq!(s.runtime_folders, [Path::new("z").join("runtime"), own.clone(), "bin".into()]);
        assert_eq!(settings(&[]).runtime_folders, [own, "bin".into()]);
    }

    #[test]
    fn colour_is_a_wish_of_the_environment_too() {
        let terminal = |vars: &[(&str, &str)]| around(vars).terminal();
        assert_eq!(terminal(&[]), Terminal { colour: true, cursor: true });
        assert_eq!(terminal(&[("NO_COLOR", "1")]), Terminal { colour: false, cursor: true });
        assert_eq!(terminal(&[("NO_COLOR", "")]), Terminal { colour: true, cursor: true });
        assert_eq!(terminal(&[("TERM", "dumb")]), Terminal { colour: false, cursor: false });
    }
}
