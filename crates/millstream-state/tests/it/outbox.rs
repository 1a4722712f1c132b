//! Messages for receivers outside: kept with what they tell, in order, until they are taken.

use std::time::Duration;

use millstream_state::{Begun, Claim, Message, NewMessage, RunEnd, RunOutcome, State, StepEnd, StepOutcome};
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::{asset, run, step},
};

const LENGTH: Duration = Duration::from_secs(60);

on_each_database! {
    messages_are_taken_in_order_by_one_process_at_a_time,
    a_claim_that_took_too_long_leaves_the_claims_of_others_alone,
    refusals_of_a_message_are_counted,
    the_oldest_messages_of_one_receiver_go_where_there_are_too_many,
    the_end_of_a_step_is_kept_with_its_message_and_takes_its_last_words,
    a_run_without_an_end_is_told_by_the_next,
    a_run_that_breaks_off_tells_of_its_open_steps,
}

async fn messages_are_taken_in_order_by_one_process_at_a_time(place: Place) {
    let state = place.open().await;
    begin(&state, 1, &["a", "b", "c"]).await;
    let first = claimed(&state, 2, 1_000).await;
    assert_eq!(texts(&first.messages), ["a", "b"]);
    // Whoever else asks has to wait until the batch is given back.
    assert_eq!(claim(&place.open().await, 2).await, []);
    state.end_claim(&first, &[first.messages[0].place], &[]).await.unwrap();
    assert_eq!(state.messages_waiting("lineage").await.unwrap(), 2);
    assert_eq!(texts(&claim(&place.open().await, 9).await), ["b", "c"]);
    assert_eq!(state.messages_waiting("other").await.unwrap(), 0);
}

async fn a_claim_that_took_too_long_leaves_the_claims_of_others_alone(place: Place) {
    let state = place.open().await;
    begin(&state, 1, &["a", "b", "c"]).await;
    // The clock of a server of databases is its own, so that the claim has no length there.
    let late = state.claim_messages("lineage", 2, TimestampMicros(1_000), Duration::ZERO).await.unwrap();
    let now = claimed(&state, 2, 2_000).await;
    assert_eq!(texts(&now.messages), ["a", "b"]);
    state.end_claim(&late, &[late.messages[0].place], &[]).await.unwrap();
    // What was sent late is gone, and the rest is still claimed.
    assert_eq!(state.messages_waiting("lineage").await.unwrap(), 2);
    assert_eq!(claimed(&state, 9, 2_000).await.messages, []);
    state.end_claim(&now, &[now.messages[1].place], &[]).await.unwrap();
    assert_eq!(texts(&claimed(&state, 9, 2_000).await.messages), ["c"]);
}

async fn refusals_of_a_message_are_counted(place: Place) {
    let state = place.open().await;
    begin(&state, 1, &["a", "b"]).await;
    for refusals in 0..3 {
        let claim = claimed(&state, 9, 1_000).await;
        let counts: Vec<_> = claim.messages.iter().map(|message| message.refusals).collect();
        assert_eq!(counts, [refusals, 0]);
        state.end_claim(&claim, &[], &[claim.messages[0].place]).await.unwrap();
    }
}

async fn the_oldest_messages_of_one_receiver_go_where_there_are_too_many(place: Place) {
    let state = place.open().await;
    for text in ["a", "b", "c", "d"] {
        begin(&state, 1, &[text]).await;
        let other = [NewMessage { receiver: "other", message: text.to_owned() }];
        let (run, at) = (run(1).run, TimestampMicros(1));
        let begun = Begun { run: &run, asset: None, at, messages: &other, last_words: &[] };
        state.tell_begun(&begun).await.unwrap();
    }
    assert_eq!(state.drop_oldest_messages("lineage", 4).await.unwrap(), 0);
    assert_eq!(state.drop_oldest_messages("lineage", 3).await.unwrap(), 1);
    assert_eq!(state.drop_oldest_messages("nobody", 0).await.unwrap(), 0);
    assert_eq!(state.messages_waiting("other").await.unwrap(), 4);
    assert_eq!(texts(&claim(&state, 9).await), ["b", "c", "d"]);
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

async fn claimed(state: &State, limit: usize, now: i64) -> Claim {
    state.claim_messages("lineage", limit, TimestampMicros(now), LENGTH).await.unwrap()
}

async fn claim(state: &State, limit: usize) -> Vec<Message> {
    claimed(state, limit, 1_000).await.messages
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.message.as_str()).collect()
}
