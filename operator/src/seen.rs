//! Children as the watches last showed them, by their fingerprints: objects themselves are not kept.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use kube::{Resource, ResourceExt, runtime::watcher::Event};
use parking_lot::Mutex;
use serde::Serialize;

use crate::fingerprint::fingerprint;

/// What the watches of one namespace, or of all, know; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By kind, namespace and name.
    objects: HashMap<(String, String, String), u64>,
    /// Kinds that were listed to the end.
    listed: HashSet<String>,
}

impl Seen {
    /// Takes in what a kind's watch says.
    pub fn note<K>(&self, event: &Event<K>)
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let kind = K::kind(&()).into_owned();
        let id = |object: &K| (kind.clone(), object.namespace().unwrap_or_default(), object.name_any());
        match event {
            Event::Apply(object) | Event::InitApply(object) => {
                let fingerprint = fingerprint(object);
                self.0.lock().objects.insert(id(object), fingerprint);
            }
            Event::Delete(object) => drop(self.0.lock().objects.remove(&id(object))),
            Event::Init => {
                let mut state = self.0.lock();
                state.objects.retain(|(of, ..), _| *of != kind);
                state.listed.remove(&kind);
            }
            Event::InitDone => drop(self.0.lock().listed.insert(kind)),
        }
    }

    /// The fingerprint of the object that is stored under this one's name; nothing if no watch has shown it.
    pub fn fingerprint<K: Resource<DynamicType = ()>>(&self, object: &K) -> Option<u64> {
        let id = (K::kind(&()).into_owned(), object.namespace().unwrap_or_default(), object.name_any());
        self.0.lock().objects.get(&id).copied()
    }

    /// Whether a watch has listed everything and showed no such object.
    pub fn is_absent<K: Resource<DynamicType = ()>>(&self, namespace: &str, name: &str) -> bool {
        let kind = K::kind(&()).into_owned();
        let state = self.0.lock();
        state.listed.contains(&kind)
            && !state.objects.contains_key(&(kind, namespace.to_owned(), name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn map(namespace: &str, version: &str, value: &str) -> ConfigMap {
        let metadata = json!({"name": "a", "namespace": namespace, "resourceVersion": version});
        serde_json::from_value(json!({"metadata": metadata, "data": {"key": value}})).unwrap()
    }

    #[test]
    fn an_object_is_known_by_what_matters() {
        let seen = Seen::default();
        assert!(!seen.is_absent::<ConfigMap>("one", "a"), "nothing was listed yet");
        seen.note(&Event::<ConfigMap>::Init);
        seen.note(&Event::<ConfigMap>::InitDone);
        assert!(seen.is_absent::<ConfigMap>("one", "a"));
        seen.note(&Event::Apply(map("one", "1", "x")));
        assert!(!seen.is_absent::<ConfigMap>("one", "a"));
        assert_eq!(seen.fingerprint(&map("one", "7", "y")), Some(fingerprint(&map("one", "2", "x"))));
        seen.note(&Event::Delete(map("one", "3", "x")));
        assert_eq!(seen.fingerprint(&map("one", "7", "y")), None);
    }

    #[test]
    fn a_new_list_begins_anew() {
        let seen = Seen::default();
        seen.note(&Event::Apply(map("one", "1", "x")));
        seen.note(&Event::<ConfigMap>::Init);
        assert_eq!(seen.fingerprint(&map("one", "1", "x")), None);
        assert!(!seen.is_absent::<ConfigMap>("one", "a"));
    }
}
