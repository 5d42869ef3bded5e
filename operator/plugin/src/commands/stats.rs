//! `stats`: what a pool counts, once or again and again.

use std::time::Duration;

use crds::{SessionPool, wire::PoolStats};
use jiff::{Timestamp, Zoned};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    args::{Format, Printed},
    connect::Cluster,
    failure::Failure,
    fleet::Fleet,
    numbers::{Numbers, Rates, Source},
    output::{lines, print, put, short},
    pools,
    reach::Reach,
};

/// What is printed as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    numbers: &'a Numbers,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<Rates>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replicas: Vec<Of<'a>>,
}

#[derive(Serialize)]
struct Of<'a> {
    name: &'a str,
    #[serde(flatten)]
    stats: &'a PoolStats,
}

/// The numbers of now.
pub async fn once(cluster: &Cluster, name: &str, printed: Printed) -> Result<(), Failure> {
    let pool = pools::get(cluster, name).await?;
    let fleet = Fleet::observe(cluster, &Reach::default(), name).await?;
    let numbers = Numbers::of(&pool, &fleet.stats());
    let replicas = fleet.replicas.iter();
    let replicas =
        replicas.filter_map(|replica| Some(Of { name: &replica.name, stats: replica.stats.as_ref()? }));
    let shown = Shown {
        numbers: &numbers,
        note: fleet.note.as_deref(),
        time: None,
        rates: None,
        replicas: replicas.collect(),
    };
    if let Some(note) = remark(numbers.source, fleet.note.as_deref()) {
        anstream::eprintln!("{note}");
    }
    print(printed.output, &shown, |shown| text(shown.numbers))
}

fn remark(source: Source, note: Option<&str>) -> Option<String> {
    let note = note.unwrap_or("no proxy answered");
    match source {
        Source::Proxies => None,
        Source::Status => Some(format!("these are the status' numbers, at most 30 s old: {note}")),
        Source::None => Some(format!("nothing was counted yet: {note}")),
    }
}

fn text(numbers: &Numbers) -> String {
    let Numbers { sum, source } = numbers;
    let live = *source == Source::Proxies;
    let mut rows: Vec<(&str, String)> = vec![
        ("pool", sum.server_id.clone()),
        ("strategy", sum.strategy.clone()),
        ("status", sum.status.clone()),
        ("total_sessions", sum.total_sessions.to_string()),
        ("active_sessions", sum.active_sessions.to_string()),
        ("available_sessions", sum.available_sessions.to_string()),
        ("unhealthy_sessions", sum.unhealthy_sessions.to_string()),
        ("min_size", sum.min_size.to_string()),
        ("max_size", sum.max_size.to_string()),
        ("total_acquisitions", sum.total_acquisitions.to_string()),
        ("total_releases", sum.total_releases.to_string()),
        ("total_timeouts", sum.total_timeouts.to_string()),
        ("total_creates", sum.total_creates.to_string()),
        ("total_destroys", sum.total_destroys.to_string()),
    ];
    if live {
        let mean =
            |total: f64, count: u64| if count > 0 { short(total / count as f64) } else { "-".to_owned() };
        rows.extend([
            ("waiting", sum.waiting.to_string()),
            ("longest wait now", short(sum.max_wait_seconds)),
            ("mean wait", mean(sum.total_wait_seconds, sum.total_acquisitions)),
            ("mean call", mean(sum.total_call_seconds, sum.total_calls)),
            ("client_sessions", sum.client_sessions.to_string()),
            ("direct_sessions", sum.direct_sessions.to_string()),
            ("connect_failures", sum.connect_failures.to_string()),
            ("refused, too many waited", sum.total_refusals.to_string()),
            ("refused while drained", sum.drain_refusals.to_string()),
            ("repeats", sum.repeats.to_string()),
            ("state_losses", sum.state_losses.to_string()),
        ]);
        let by_name = |counts: &std::collections::BTreeMap<String, u64>| {
            let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
        };
        rows.push(("pinned", by_name(&sum.pinned)));
        rows.push(("closed by reason", by_name(&sum.destroys_by_reason)));
    }
    lines(rows.into_iter().map(|(name, value)| format!("{name:<26}{value}")))
}

