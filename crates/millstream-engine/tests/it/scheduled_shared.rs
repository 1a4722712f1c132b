//! Several processes that serve one project: one decides, each runs steps, and any of them may die.

use std::{sync::Arc, time::Duration};

use millstream_engine::{Clock, DecisionKind, Engine, KeepOptions, TriggerError};
use millstream_state::{
    Holder, LeaseRequest, LeaseToken, NewOffer, Offer, OfferChanges, OfferEnd, OfferId, ScheduleRecord, State,
};
use millstream_types::AssetId;

use crate::{
    harness::{Definition, Line, World, block_on},
    scheduled::{HOOKED, LONG, Process, decisions, ended, occupied, settled, until, world},
};

const THREE: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: {webhook: arrived}
contract: {columns: {id: {type: int64, required: true}}}
=== sources/orders.yaml
connector: {type: scripted, place: orders}
schedule: {webhook: arrived}
contract: {columns: {id: {type: int64, required: true}}}
=== sources/visits.yaml
connector: {type: scripted, place: visits}
schedule: {webhook: arrived}
contract: {columns: {id: {type: int64, required: true}}}
";

const PLACES: [&str; 3] = ["events", "orders", "visits"];

pub(crate) async fn start(world: &World, line: &Arc<Line>, drain: Duration) -> Process {
    Process::start_as(world, line, KeepOptions { drain, shares: true }).await
}

pub(crate) async fn workers(state: &State, world: &World) -> usize {
    state.workers(world.clock.now()).await.unwrap().len()
}

/// The offers that somebody has claimed and not ended.
pub(crate) async fn claimed(state: &State) -> Vec<Offer> {
    let offers = state.offers().await.unwrap().into_iter();
    offers.filter(|offer| offer.worker.is_some() && offer.end.is_none()).collect()
}

pub(crate) fn worker_of(claimed: &[Offer], asset: &str) -> LeaseToken {
    claimed.iter().find(|offer| offer.offer.asset.as_str() == asset).unwrap().worker.unwrap()
}

/// Three processes that share three sources, of which each has rows and is looked at.
async fn three(world: &World, state: &State) -> Vec<Process> {
    for place in PLACES {
        world.definition.script.put(place, "a", "id\n1");
    }
    let mut processes = Vec::new();
    for number in 1..=3 {
        processes.push(start(world, &Line::quiet(), Duration::ZERO).await);
        until("the process runs no steps", async || workers(state, world).await == number).await;
    }
    for place in PLACES {
        settled(state, world, &format!("bronze.{place}"), 1).await;
    }
    processes
}

pub(crate) async fn call(processes: &[Process]) {
    until("nobody takes the call", async || {
        for process in processes {
            if process.scheduling.triggered("arrived").await.is_ok() {
                return true;
            }
        }
        false
    })
    .await;
}

fn silence(world: &World, is_silent: bool) {
    PLACES.iter().for_each(|place| world.definition.script.silence(place, is_silent));
}

fn arrive(world: &World) {
    PLACES.iter().for_each(|place| world.definition.script.put(place, "b", "id\n2"));
}

async fn all_settled(state: &State, world: &World, rows: usize) {
    for place in PLACES {
        settled(state, world, &format!("bronze.{place}"), rows).await;
    }
}

#[test]
fn each_process_runs_a_part_of_what_one_of_them_decides() {
    block_on(async {
        let world = World::new(Definition::of(THREE));
        let state = world.state().await;
        let processes = three(&world, &state).await;
        silence(&world, true);
        arrive(&world);
        call(&processes).await;
        until("three steps do not run at once", async || claimed(&state).await.len() == 3).await;
        let claimed = claimed(&state).await;
        let mut tokens = PLACES.map(|place| worker_of(&claimed, &format!("bronze.{place}")));
        tokens.sort();
        assert!(tokens[0] < tokens[1] && tokens[1] < tokens[2], "{tokens:?}");
        silence(&world, false);
        all_settled(&state, &world, 2).await;
        assert_eq!(state.offers().await.unwrap(), []);
        let runs = world.runs().await;
        assert_eq!(runs, ["succeeded"; 6]);
        for process in processes {
            process.stop().await;
        }
        assert_eq!(workers(&state, &world).await, 0);
    });
}

