//! What a request is kept on one slot by, under Sticky.

use aws_lc_rs::digest;
use crds::StickySource;
use hyper::HeaderMap;

use crate::{
    config::Config, downstream::client::ClientSession, pool::Key, strategy::Affinity, upstream::SessionKey,
};

/// The affinity key of a request; none where the strategy has none, or the key is one client's own anyway. Where the
/// configured source says nothing about a request, its client session takes its place.
pub(super) fn affinity(
    config: &Config,
    client: &ClientSession,
    key: &SessionKey,
    headers: &HeaderMap,
) -> Option<Affinity> {
    let source = config.sticky_source().filter(|_| !key.is_bound())?;
    let claims = &client.claims;
    let session = of_client(client);
    Some(match source {
        StickySource::ClientSession => session,
        StickySource::Principal if claims.principal == [0; 16] => session,
        StickySource::Principal => Affinity::from_le_bytes(claims.principal),
        StickySource::Header => {
            let value = config.sticky_header.as_ref().and_then(|name| headers.get(name));
            value.map_or(session, |value| hashed(value.as_bytes()))
        }
    })
}

/// The affinity key of a client session.
pub(super) fn of_client(client: &ClientSession) -> Affinity {
    Affinity::from_le_bytes(client.claims.id)
}

/// The same at every proxy and under every session key.
fn hashed(value: &[u8]) -> Affinity {
    let hash = digest::digest(&digest::SHA256, value);
    Affinity::from_le_bytes(hash.as_ref().first_chunk().copied().unwrap_or_default())
}
