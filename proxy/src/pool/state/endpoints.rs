//! What the pool's state holds for one address of the server, and which address the next session or request goes to.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use super::backoff;
use crate::strategy::{Affinity, PeakEwma, StrategyKind, rendezvous};

/// Numbers a server's addresses; the same address keeps its number.
pub type EndpointId = u32;

/// Calls in a row that must fail before an endpoint whose sessions can still be opened is left alone.
const STRIKES: u32 = 3;

/// An endpoint that is back gets its full share after this time; at first a tenth of it.
const SLOW_START: Duration = Duration::from_secs(10);

/// Sessions that are opened to one endpoint at the same time: more would be a herd on a server that just came up.
const MAX_OPENING: usize = 4;

/// An endpoint as the configuration has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Its number.
    pub id: EndpointId,
    /// Its share; 0 takes nothing.
    pub weight: u32,
    /// Used only while no other endpoint is available.
    pub fallback: bool,
}

/// See the module's text.
#[derive(Debug)]
pub struct Endpoint<E> {
    pub spec: EndpointSpec,
    /// Slots whose session is open or being opened.
    pub slots: usize,
    pub opening: usize,
    pub leases: usize,
    pub latency: PeakEwma,
    /// Failures in a row.
    pub failures: u32,
    strikes: u32,
    /// Calls have failed: that sessions can be opened does not show that it is well.
    struck: bool,
    /// Not used until then.
    away: Option<Away>,
    /// When it came back after failures, or is going to.
    recovered: Option<Instant>,
    error: Option<E>,
    credit: f64,
    configured: bool,
}

#[derive(Debug, Clone, Copy)]
struct Away {
    until: Instant,
    ejected: bool,
}

impl<E> Endpoint<E> {
    fn new(spec: EndpointSpec) -> Self {
        Self {
            spec,
            slots: 0,
            opening: 0,
            leases: 0,
            latency: PeakEwma::default(),
            failures: 0,
            strikes: 0,
            struck: false,
            away: None,
            recovered: None,
            error: None,
            credit: 0.0,
            configured: true,
        }
    }

    /// Whether it may get sessions and requests.
    pub fn is_available(&self, now: Instant) -> bool {
        self.configured && self.spec.weight > 0 && self.away.is_none_or(|away| now >= away.until)
    }

    /// One word for people.
    pub fn state(&self, now: Instant) -> &'static str {
        match self.away {
            Some(away) if now < away.until && away.ejected => "ejected",
            Some(away) if now < away.until => "backing_off",
            _ if self.weight(now) < f64::from(self.spec.weight) => "recovering",
            _ => "active",
        }
    }

    /// Its weight, less while it has only just come back.
    fn weight(&self, now: Instant) -> f64 {
        let full = f64::from(self.spec.weight);
        let back = self.recovered.map(|at| now.saturating_duration_since(at).as_secs_f64());
        full * back.map_or(1.0, |back| (back / SLOW_START.as_secs_f64()).clamp(0.1, 1.0))
    }

    fn is_at_work(&self, now: Instant) -> bool {
        self.is_available(now) && !self.spec.fallback
    }
}

/// All endpoints. There are few: they are searched in order.
#[derive(Debug)]
pub struct Endpoints<E> {
    all: Vec<Endpoint<E>>,
    random: fastrand::Rng,
}

impl<E: Clone> Endpoints<E> {
    /// None yet. The seed decides between endpoints where chance does.
    pub fn new(seed: u64) -> Self {
        Self { all: Vec::new(), random: fastrand::Rng::with_seed(seed) }
    }