#[test]
fn steps_go_on_when_the_process_dies_that_decides() {
    block_on(async {
        let world = World::new(Definition::of(THREE));
        let state = world.state().await;
        let mut processes = three(&world, &state).await;
        silence(&world, true);
        arrive(&world);
        call(&processes).await;
        until("three steps do not run at once", async || claimed(&state).await.len() == 3).await;
        let before = claimed(&state).await;
        processes.remove(0).kill().await;
        until("nobody takes over", async || {
            let mut active = 0;
            for process in &processes {
                active += usize::from(process.scheduling.outlook(1).await.is_active);
            }
            active == 1
        })
        .await;
        // What runs in the others is not disturbed, and what ran in the process that died waits for a place.
        let is_started_again = async |place: &str| {
            let started = decisions(&state, &format!("bronze.{place}"), DecisionKind::Started).await;
            started.iter().filter(|because| because.starts_with("interrupted")).count()
        };
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let now = claimed(&state).await;
        assert_eq!(now.len(), 2, "{now:?}");
        for offer in &now {
            assert_eq!(offer.worker, Some(worker_of(&before, offer.offer.asset.as_str())), "{now:?}");
        }
        silence(&world, false);
        all_settled(&state, &world, 2).await;
        let mut again = 0;
        for place in PLACES {
            again += is_started_again(place).await;
        }
        assert_eq!(again, 1, "one step was lost");
        let runs = world.runs().await;
        assert_eq!(runs.iter().filter(|outcome| *outcome == "succeeded").count(), 6, "{runs:?}");
        for process in processes {
            process.stop().await;
        }
    });
}

#[test]
fn a_step_whose_process_dies_is_run_by_another_once_more() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let first = start(&world, &Line::quiet(), Duration::ZERO).await;
        settled(&state, &world, "silver.count", 1).await;
        let other = occupied(&state, &world).await;
        // The step of the first process waits for others, so that it starts when there are two.
        call(std::slice::from_ref(&first)).await;
        let second = start(&world, &Line::quiet(), Duration::ZERO).await;
        until("the second runs no steps", async || workers(&state, &world).await == 2).await;
        world.definition.script.silence("events", true);
        world.definition.script.put("events", "b", "id\n3");
        state.end_lease(other).await.unwrap();
        until("the step does not run", async || claimed(&state).await.len() == 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let worker = worker_of(&claimed(&state).await, "bronze.events");
        let (dies, lives) = match is_first(&state, &world, worker).await {
            true => (first, second),
            false => (second, first),
        };
        dies.kill().await;
        world.definition.script.silence("events", false);
        settled(&state, &world, "silver.events", 3).await;
        let started = decisions(&state, "bronze.events", DecisionKind::Started).await;
        assert!(started.last().unwrap().starts_with("interrupted by the end of the process"), "{started:?}");
        lives.stop().await;
    });
}

/// Whether it is the worker that was there first.
async fn is_first(state: &State, world: &World, worker: LeaseToken) -> bool {
    let workers = state.workers(world.clock.now()).await.unwrap();
    workers.iter().map(|worker| worker.lease.token).min() == Some(worker)
}

#[test]
fn a_process_that_is_told_to_stop_gives_back_what_it_does_not_end() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let first = start(&world, &Line::quiet(), Duration::from_millis(200)).await;
        settled(&state, &world, "silver.count", 1).await;
        world.definition.script.silence("events", true);
        world.definition.script.put("events", "b", "id\n3");
        call(std::slice::from_ref(&first)).await;
        until("the step does not run", async || claimed(&state).await.len() == 1).await;
        ended("the process does not end", first.stop()).await;
        let left = state.offers().await.unwrap();
        let [offer] = left.as_slice() else { panic!("{left:?}") };
        assert_eq!((offer.worker, offer.end.clone()), (None, None));
        assert_eq!((offer.offer.attempt, offer.offer.is_again), (1, true));
        world.definition.script.silence("events", false);
        let second = start(&world, &Line::quiet(), Duration::ZERO).await;
        settled(&state, &world, "silver.events", 3).await;
        assert!(decisions(&state, "bronze.events", DecisionKind::Skipped).await.is_empty());
        second.stop().await;
    });
}

#[test]
fn a_process_that_is_told_to_stop_lets_its_steps_end_while_another_schedules() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let first = start(&world, &Line::quiet(), LONG).await;
        settled(&state, &world, "silver.count", 1).await;
        world.definition.script.silence("events", true);
        world.definition.script.put("events", "b", "id\n3");
        call(std::slice::from_ref(&first)).await;
        until("the step does not run", async || claimed(&state).await.len() == 1).await;
        let second = start(&world, &Line::quiet(), Duration::ZERO).await;
        first.cancel.cancel();
        until("nobody takes over", async || second.scheduling.outlook(1).await.is_active).await;
        assert!(!first.task.is_finished(), "the step was cut short");
        world.definition.script.silence("events", false);
        settled(&state, &world, "silver.events", 3).await;
        first.stop().await;
        let runs = world.runs().await;
        assert!(runs.iter().all(|outcome| outcome == "succeeded"), "{runs:?}");
        second.stop().await;
    });
}