/// A look at the pool.
struct Look {
    pool: SessionPool,
    fleet: Fleet,
    at: Instant,
}

/// A line for each interval, until Ctrl-C or so many lines.
pub async fn watch(
    cluster: &Cluster,
    name: &str,
    every: Duration,
    most: Option<u64>,
    printed: Printed,
) -> Result<(), Failure> {
    let reach = Reach::default();
    let look = async || -> Result<Look, Failure> {
        let pool = pools::get(cluster, name).await?;
        let fleet = Fleet::observe(cluster, &reach, name).await?;
        Ok(Look { pool, fleet, at: Instant::now() })
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = look().await?;
    let mut told = None;
    let mut line = 0;
    while most.is_none_or(|most| line < most) {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let now = look().await?;
        let numbers = Numbers::of(&now.pool, &now.fleet.stats());
        let note = remark(numbers.source, now.fleet.note.as_deref());
        if note != told {
            if let Some(note) = &note {
                anstream::eprintln!("{note}");
            }
            told = note;
        }
        let rates = rates(&before, &now, &numbers);
        if printed.output == Format::Text {
            // Again and again, so that it is still in sight on a terminal.
            if line % 20 == 0 {
                put(HEAD)?;
            }
            put(&row(&numbers, rates))?;
        } else {
            let time = Some(Timestamp::now());
            let shown =
                Shown { numbers: &numbers, note: None, time, rates: Some(rates), replicas: Vec::new() };
            one_object(printed.output, &shown)?;
        }
        before = now;
        line += 1;
    }
    Ok(())
}

/// Of proxies that were there before as well: one that is new has not counted all of it within the interval.
fn rates(before: &Look, now: &Look, numbers: &Numbers) -> Rates {
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    if numbers.source != Source::Proxies {
        let earlier = Numbers::of(&before.pool, &[]);
        return Rates::between(&earlier.sum, &numbers.sum, seconds);
    }
    let pairs: Vec<(&PoolStats, &PoolStats)> = now
        .fleet
        .replicas
        .iter()
        .filter_map(|replica| {
            let earlier = before.fleet.replicas.iter().find(|other| other.name == replica.name)?;
            Some((earlier.stats.as_ref()?, replica.stats.as_ref()?))
        })
        .collect();
    let earlier: Vec<&PoolStats> = pairs.iter().map(|(earlier, _)| *earlier).collect();
    let later: Vec<&PoolStats> = pairs.iter().map(|(_, later)| *later).collect();
    Rates::between(&crate::numbers::sum(&earlier), &crate::numbers::sum(&later), seconds)
}

fn one_object(format: Format, shown: &Shown<'_>) -> Result<(), Failure> {
    if format == Format::Yaml {
        put("---\n")?;
        return print(format, shown, |_| String::new());
    }
    // One object a line, for programs that read along.
    let line = serde_json::to_string(shown).map_err(|error| Failure::Other(error.to_string()))?;
    put(&format!("{line}\n"))
}

const HEAD: &str = "TIME       STATUS     SESSIONS   ACTIVE  WAITING     CALLS/s  TIMEOUTS/s  OPENED/s  CLOSED/s     CALL      WAIT\n";

fn row(numbers: &Numbers, rates: Rates) -> String {
    let sum = &numbers.sum;
    let live =
        |number: u64| if numbers.source == Source::Proxies { number.to_string() } else { "-".to_owned() };
    let mean = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), short);
    format!(
        "{:<10} {:<10} {:>8} {:>8} {:>8} {:>11.1} {:>11.1} {:>9.1} {:>9.1} {:>8} {:>9}\n",
        Zoned::now().strftime("%H:%M:%S").to_string(),
        sum.status,
        sum.total_sessions,
        sum.active_sessions,
        live(sum.waiting),
        rates.acquisitions,
        rates.timeouts,
        rates.creates,
        rates.destroys,
        mean(rates.call_seconds),
        mean(rates.wait_seconds)
    )
}
