//! How single values are spelled, as patterns that the API server and this crate read alike.
//!
//! No rule calls CEL's `url()` or `isURL()`: the API server and kube's evaluator differ on them, for one on `localhost`.

/// A header's name, of RFC 9110.
pub(super) const HEADER_NAME: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

/// The name of a Service; new API servers take a digit in front, too.
pub(super) const SERVICE_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// The name of most other objects.
pub(super) const OBJECT_NAME: &str = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";

/// The name of a container's port.
pub(super) const PORT_NAME: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";

/// A container image.
pub(super) const IMAGE: &str = "^[!-~]+$";

/// An absolute path with an optional query, of RFC 3986; a fragment would not be sent.
pub(super) const PATH: &str = r"^/([!$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})*$";

/// A rule for a URL that is sent as it stands: no user or password, which would be dropped, no port that there is not.
/// Short, since the API server counts its length, the URL's and the number of URLs against a budget.
macro_rules! url_rule {
    ($schemes:literal) => {
        concat!(
            "self.matches('^(",
            $schemes,
            r")://([A-Za-z0-9][A-Za-z0-9._-]*|\\[[0-9A-Fa-f:.]+\\])",
            "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
            r"([/?]([!$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})*)?$')"
        )
    };
}

/// The rule for the URL of a server.
pub(super) const URL_RULE: &str = url_rule!("https?");

/// The rule for a URL whose answers must be trusted.
pub(super) const HTTPS_URL_RULE: &str = url_rule!("https");
