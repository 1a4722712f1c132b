//! Messages for receivers outside: kept with what they tell, in order, until they are taken.

use std::time::Duration;

use millstream_state::{Begun, Message, NewMessage, RunEnd, RunOutcome, State, StepEnd, StepOutcome};
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::{asset, run, step},
};

const LENGTH: Duration = Duration::from_secs(60);

on_each_database! {
    messages_are_taken_in_order_by_one_process_at_a_time,
    the_end_of_a_step_is_kept_with_its_message_and_takes_its_last_words,
    a_run_without_an_end_is_told_by_the_next,
    a_run_that_breaks_off_tells_of_its_open_steps,
}

async fn messages_are_taken_in_order_by_one_process_at_a_time(place: Place) {
    let state = place.open().await;
    begin(&state, 1, &["a", "b", "c"]).await;
    let first = claim(&state, 2).await;
    assert_eq!(texts(&first), ["a", "b"]);
    // Whoever else asks has to wait until the batch is given back.
    assert_eq!(claim(&place.open().await, 2).await, []);
    state.messages_taken("lineage", &[first[0].place]).await.unwrap();
    assert_eq!(state.messages_waiting("lineage").await.unwrap(), 2);
    assert_eq!(texts(&claim(&place.open().await, 9).await), ["b", "c"]);
    assert_eq!(state.messages_waiting("other").await.unwrap(), 0);
}

async fn the_end_of_a_step_is_kept_with_its_message_and_takes_its_last_words(place: Place) {
    let state = place.open().await;
    let start = run(1);
    state.begin_run(&start).await.unwrap();
    begin(&state, 1, &["begins"]).await;
    let step = step(&start.run, "bronze.a", StepOutcome::Built);
    let messages = [message("ends")];
    let end = StepEnd { step: &step, recorded: None, checks: &[], metrics: &[], messages: &messages };
    state.record_step(&end).await.unwrap();
    let (finished, outcome) = (TimestampMicros(9), RunOutcome::Succeeded);
    let over = [message("is over")];
    let end = RunEnd { run: &start.run, finished, outcome, publishes: None, messages: &over };
    state.finish_run(&end).await.unwrap();
    assert_eq!(texts(&claim(&state, 9).await), ["begins", "ends", "is over"]);
}

async fn a_run_without_an_end_is_told_by_the_next(place: Place) {
    let state = place.open().await;
    state.begin_run(&run(1)).await.unwrap();
    begin(&state, 1, &["begins"]).await;
    state.begin_run(&run(2)).await.unwrap();
    state.begin_run(&run(3)).await.unwrap();
    let messages = claim(&state, 9).await;
    assert_eq!(texts(&messages), ["begins", "was interrupted"]);
    assert_eq!(messages[1].at, run(2).started);
}

async fn a_run_that_breaks_off_tells_of_its_open_steps(place: Place) {
    let state = place.open().await;
    let start = run(1);
    state.begin_run(&start).await.unwrap();
    begin(&state, 1, &["begins"]).await;
    let (finished, outcome) = (TimestampMicros(9), RunOutcome::Failed);
    let end = RunEnd { run: &start.run, finished, outcome, publishes: None, messages: &[message("failed")] };
    state.finish_run(&end).await.unwrap();
    state.begin_run(&run(2)).await.unwrap();
    assert_eq!(texts(&claim(&state, 9).await), ["begins", "was interrupted", "failed"]);
}

fn message(text: &str) -> NewMessage {
    NewMessage { receiver: "lineage", message: text.to_owned() }
}

/// Begins a step of a run with these messages.
async fn begin(state: &State, number: i64, texts: &[&str]) {
    let (run, asset) = (run(number).run, asset("bronze.a"));
    let messages: Vec<_> = texts.iter().map(|text| message(text)).collect();
    let (at, last_words) = (TimestampMicros(1), [message("was interrupted")]);
    let begun = Begun { run: &run, asset: Some(&asset), at, messages: &messages, last_words: &last_words };
    state.tell_begun(&begun).await.unwrap();
}

async fn claim(state: &State, limit: usize) -> Vec<Message> {
    state.claim_messages("lineage", limit, TimestampMicros(1_000), LENGTH).await.unwrap()
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.message.as_str()).collect()
}
