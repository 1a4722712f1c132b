//! What steps noted while they ran: kept in order, once, and forgotten with their run.

use millstream_state::{LogLevel, LogLine, RunEnd, RunOutcome, State, StepOutcome};
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::{asset, before, end, run, step},
};

on_each_database! {
    lines_are_kept_once_and_in_order,
    logs_go_with_their_run,
}

fn line(number: u64, message: &str) -> LogLine {
    let level = if number == 0 { LogLevel::Info } else { LogLevel::Warn };
    LogLine { line: number, at: TimestampMicros(5), level, message: message.to_owned() }
}

async fn told(state: &State, number: i64, asset_name: Option<&str>, limit: usize) -> Vec<String> {
    let named = asset_name.map(asset);
    let lines = state.step_log(&run(number).run, named.as_ref(), limit).await.unwrap();
    let told =
        lines.iter().map(|it| format!("{} {} {} {}", it.asset, it.line.line, it.line.level, it.line.message));
    told.collect()
}

async fn lines_are_kept_once_and_in_order(place: Place) {
    let state = place.open().await;
    let (first, other) = (run(1).run, asset("silver.b"));
    state.keep_log(&first, &other, &[line(0, "x")]).await.unwrap();
    state.keep_log(&first, &asset("silver.a"), &[line(0, "begins"), line(1, "it's late")]).await.unwrap();
    // Whoever does not know whether the last call took effect makes it again.
    state.keep_log(&first, &asset("silver.a"), &[line(1, "another"), line(2, "ends")]).await.unwrap();
    let all =
        ["silver.a 0 info begins", "silver.a 1 warn it's late", "silver.a 2 warn ends", "silver.b 0 info x"];
    assert_eq!(told(&place.open().await, 1, None, 100).await, all);
    assert_eq!(told(&state, 1, None, 2).await, all[..2]);
    assert_eq!(told(&state, 1, Some("silver.b"), 100).await, all[3..]);
    assert_eq!(told(&state, 2, None, 100).await, [""; 0]);
}

async fn logs_go_with_their_run(place: Place) {
    let state = place.open().await;
    for number in 1..=2 {
        let start = run(number);
        state.begin_run(&start).await.unwrap();
        let step = step(&start.run, "silver.t", StepOutcome::Built);
        state.keep_log(&start.run, &step.asset, &[line(0, "noted")]).await.unwrap();
        // A step whose process ended before it was recorded.
        state.keep_log(&start.run, &asset("silver.lost"), &[line(0, "noted")]).await.unwrap();
        state.record_step(&end(&step, None)).await.unwrap();
        let (finished, outcome) = (TimestampMicros(number * 1_000 + 1), RunOutcome::Succeeded);
        let ended = RunEnd { run: &start.run, finished, outcome, publishes: None, messages: &[] };
        state.finish_run(&ended).await.unwrap();
    }
    state.forget(&before(2_000)).await.unwrap();
    assert_eq!(told(&state, 1, None, 100).await, [""; 0]);
    assert_eq!(told(&state, 2, None, 100).await, ["silver.lost 0 info noted", "silver.t 0 info noted"]);
}
