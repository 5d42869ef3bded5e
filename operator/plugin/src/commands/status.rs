//! `status`: everything about a pool, or a table of all.

use crds::SessionPool;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::{ResourceExt, api::ListParams};

use crate::{
    args::{Format, Printed},
    connect::Cluster,
    failure::{Asked, Failure},
    fleet::Fleet,
    output::{age, phase, print, put, table},
    page::{Happening, Page},
    pools,
    reach::Reach,
};

/// Events that are shown, from the last.
const EVENTS: usize = 10;

/// A page about one pool.
pub async fn one(cluster: &Cluster, name: &str, printed: Printed) -> Result<(), Failure> {
    let pool = pools::get(cluster, name).await?;
    let reach = Reach::default();
    let (fleet, events) = tokio::join!(Fleet::observe(cluster, &reach, name), events(cluster, &pool));
    let page = Page::of(&pool, fleet?, events, Timestamp::now());
    print(printed.output, &page, |page| page.text(Timestamp::now()))
}

async fn events(cluster: &Cluster, pool: &SessionPool) -> Result<Vec<Happening>, String> {
    let uid = pool.metadata.uid.as_deref().unwrap_or_default();
    let selector = format!("involvedObject.kind=SessionPool,involvedObject.uid={uid}");
    let list = cluster.api::<Event>().list(&ListParams::default().fields(&selector)).await;
    let asked = Asked { verb: "list", resource: "events", namespace: Some(&cluster.namespace) };
    let list = list.map_err(|error| Failure::of(&error, asked).to_string())?;
    let mut events: Vec<Happening> = list.items.into_iter().map(Happening::of).collect();
    events.sort_by_key(|event| event.time);
    let surplus = events.len().saturating_sub(EVENTS);
    events.drain(..surplus);
    Ok(events)
}

/// A table of all pools.
pub async fn all(cluster: &Cluster, everywhere: bool, printed: Printed) -> Result<(), Failure> {
    let pools = pools::list(cluster, everywhere).await?;
    if printed.output != Format::Text {
        let pages: Vec<Page> = pools.iter().map(|pool| Page::brief(pool, Timestamp::now())).collect();
        return print(printed.output, &pages, |_| String::new());
    }
    if pools.is_empty() {
        let place =
            if everywhere { "this cluster".to_owned() } else { format!("namespace {}", cluster.namespace) };
        anstream::eprintln!("there is no SessionPool in {place}");
        return Ok(());
    }
    let mut head =
        vec!["NAME", "PHASE", "STRATEGY", "SESSIONS", "ACTIVE", "MAX", "TIMEOUTS", "PROXIES", "AGE", "WHY"];
    if everywhere {
        head.insert(0, "NAMESPACE");
    }
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = pools.iter().map(|pool| row(pool, everywhere, now)).collect();
    put(&table("", &head, &rows))
}

fn row(pool: &SessionPool, everywhere: bool, now: Timestamp) -> Vec<String> {
    let status = pool.status.clone().unwrap_or_default();
    let numbers = status.stats.as_ref();
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let strategy =
        status.effective.as_ref().map_or(pool.spec.pool_strategy, |effective| effective.pool_strategy);
    let mut row = vec![
        pool.name_any(),
        phase(status.phase),
        if pool.spec.pool_enabled { format!("{strategy:?}") } else { "off".to_owned() },
        number(numbers.map(|numbers| numbers.total_sessions)),
        number(numbers.map(|numbers| numbers.active_sessions)),
        number(numbers.map(|numbers| numbers.max_size)),
        number(numbers.map(|numbers| numbers.total_timeouts)),
        format!("{}/{}", status.ready_replicas, pool.spec.replicas.max(status.replicas)),
        pool.creation_timestamp().map_or_else(|| "-".to_owned(), |time| age(time.0, now)),
        crate::page::why(pool).unwrap_or_default(),
    ];
    if everywhere {
        row.insert(0, pool.namespace().unwrap_or_default());
    }
    row
}
