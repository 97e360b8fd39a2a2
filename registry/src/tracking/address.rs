//! Where an MLflow server is: checked once, so that what its Python client would take for a folder, a database or another
//! vendor's sign-in is refused with the reason. Passwords are never printed.

use std::fmt;

use reqwest::Url;

use super::TrackingError;

/// The address of a server, its path's prefix included, and the token for it.
#[derive(Clone)]
pub(super) struct Address {
    base: Url,
    token: Option<String>,
}

impl Address {
    pub(super) fn parse(uri: &str, token: Option<&str>) -> Result<Self, TrackingError> {
        let refuse = |reason: &str| TrackingError::Address {
            reason: reason.to_owned(),
        };
        let uri = uri.trim();
        let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
        let scheme = scheme.to_ascii_lowercase();
        let first = if scheme.is_empty() { uri } else { &scheme };
        if first.starts_with("databricks") || scheme == "uc" {
            return Err(refuse(
                "it names a Databricks workspace, whose sign-in is not spoken here; give the http(s) address of an \
                 MLflow server",
            ));
        }
        if scheme != "http" && scheme != "https" {
            return Err(refuse(
                "it is no http(s) address; folders and databases are opened by MLflow's Python package only: start \
                 `mlflow server` on them and give its address, for instance http://127.0.0.1:5000",
            ));
        }
        let mut base =
            Url::parse(uri).map_err(|error| refuse(&format!("it is no URL: {error}")))?;
        if base.query().is_some() || base.fragment().is_some() {
            return Err(refuse(
                "it has a `?` or `#` part; give the address up to the path's prefix, as the browser shows it before `#`",
            ));
        }
        if let Some(token) = token {
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(TrackingError::Token);
            }
            // Both setters refuse only addresses without a host, which http always has.
            let _ = base.set_username("");
            let _ = base.set_password(None);
        }
        Ok(Self {
            base,
            token: token.map(str::to_owned),
        })
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The URL of a path below the prefix; each segment is escaped.
    pub(super) fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Whether a URL leads to this server, so that its credentials may be sent there.
    pub(super) fn is_host_of(&self, url: &Url) -> bool {
        url.host() == self.base.host()
            && url.port_or_known_default() == self.base.port_or_known_default()
    }

    /// Whether a URL of another scheme names this server's host, and its port if it names one.
    pub(super) fn is_named(&self, url: &Url) -> bool {
        let port = url
            .port()
            .is_none_or(|port| Some(port) == self.base.port_or_known_default());
        url.host_str() == self.base.host_str() && port
    }

    /// A URL of this host, with this address's scheme, user and password.
    pub(super) fn on_host(&self, url: &Url) -> Url {
        let mut own = self.base.clone();
        own.set_path(url.path());
        own
    }

    /// Where a browser shows a run.
    pub(super) fn page(&self, experiment: &str, run: &str) -> String {
        let mut url = self.plain();
        url.set_fragment(Some(&format!("/experiments/{experiment}/runs/{run}")));
        url.into()
    }

    /// Without user and password.
    fn plain(&self) -> Url {
        let mut url = self.base.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plain().as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(uri: &str) -> String {
        Address::parse(uri, None).unwrap_err().to_string()
    }

    #[test]
    fn keeps_the_prefix_of_a_path() {
        for uri in ["https://ml.example/team/a", "https://ml.example/team/a/"] {
            let address = Address::parse(uri, None).unwrap();
            assert_eq!(
                address.join(["api", "2.0", "a b"]).as_str(),
                "https://ml.example/team/a/api/2.0/a%20b"
            );
            assert!(address.page("1", "r").ends_with("#/experiments/1/runs/r"));
        }
        let bare = Address::parse(" http://127.0.0.1:5000 ", None).unwrap();
        assert_eq!(bare.join(["api"]).as_str(), "http://127.0.0.1:5000/api");
        assert_eq!(bare.to_string(), "http://127.0.0.1:5000");
    }

    #[test]
    fn refuses_what_only_the_python_client_opens() {
        for uri in [
            "databricks",
            "databricks://profile",
            "databricks-uc",
            "uc:x",
        ] {
            assert!(reason(uri).contains("Databricks"), "{uri}");
        }
        for uri in [
            "",
            "mlruns",
            "./mlruns",
            "/var/mlruns",
            "file:///var/mlruns",
            "sqlite:///a.db",
            "127.0.0.1:5000",
        ] {
            assert!(
                reason(uri).contains("mlflow server"),
                "{uri}: {}",
                reason(uri)
            );
        }
        assert!(reason("http://").contains("no URL"));
        assert!(reason("http://a/#/experiments/1").contains("before `#`"));
    }

    #[test]
    fn never_prints_a_password_or_a_token() {
        let address = Address::parse("https://ann:hush@ml.example/x", None).unwrap();
        assert_eq!(
            format!("{address:?} {address}"),
            "https://ml.example/x https://ml.example/x"
        );
        assert!(!address.page("1", "2").contains("hush"));
        let token = Address::parse("https://ann:hush@ml.example/x", Some("secret")).unwrap();
        assert!(!format!("{token:?}").contains("secret"));
        assert_eq!(token.join(["a"]).as_str(), "https://ml.example/x/a");
        assert!(Address::parse("https://a", Some("two\nlines")).is_err());
    }
}