#[test]
fn a_worker_whose_lease_is_over_has_lost_its_step_and_runs_it_once_more() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let process = start(&world, &Line::quiet(), Duration::ZERO).await;
        settled(&state, &world, "silver.count", 1).await;
        world.definition.script.silence("events", true);
        world.definition.script.put("events", "b", "id\n3");
        call(std::slice::from_ref(&process)).await;
        until("the step does not run", async || claimed(&state).await.len() == 1).await;
        let worker = worker_of(&claimed(&state).await, "bronze.events");
        state.end_lease(worker).await.unwrap();
        until("the step is not claimed anew", async || {
            let claimed = claimed(&state).await;
            claimed.iter().any(|offer| offer.worker != Some(worker) && offer.offer.is_again)
        })
        .await;
        world.definition.script.silence("events", false);
        settled(&state, &world, "silver.events", 3).await;
        let started = decisions(&state, "bronze.events", DecisionKind::Started).await;
        assert!(started.last().unwrap().starts_with("interrupted by the end of the process"), "{started:?}");
        process.stop().await;
    });
}

#[test]
fn a_webhook_may_be_called_at_any_process() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let first = start(&world, &Line::quiet(), Duration::ZERO).await;
        settled(&state, &world, "silver.count", 1).await;
        let second = start(&world, &Line::quiet(), Duration::ZERO).await;
        until("the second runs no steps", async || workers(&state, &world).await == 2).await;
        assert!(!second.scheduling.outlook(1).await.is_active);
        world.definition.script.put("events", "b", "id\n3");
        let due = second.scheduling.triggered("arrived").await.unwrap();
        assert_eq!(due, [AssetId::new("bronze.events")]);
        settled(&state, &world, "silver.events", 3).await;
        assert_eq!(state.webhook_calls().await.unwrap(), []);
        let refused = second.scheduling.triggered("departed").await;
        assert!(matches!(refused, Err(TriggerError::Unknown { .. })), "{refused:?}");
        // What is called while nobody schedules is not lost.
        first.kill().await;
        world.definition.script.put("events", "c", "id\n4");
        second.scheduling.triggered("arrived").await.unwrap();
        settled(&state, &world, "silver.events", 4).await;
        second.stop().await;
    });
}

/// An engine of the project of another definition.
pub(crate) async fn engine_of(world: &World, line: &Arc<Line>, definition: &Definition) -> Engine {
    world.engine(line).await.reloaded(definition.project.clone()).unwrap()
}

/// The definition of the project before its source got a contract.
pub(crate) fn older(world: &World) -> Definition {
    let text = HOOKED.replace("{id: {type: int64, required: true}}", "{id: {type: int64}}");
    Definition::with_script_at(&text, world.definition.script.clone(), &world.definition)
}

/// A process that schedules and runs no steps, once it has offered one of the source.
pub(crate) async fn only_offers(world: &World, state: &State) -> (Process, Arc<Line>) {
    let line = Line::quiet();
    line.refuse(&["claim offered steps"]);
    let process = start(world, &line, Duration::ZERO).await;
    until("nothing is offered", async || !state.offers().await.unwrap().is_empty()).await;
    (process, line)
}

#[test]
fn a_step_is_left_to_a_process_with_its_definition() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let (first, line) = only_offers(&world, &state).await;
        let engine = engine_of(&world, &Line::quiet(), &older(&world)).await;
        let second = Process::of(engine, KeepOptions { drain: Duration::ZERO, shares: true });
        until("the second runs no steps", async || workers(&state, &world).await == 2).await;
        // It looks a few times meanwhile.
        tokio::time::sleep(Duration::from_millis(800)).await;
        let offers = state.offers().await.unwrap();
        let of_source = offers.iter().find(|offer| offer.offer.asset == AssetId::new("bronze.events"));
        assert!(of_source.is_some_and(|offer| offer.worker.is_none() && offer.end.is_none()), "{offers:?}");
        line.refuse(&[]);
        settled(&state, &world, "silver.count", 1).await;
        first.stop().await;
        second.stop().await;
    });
}