    /// Takes over the configured ones; what is known of those that stay is kept, and they are tried again at once.
    pub fn configure(&mut self, specs: &[EndpointSpec]) {
        for endpoint in &mut self.all {
            endpoint.configured = false;
            endpoint.away = None;
        }
        for (at, spec) in specs.iter().enumerate() {
            match self.all.iter().position(|endpoint| endpoint.spec.id == spec.id) {
                Some(found) => {
                    let mut endpoint = self.all.remove(found);
                    (endpoint.spec, endpoint.configured) = (*spec, true);
                    self.all.insert(at.min(self.all.len()), endpoint);
                }
                None => self.all.insert(at.min(self.all.len()), Endpoint::new(*spec)),
            }
        }
        self.all.retain(|endpoint| endpoint.configured || endpoint.slots > 0);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Endpoint<E>> {
        self.all.iter().filter(|endpoint| endpoint.configured)
    }

    pub fn get(&self, id: EndpointId) -> Option<&Endpoint<E>> {
        self.all.iter().find(|endpoint| endpoint.spec.id == id)
    }

    pub fn get_mut(&mut self, id: EndpointId) -> Option<&mut Endpoint<E>> {
        self.all.iter_mut().find(|endpoint| endpoint.spec.id == id)
    }

    /// Whether there is none that could ever be used.
    pub fn are_none(&self) -> bool {
        self.iter().all(|endpoint| endpoint.spec.weight == 0)
    }

    /// Whether there is a choice.
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Whether requests may go to an endpoint now.
    pub fn is_available(&self, id: EndpointId, now: Instant) -> bool {
        self.get(id).is_some_and(|endpoint| endpoint.is_available(now))
    }

    /// The last error, while no endpoint is available.
    pub fn error(&self, now: Instant) -> Option<E> {
        if self.iter().any(|endpoint| endpoint.is_available(now)) {
            return None;
        }
        self.all.iter().rev().find_map(|endpoint| endpoint.error.clone())
    }

    /// Whether a session can be opened by no endpoint that was tried.
    pub fn are_failing(&self) -> bool {
        let tried = || self.iter().filter(|endpoint| endpoint.slots > 0 || endpoint.error.is_some());
        tried().next().is_some() && tried().all(|endpoint| endpoint.error.is_some())
    }

    /// The endpoint that a strategy would send the next request to; none where any will do.
    pub fn preferred(
        &mut self,
        kind: StrategyKind,
        affinity: Option<Affinity>,
        now: Instant,
    ) -> Option<EndpointId> {
        let of = |endpoint: &Endpoint<E>| endpoint.spec.id;
        match kind {
            StrategyKind::RoundRobin => self.next_in_turn(now),
            StrategyKind::LeastConnections => {
                let load = |endpoint: &&Endpoint<E>| endpoint.leases as f64 / endpoint.weight(now);
                self.available(now).min_by(|a, b| load(a).total_cmp(&load(b))).map(of)
            }
            StrategyKind::Sticky => {
                let affinity = affinity?;
                let score = |endpoint: &&Endpoint<E>| {
                    rendezvous::weighted_score(affinity, u64::from(endpoint.spec.id), endpoint.weight(now))
                };
                self.available(now).max_by(|a, b| score(a).total_cmp(&score(b))).map(of)
            }
            StrategyKind::Weighted => self.cheaper_of_two(now),
        }
    }

    /// The endpoint that the next session is opened to: the one with the fewest for its weight, under Weighted the one with
    /// the lower cost. Where a request waits for it, one that failed last time is not tried as long as there is another: it
    /// may be a hole that swallows connections.
    pub fn for_opening(&mut self, kind: StrategyKind, awaited: bool, now: Instant) -> Option<EndpointId> {
        if kind == StrategyKind::Weighted
            && let Some(chosen) = self.cheaper_of_two(now)
            && self.get(chosen).is_some_and(|endpoint| endpoint.opening < MAX_OPENING)
            && !(awaited && self.get(chosen).is_some_and(|endpoint| endpoint.failures > 0))
        {
            return Some(chosen);
        }
        let rank = |endpoint: &&Endpoint<E>| {
            (awaited && endpoint.failures > 0, endpoint.slots as f64 / endpoint.weight(now))
        };
        let free = self.available(now).filter(|endpoint| endpoint.opening < MAX_OPENING);
        let first = free.min_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        first.map(|endpoint| endpoint.spec.id)
    }

    /// Whether one more session may be opened to an endpoint at present.
    pub fn can_open(&self, id: EndpointId, now: Instant) -> bool {
        self.get(id).is_some_and(|endpoint| endpoint.is_available(now) && endpoint.opening < MAX_OPENING)
    }

    /// Those that may be chosen: the fallback only where no other is available.
    fn available(&self, now: Instant) -> impl Iterator<Item = &Endpoint<E>> {
        let fallback = !self.all.iter().any(|endpoint| endpoint.is_at_work(now));
        self.all.iter().filter(
            move |endpoint| {
                if fallback { endpoint.is_available(now) } else { endpoint.is_at_work(now) }
            },
        )
    }

    /// Smooth weighted round robin: each turn every endpoint gains its weight, and the one with the most credit is chosen
    /// and pays the sum of all.
    fn next_in_turn(&mut self, now: Instant) -> Option<EndpointId> {
        let total: f64 = self.available(now).map(|endpoint| endpoint.weight(now)).sum();
        let fallback = !self.all.iter().any(|endpoint| endpoint.is_at_work(now));
        let mut chosen: Option<&mut Endpoint<E>> = None;
        for endpoint in &mut self.all {
            let able = if fallback { endpoint.is_available(now) } else { endpoint.is_at_work(now) };
            if !able {
                continue;
            }
            endpoint.credit += endpoint.weight(now);
            if chosen.as_ref().is_none_or(|best| endpoint.credit > best.credit + 1e-9) {
                chosen = Some(endpoint);
            }
        }
        let chosen = chosen?;
        chosen.credit -= total;
        Some(chosen.spec.id)
    }

    /// Of two endpoints that chance picks, the one with the lower cost. Two choices are enough to avoid the worst without
    /// sending everybody to the best (M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
    fn cheaper_of_two(&mut self, now: Instant) -> Option<EndpointId> {
        let count = self.available(now).count();
        let first = if count > 2 { self.random.usize(..count) } else { 0 };
        let second = if count > 2 { (first + 1 + self.random.usize(..count - 1)) % count } else { 1 };
        let guess = self.available(now).filter_map(|endpoint| endpoint.latency.estimate(now));
        let guess = guess.fold(f64::INFINITY, f64::min);
        let cost = |endpoint: &Endpoint<E>| {
            // An endpoint that answered nothing yet is taken to be twice as quick as the quickest: so it is tried.
            let latency = endpoint.latency.estimate(now).unwrap_or(guess / 2.0).clamp(1e-6, 3600.0);
            latency * (endpoint.leases + endpoint.opening + 1) as f64 / endpoint.weight(now)
        };
        let (a, b) = (self.available(now).nth(first)?, self.available(now).nth(second));
        let cheaper = b.filter(|b| cost(b) < cost(a)).unwrap_or(a);
        Some(cheaper.spec.id)
    }

    /// A session could not be opened. `jitter`, 0 to 1, is for the pause.
    pub fn open_failed(&mut self, id: EndpointId, error: E, jitter: f64, now: Instant) {
        if let Some(endpoint) = self.get_mut(id) {
            endpoint.error = Some(error);
        }
        self.leave_alone(id, jitter, now);
    }

    /// A session was opened.
    pub fn opened(&mut self, id: EndpointId, now: Instant) {
        let Some(endpoint) = self.get_mut(id) else { return };
        endpoint.error = None;
        if endpoint.failures > 0 && !endpoint.struck {
            endpoint.away = None;
            endpoint.failures = 0;
            endpoint.recovered = Some(now);
        }
    }

    /// A call ended: with an answer after `took`, or with the endpoint's failure.
    pub fn called(&mut self, id: EndpointId, took: Option<Duration>, failed: bool, now: Instant) {
        let Some(endpoint) = self.get_mut(id) else { return };
        if failed {
            endpoint.strikes += 1;
            if endpoint.strikes >= STRIKES {
                endpoint.strikes = 0;
                endpoint.struck = true;
                self.leave_alone(id, 0.0, now);
            }
        } else if let Some(took) = took {
            endpoint.latency.observe(took, now);
            endpoint.strikes = 0;
            if endpoint.struck && endpoint.weight(now) >= f64::from(endpoint.spec.weight) {
                (endpoint.struck, endpoint.failures) = (false, 0);
            }
        }
    }

    /// Ejects the endpoint unless half of them are, else lets it rest for a moment.
    fn leave_alone(&mut self, id: EndpointId, jitter: f64, now: Instant) {
        let others = |endpoint: &&Endpoint<E>| endpoint.spec.id != id && !endpoint.spec.fallback;
        let all = self.iter().filter(|endpoint| !endpoint.spec.fallback).count();
        let ejected = self
            .iter()
            .filter(others)
            .filter(|endpoint| endpoint.away.is_some_and(|away| away.ejected && now < away.until));
        let may_eject = (ejected.count() + 1) * 2 <= all;
        let Some(endpoint) = self.get_mut(id) else { return };
        endpoint.failures += 1;
        let ejected = may_eject && !endpoint.spec.fallback;
        let failures = endpoint.failures;
        let time = if ejected { backoff::ejection(failures) } else { backoff::pause(failures, jitter) };
        let until = now + time;
        endpoint.away = Some(Away { until, ejected });
        endpoint.recovered = Some(until);
    }

    /// Of those at work, the one with too many sessions for its weight and the one with at least one too few, when `max`
    /// are shared out.
    pub fn uneven(&self, max: usize, now: Instant) -> Option<(EndpointId, EndpointId)> {
        if !self.are_several() {
            return None;
        }
        let total: f64 = self.available(now).map(|endpoint| endpoint.weight(now)).sum();
        let excess =
            |endpoint: &&Endpoint<E>| endpoint.slots as f64 - max as f64 * endpoint.weight(now) / total;
        let most = self.available(now).max_by(|a, b| excess(a).total_cmp(&excess(b)))?;
        let least = self.available(now).min_by(|a, b| excess(a).total_cmp(&excess(b)))?;
        (excess(&most) > 0.0 && excess(&least) <= -1.0).then_some((most.spec.id, least.spec.id))
    }
}
