//! A server's addresses, each with a number that it keeps while the process lives.

use std::{collections::HashMap, sync::Arc};

use hyper::Uri;

use crate::pool::{EndpointId, EndpointSpec};

/// One address of the MCP server.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Absolute http or https URL.
    pub uri: Uri,
    /// The URL as it is shown to people.
    pub label: Arc<str>,
    /// Its share of the sessions; 0 takes none.
    pub weight: u32,
    /// Dialled only while none of the others answers.
    pub fallback: bool,
}

/// The addresses that the configuration in force leads to.
#[derive(Debug, Default)]
pub struct Endpoints {
    all: Vec<(EndpointId, Arc<Endpoint>)>,
}

impl Endpoints {
    /// The address with this number.
    pub fn get(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.all.iter().find(|(other, _)| *other == id).map(|(_, endpoint)| endpoint)
    }

    /// Whether sessions to `endpoint` may stay.
    pub fn contains(&self, endpoint: &Endpoint) -> bool {
        self.all.iter().any(|(_, other)| other.uri == endpoint.uri && other.weight > 0)
    }

    /// What the pool has to know of them.
    pub fn specs(&self) -> Vec<EndpointSpec> {
        let spec = |(id, endpoint): &(EndpointId, Arc<Endpoint>)| EndpointSpec {
            id: *id,
            weight: endpoint.weight,
            fallback: endpoint.fallback,
        };
        self.all.iter().map(spec).collect()
    }
}

/// Gives addresses their numbers.
#[derive(Debug, Default)]
pub struct Numbers(HashMap<Uri, EndpointId>);

impl Numbers {
    /// Numbers a list of addresses; one that occurs twice counts once, with both weights.
    pub fn number(&mut self, list: Vec<Endpoint>) -> Endpoints {
        let mut all: Vec<(EndpointId, Arc<Endpoint>)> = Vec::with_capacity(list.len());
        for endpoint in list {
            let next = EndpointId::try_from(self.0.len()).unwrap_or(EndpointId::MAX);
            let id = *self.0.entry(endpoint.uri.clone()).or_insert(next);
            match all.iter_mut().find(|(other, _)| *other == id) {
                Some((_, first)) => {
                    let weight = first.weight.saturating_add(endpoint.weight);
                    let fallback = first.fallback && endpoint.fallback;
                    *first = Arc::new(Endpoint { weight, fallback, ..endpoint });
                }
                None => all.push((id, Arc::new(endpoint))),
            }
        }
        Endpoints { all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, weight: u32) -> Endpoint {
        let uri = format!("http://{host}/mcp").parse().unwrap();
        Endpoint { uri, label: host.into(), weight, fallback: false }
    }

    #[test]
    fn an_address_keeps_its_number() {
        let mut numbers = Numbers::default();
        let ids = |endpoints: &Endpoints| -> Vec<_> {
            endpoints.specs().iter().map(|spec| (spec.id, spec.weight)).collect()
        };
        assert_eq!(ids(&numbers.number(vec![endpoint("a", 1), endpoint("b", 2)])), [(0, 1), (1, 2)]);
        assert_eq!(ids(&numbers.number(vec![endpoint("c", 1), endpoint("b", 3)])), [(2, 1), (1, 3)]);
        assert_eq!(ids(&numbers.number(vec![endpoint("a", 1), endpoint("a", 2)])), [(0, 3)]);
    }
}
