//! Which of a server's addresses the next session is opened to.

use std::sync::Arc;

use hyper::Uri;
use parking_lot::Mutex;

/// One address of the MCP server.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Absolute http or https URL.
    pub uri: Uri,
    /// The URL as it is shown to people.
    pub label: Arc<str>,
    /// Its share of the sessions; 0 takes none.
    pub weight: u32,
}

/// Spreads sessions over endpoints in proportion to their weights, evenly in time: each turn every endpoint gains its
/// weight, and the one with the most credit is chosen and pays the sum of all (smooth weighted round robin).
#[derive(Debug)]
pub struct Endpoints {
    all: Vec<Arc<Endpoint>>,
    fallback: Option<Arc<Endpoint>>,
    credit: Mutex<Vec<i64>>,
}

impl Endpoints {
    /// `fallback` is dialled when none of the others answers.
    pub fn new(all: Vec<Endpoint>, fallback: Option<Endpoint>) -> Self {
        let all: Vec<_> = all.into_iter().filter(|endpoint| endpoint.weight > 0).map(Arc::new).collect();
        let credit = Mutex::new(vec![0; all.len()]);
        Self { all, fallback: fallback.map(Arc::new), credit }
    }

    /// The endpoints in the order in which they are to be tried now.
    pub fn order(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        let first = self.next();
        let (before, from) = self.all.split_at(first);
        from.iter().chain(before).chain(&self.fallback)
    }

    /// Whether sessions to `endpoint` may stay.
    pub fn contains(&self, endpoint: &Endpoint) -> bool {
        let same = |other: &Arc<Endpoint>| other.uri == endpoint.uri;
        self.all.iter().any(same) || (self.fallback.as_ref().is_some_and(same))
    }

    fn next(&self) -> usize {
        let mut credit = self.credit.lock();
        let total: i64 = self.all.iter().map(|endpoint| i64::from(endpoint.weight)).sum();
        for (credit, endpoint) in credit.iter_mut().zip(&self.all) {
            *credit += i64::from(endpoint.weight);
        }
        let most = (0..credit.len()).max_by_key(|&at| (credit[at], std::cmp::Reverse(at)));
        let chosen = most.unwrap_or(0);
        if let Some(credit) = credit.get_mut(chosen) {
            *credit -= total;
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, weight: u32) -> Endpoint {
        Endpoint { uri: format!("http://{host}/mcp").parse().unwrap(), label: host.into(), weight }
    }

    #[test]
    fn follows_weights_evenly() {
        let endpoints = Endpoints::new(vec![endpoint("a", 3), endpoint("b", 1), endpoint("c", 0)], None);
        let first = |_| endpoints.order().next().unwrap().label.to_string();
        assert_eq!((0..8).map(first).collect::<String>(), "aabaaaba");
    }

    #[test]
    fn tries_the_others_then_the_fallback() {
        let endpoints = Endpoints::new(vec![endpoint("a", 1), endpoint("b", 1)], Some(endpoint("f", 1)));
        let order: Vec<_> = endpoints.order().map(|endpoint| endpoint.label.to_string()).collect();
        assert_eq!(order, ["a", "b", "f"]);
        let order: Vec<_> = endpoints.order().map(|endpoint| endpoint.label.to_string()).collect();
        assert_eq!(order, ["b", "a", "f"]);
        assert_eq!(Endpoints::new(vec![], None).order().count(), 0);
    }
}
