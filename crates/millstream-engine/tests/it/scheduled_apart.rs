//! Processes that share steps and part: one is cut off from the state store, one has another definition, and what lies on one machine
//! is made by one process.

use std::time::Duration;

use millstream_engine::{DecisionKind, KeepOptions};
use millstream_state::OfferTerms;
use millstream_types::AssetId;

use crate::{
    harness::{Definition, Line, World, block_on},
    scheduled::{HOOKED, Process, decisions, settled, until, world},
    scheduled_shared::{call, claimed, engine_of, older, only_offers, start, workers},
};

#[test]
fn a_process_that_is_cut_off_cancels_its_steps_and_gives_them_back() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let line = Line::quiet();
        let process = start(&world, &line, Duration::ZERO).await;
        settled(&state, &world, "silver.count", 1).await;
        world.definition.script.silence("events", true);
        world.definition.script.put("events", "b", "id\n3");
        call(std::slice::from_ref(&process)).await;
        until("the step does not run", async || claimed(&state).await.len() == 1).await;
        line.refuse(&["renew the lease"]);
        // Its lease is not over yet, and then it is.
        world.clock.pass(80);
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        assert_eq!(claimed(&state).await.len(), 1, "the step is given up early");
        world.clock.pass(11);
        until("the step is not given back", async || {
            let offers = state.offers().await.unwrap();
            offers.iter().any(|found| found.worker.is_none() && found.offer.is_again)
        })
        .await;
        line.refuse(&[]);
        world.definition.script.silence("events", false);
        settled(&state, &world, "silver.events", 3).await;
        // What was given back is no further attempt.
        let started = decisions(&state, "bronze.events", DecisionKind::Started).await;
        assert!(!started.iter().any(|because| because.starts_with("interrupted")), "{started:?}");
        process.stop().await;
    });
}

/// The terms of what is offered of the source.
async fn terms_of_source(state: &millstream_state::State) -> Option<OfferTerms> {
    let offers = state.offers().await.unwrap().into_iter();
    offers
        .map(|found| found.offer)
        .find(|offer| offer.asset == AssetId::new("bronze.events"))
        .map(|offer| offer.terms)
}

#[test]
fn who_schedules_next_offers_anew_what_was_offered_for_another_definition() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let (first, line) = only_offers(&world, &state).await;
        let before = terms_of_source(&state).await.unwrap();
        first.kill().await;
        line.die();
        let engine = engine_of(&world, &Line::quiet(), &older(&world)).await;
        let second = Process::of(engine, KeepOptions { drain: Duration::ZERO, shares: true });
        // Nobody waits for a process with the definition of before.
        settled(&state, &world, "silver.count", 1).await;
        assert_ne!(terms_of_source(&state).await, Some(before));
        assert!(decisions(&state, "bronze.events", DecisionKind::Skipped).await.is_empty());
        second.stop().await;
    });
}

#[test]
fn what_is_offered_and_gone_from_the_project_is_withdrawn() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let (process, line) = only_offers(&world, &state).await;
        let text = HOOKED.replace("events.yaml", "visits.yaml").replace("bronze.events", "bronze.visits");
        let other = Definition::with_script_at(&text, world.definition.script.clone(), &world.definition);
        let before = state.offers().await.unwrap();
        process.scheduling.replace(process.engine.reloaded(other.project).unwrap());
        until("what is gone stays offered", async || {
            let offers = state.offers().await.unwrap();
            offers.iter().all(|found| found.offer.asset != AssetId::new("bronze.events"))
        })
        .await;
        assert!(before.iter().all(|found| found.worker.is_none()), "{before:?}");
        line.refuse(&[]);
        settled(&state, &world, "silver.count", 1).await;
        process.stop().await;
    });
}

#[test]
fn what_is_offered_is_forgotten_where_nothing_runs_by_triggers_any_more() {
    block_on(async {
        let world = world(HOOKED);
        let state = world.state().await;
        let (first, line) = only_offers(&world, &state).await;
        first.kill().await;
        line.die();
        let text = HOOKED.replace("schedule: {webhook: arrived}\n", "");
        let quiet = Definition::with_script_at(&text, world.definition.script.clone(), &world.definition);
        let engine = engine_of(&world, &Line::quiet(), &quiet).await;
        let second = Process::of(engine, KeepOptions { drain: Duration::ZERO, shares: true });
        until("what was offered stays", async || state.offers().await.unwrap().is_empty()).await;
        second.stop().await;
    });
}

const SET: &str = "
=== sources/events.yaml
connector: {type: scripted, place: events}
schedule: {webhook: arrived}
contract: {columns: {id: {type: int64, required: true}, customer_id: {type: int64}, at: {type: timestamp}}}
=== features/customer.yaml
entity: {name: customer, key: customer_id}
views:
  events: {from: bronze.events, time: at, features: {events: {count: \"*\"}}}
services:
  s: [events.*]
=== datasets/d.yaml
labels: {from: bronze.events, entity: customer, time: at, columns: [customer_id, at, id]}
features: s
refresh: on_change
";

#[test]
fn what_lies_on_one_machine_is_made_by_the_process_that_schedules() {
    block_on(async {
        let world = World::new(Definition::of(SET));
        world.definition.script.put("events", "a", "id,customer_id,at\n1,1,2026-06-01T00:00:00Z");
        let state = world.state().await;
        let (first, line) = only_offers(&world, &state).await;
        let second = start(&world, &Line::quiet(), Duration::ZERO).await;
        until("the second runs no steps", async || workers(&state, &world).await == 2).await;
        // The second runs what lands rows, and the dataset is left to the first.
        let dataset = AssetId::new("dataset:d");
        until("the dataset is not offered", async || {
            state.offers().await.unwrap().iter().any(|found| found.offer.asset == dataset)
        })
        .await;
        tokio::time::sleep(Duration::from_millis(800)).await;
        let offers = state.offers().await.unwrap();
        let offered = offers.iter().find(|found| found.offer.asset == dataset).unwrap();
        assert!(offered.offer.terms.is_local && offered.worker.is_none(), "{offered:?}");
        line.refuse(&[]);
        until("the dataset is not made", async || !world.datasets().await.is_empty()).await;
        second.stop().await;
        first.stop().await;
    });
}