#[test]
fn a_worker_has_the_project_that_comes_while_it_takes_its_lease() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let line = Line::quiet();
        let engine = engine_of(&world, &line, &older(&world)).await;
        let newest = engine.reloaded(world.definition.project.clone()).unwrap();
        let (first, _) = only_offers(&world, &state).await;
        let second = Process::of(engine, KeepOptions { drain: Duration::ZERO, shares: true });
        let scheduling = second.scheduling.clone();
        line.once_at("record the worker", move || scheduling.replace(newest));
        settled(&state, &world, "silver.count", 1).await;
        first.stop().await;
        second.stop().await;
    });
}

#[test]
fn an_outage_for_all_that_is_longer_than_their_leases_loses_no_step() {
    block_on(async {
        let world = World::new(Definition::of(THREE));
        let state = world.state().await;
        let processes = three(&world, &state).await;
        silence(&world, true);
        arrive(&world);
        call(&processes).await;
        until("three steps do not run at once", async || claimed(&state).await.len() == 3).await;
        let before = claimed(&state).await;
        world.clock.pass(100);
        tokio::time::sleep(Duration::from_millis(3_000)).await;
        assert_eq!(claimed(&state).await, before);
        silence(&world, false);
        all_settled(&state, &world, 2).await;
        for place in PLACES {
            let started = decisions(&state, &format!("bronze.{place}"), DecisionKind::Started).await;
            assert!(!started.iter().any(|because| because.starts_with("interrupted")), "{started:?}");
        }
        assert_eq!(world.runs().await, ["succeeded"; 6]);
        for process in processes {
            process.stop().await;
        }
    });
}

#[test]
fn an_end_of_an_earlier_attempt_is_not_taken_for_that_of_the_present_one() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let (process, line) = only_offers(&world, &state).await;
        let [present] = <[Offer; 1]>::try_from(state.offers().await.unwrap()).unwrap();
        process.kill().await;
        line.die();
        // An attempt that was offered under an earlier lease, and of which nobody waited for the end.
        let holder = Holder::this_process("serve", world.clock.now());
        let leased = [AssetId::new("worker of the test")];
        let length = Duration::from_secs(60);
        let request = LeaseRequest { assets: &leased, holder: &holder, now: world.clock.now(), length };
        let worker = state.take_lease(&request).await.unwrap();
        let earlier = OfferId { lease: LeaseToken(0), number: 1 };
        let offered = [NewOffer { id: earlier, ..present.offer.clone() }];
        let offers = OfferChanges { offered: &offered, ..OfferChanges::default() };
        let record = ScheduleRecord { lease: worker, assets: &[], decisions: &[] };
        state.record_schedule_with(&record, offers).await.unwrap();
        assert_eq!(
            state
                .claim_offers(worker, &[(earlier, present.offer.terms.definition)], world.clock.now())
                .await
                .unwrap(),
            [earlier]
        );
        let because = "another one works on it".to_owned();
        state.end_offer(worker, earlier, &OfferEnd::KeptAway { because }).await.unwrap();

        let line = Line::quiet();
        line.refuse(&["claim offered steps"]);
        let process = start(&world, &line, Duration::ZERO).await;
        until("the earlier offer stays", async || {
            state.offers().await.unwrap().iter().all(|found| found.offer.id != earlier)
        })
        .await;
        let left = state.offers().await.unwrap();
        assert!(left.iter().any(|found| found.offer == present.offer && found.end.is_none()), "{left:?}");
        line.refuse(&[]);
        settled(&state, &world, "silver.count", 1).await;
        process.stop().await;
    });
}

#[test]
fn an_answer_to_a_process_that_does_not_schedule_counts_for_the_circuit() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let (first, _) = only_offers(&world, &state).await;
        let second = start(&world, &Line::quiet(), Duration::ZERO).await;
        settled(&state, &world, "silver.count", 1).await;
        // Another process could not reach the source, of which the second knows nothing.
        let (policy, now) =
            (world.definition.project.spec.circuit_policy("source:events"), world.clock.now());
        state.change_circuit("source:events", move |circuit| circuit.failed(&policy, now)).await.unwrap();
        world.definition.script.put("events", "b", "id\n3");
        call(std::slice::from_ref(&first)).await;
        settled(&state, &world, "silver.events", 3).await;
        until("the answer does not count", async || state.circuits().await.unwrap().is_empty()).await;
        first.stop().await;
        second.stop().await;
    });
}
