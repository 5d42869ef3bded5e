use super::*;

fn endpoints(weights: &[u32]) -> Endpoints<&'static str> {
    let mut endpoints = Endpoints::new(1);
    let specs: Vec<_> =
        (0..).zip(weights).map(|(id, &weight)| EndpointSpec { id, weight, fallback: false }).collect();
    endpoints.configure(&specs);
    endpoints
}

fn ejected(endpoints: &Endpoints<&'static str>, now: Instant) -> Vec<EndpointId> {
    let away = endpoints.iter().filter(|endpoint| endpoint.state(now) == "ejected");
    away.map(|endpoint| endpoint.spec.id).collect()
}

const PAUSE: Duration = Duration::from_millis(250);

#[test]
fn turns_follow_weights_evenly() {
    let (mut endpoints, now) = (endpoints(&[3, 1, 0]), Instant::now());
    let turns: Vec<_> =
        (0..8).filter_map(|_| endpoints.preferred(StrategyKind::RoundRobin, None, now)).collect();
    assert_eq!(turns, [0, 0, 1, 0, 0, 0, 1, 0]);
}

#[test]
fn at_most_half_are_ejected_and_for_growing_times() {
    let (mut endpoints, start) = (endpoints(&[1, 1, 1, 1]), Instant::now());
    for id in 0..4 {
        endpoints.open_failed(id, "down", 0.0, start);
    }
    assert_eq!(ejected(&endpoints, start), [0, 1]);
    assert_eq!(endpoints.error(start), Some("down"));
    let later = start + PAUSE;
    assert_eq!(endpoints.error(later), None, "those that only rest are tried again soon");
    endpoints.opened(2, later);
    endpoints.opened(3, later);
    let mut now = start + Duration::from_secs(1);
    for seconds in [2_u64, 4, 8, 16, 32, 60, 60] {
        assert_eq!(ejected(&endpoints, now), [] as [u32; 0]);
        endpoints.open_failed(0, "down", 0.0, now);
        let back = now + Duration::from_secs(seconds);
        assert!(!endpoints.is_available(0, back - Duration::from_millis(1)), "{seconds}");
        assert!(endpoints.is_available(0, back), "{seconds}");
        now = back;
    }
}

#[test]
fn a_lone_endpoint_only_rests() {
    let (mut endpoints, now) = (endpoints(&[1]), Instant::now());
    for _ in 0..9 {
        endpoints.open_failed(0, "down", 0.0, now);
        assert_eq!(ejected(&endpoints, now), [] as [u32; 0]);
    }
    assert!(endpoints.is_available(0, now + backoff::LONGEST_PAUSE));
}

#[test]
fn three_failed_calls_in_a_row_eject() {
    let (mut endpoints, now) = (endpoints(&[1, 1]), Instant::now());
    endpoints.called(0, None, true, now);
    endpoints.called(0, None, true, now);
    endpoints.called(0, Some(PAUSE), false, now);
    endpoints.called(0, None, true, now);
    endpoints.called(0, None, true, now);
    assert_eq!(ejected(&endpoints, now), [] as [u32; 0]);
    endpoints.called(0, None, true, now);
    assert_eq!(ejected(&endpoints, now), [0]);
}

#[test]
fn who_comes_back_starts_slowly() {
    let (mut endpoints, start) = (endpoints(&[1, 1]), Instant::now());
    endpoints.open_failed(0, "down", 0.0, start);
    let back = start + Duration::from_secs(1);
    endpoints.opened(0, back);
    let share = |endpoints: &mut Endpoints<_>, now| {
        let turns = (0..220).filter_map(|_| endpoints.preferred(StrategyKind::RoundRobin, None, now));
        turns.filter(|id| *id == 0).count()
    };
    assert_eq!(share(&mut endpoints, back), 20, "a tenth of the other's");
    assert_eq!(endpoints.get(0).unwrap().state(back), "recovering");
    assert_eq!(share(&mut endpoints, back + SLOW_START), 110);
    assert_eq!(endpoints.get(0).unwrap().state(back + SLOW_START), "active");
}

#[test]
fn weighted_follows_time_load_and_weight() {
    let (mut endpoints, now) = (endpoints(&[1, 1]), Instant::now());
    let pick = |endpoints: &mut Endpoints<_>| endpoints.preferred(StrategyKind::Weighted, None, now);
    endpoints.called(0, Some(Duration::from_millis(100)), false, now);
    endpoints.called(1, Some(Duration::from_millis(10)), false, now);
    assert_eq!(pick(&mut endpoints), Some(1));
    endpoints.get_mut(1).unwrap().leases = 8;
    assert_eq!(pick(&mut endpoints), Some(1), "9 x 10 ms is less than 100 ms");
    endpoints.get_mut(1).unwrap().leases = 10;
    assert_eq!(pick(&mut endpoints), Some(0));
    endpoints.get_mut(1).unwrap().spec.weight = 2;
    assert_eq!(pick(&mut endpoints), Some(1), "11 x 10 ms for a weight of 2");
}

#[test]
fn the_fallback_serves_when_no_other_can() {
    let mut endpoints = Endpoints::new(1);
    endpoints.configure(&[
        EndpointSpec { id: 7, weight: 1, fallback: false },
        EndpointSpec { id: 9, weight: 1, fallback: true },
    ]);
    let now = Instant::now();
    assert_eq!(endpoints.for_opening(StrategyKind::RoundRobin, true, now), Some(7));
    endpoints.open_failed(7, "down", 0.0, now);
    assert_eq!(endpoints.for_opening(StrategyKind::RoundRobin, true, now), Some(9));
    assert_eq!(endpoints.for_opening(StrategyKind::Weighted, true, now), Some(9));
}

#[test]
fn who_waits_does_not_try_what_failed_last() {
    let (mut endpoints, now) = (endpoints(&[1, 1]), Instant::now());
    endpoints.open_failed(0, "down", 0.0, now);
    let back = now + Duration::from_secs(1);
    endpoints.get_mut(1).unwrap().slots = 5;
    for kind in [StrategyKind::RoundRobin, StrategyKind::Weighted] {
        assert_eq!(endpoints.for_opening(kind, true, back), Some(1));
    }
    assert_eq!(endpoints.for_opening(StrategyKind::RoundRobin, false, back), Some(0));
}

/// Sessions can be opened, calls fail: that the next session opens does not make it well.
#[test]
fn failing_calls_eject_for_growing_times_though_sessions_open() {
    let (mut endpoints, mut now) = (endpoints(&[1, 1]), Instant::now());
    for seconds in [1_u64, 2, 4, 8] {
        for _ in 0..STRIKES {
            assert_eq!(ejected(&endpoints, now), [] as [u32; 0], "{seconds}");
            endpoints.called(0, None, true, now);
            endpoints.opened(0, now);
        }
        let back = now + Duration::from_secs(seconds);
        assert!(!endpoints.is_available(0, back - Duration::from_millis(1)), "{seconds}");
        assert!(endpoints.is_available(0, back), "{seconds}");
        now = back;
    }
    let turns = (0..220).filter_map(|_| endpoints.preferred(StrategyKind::RoundRobin, None, now));
    assert_eq!(turns.filter(|id| *id == 0).count(), 20, "it starts slowly");
    endpoints.called(0, Some(PAUSE), false, now);
    assert_eq!(endpoints.get(0).unwrap().failures, 4, "one call proves little");
    endpoints.called(0, Some(PAUSE), false, now + SLOW_START);
    assert_eq!(endpoints.get(0).unwrap().failures, 0);
}
