//! The state against a model of what may never happen, over random sequences of everything that can happen to a pool.
//!
//! The model knows only what was asked and what came out: actions and answers. `POOL_STEPS` sets the number of steps.

mod cases;
mod world;

use proptest::{prelude::*, test_runner::TestRunner};

use self::world::World;

/// The most steps of one sequence; half of that on average.
const LENGTH: usize = 400;

/// Steps of all sequences together, unless `POOL_STEPS` says otherwise.
const STEPS: usize = 1_000_000;

/// Something that happens. Numbers choose among what there is at the time.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Acquire { key: u8, affinity: Option<u8>, existing: bool },
    Cancel(u8),
    Release { lease: u8, how: u8 },
    Opened(u8),
    OpenFailed { slot: u8, of_endpoint: bool },
    Closed(u8),
    Suspect(u8),
    Checked(u8),
    Condemn(u8),
    Pin { lease: u8, client: u8 },
    Rename { client: u8, direct: bool },
    Retire(u8),
    Unbind(u8),
    Reset,
    Drain(u8),
    Resume,
    Limits(u8),
    Endpoints(u8),
    Pass(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let any = any::<u8>;
    let flag = proptest::bool::ANY;
    prop_oneof![
        20 => (any(), prop::option::weighted(0.3, 0..3_u8), flag)
            .prop_map(|(key, affinity, existing)| Op::Acquire { key, affinity, existing }),
        4 => any().prop_map(Op::Cancel),
        20 => (any(), any()).prop_map(|(lease, how)| Op::Release { lease, how }),
        16 => any().prop_map(Op::Opened),
        3 => (any(), flag).prop_map(|(slot, of_endpoint)| Op::OpenFailed { slot, of_endpoint }),
        12 => any().prop_map(Op::Closed),
        1 => any().prop_map(Op::Suspect),
        1 => any().prop_map(Op::Checked),
        2 => any().prop_map(Op::Condemn),
        2 => (any(), any()).prop_map(|(lease, client)| Op::Pin { lease, client }),
        2 => (any(), flag).prop_map(|(client, direct)| Op::Rename { client, direct }),
        2 => any().prop_map(Op::Retire),
        1 => any().prop_map(Op::Unbind),
        1 => Just(Op::Reset),
        1 => any().prop_map(Op::Drain),
        2 => Just(Op::Resume),
        2 => any().prop_map(Op::Limits),
        1 => any().prop_map(Op::Endpoints),
        10 => any().prop_map(Op::Pass),
    ]
}

#[test]
fn nothing_that_may_never_happen_happens() {
    let steps = std::env::var("POOL_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS);
    let cases = u32::try_from(steps.div_ceil(LENGTH / 2)).unwrap_or(u32::MAX);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let sequence = prop::collection::vec(op(), 1..=LENGTH);
    let run = TestRunner::new(config).run(&sequence, |ops| {
        let mut world = World::new();
        for op in &ops {
            world.step(op).map_err(TestCaseError::fail)?;
        }
        world.finish().map_err(TestCaseError::fail)
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
