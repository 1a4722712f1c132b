//! What is told of pipelines is kept, each in the place of what was told of it before.

use millstream_state::PipelineRecord;
use millstream_types::TimestampMicros;

use crate::{
    place::{Place, on_each_database},
    world::asset,
};

on_each_database! {
    the_newest_word_of_each_pipeline_is_kept,
}

async fn the_newest_word_of_each_pipeline_is_kept(place: Place) {
    let state = place.open().await;
    let told = |name: &str, at: i64| PipelineRecord {
        asset: asset(name),
        at: TimestampMicros(at),
        figures: format!("{{\"at\":{at}}}"),
    };
    state.record_pipelines(&[told("silver.b", 1), told("silver.a", 1)], &[]).await.unwrap();
    state.record_pipelines(&[told("silver.b", 2), told("silver.c", 2)], &[]).await.unwrap();
    let expected = [told("silver.a", 1), told("silver.b", 2), told("silver.c", 2)];
    assert_eq!(place.open().await.pipelines().await.unwrap(), expected);
    state.record_pipelines(&[], &[asset("silver.a"), asset("silver.z")]).await.unwrap();
    assert_eq!(place.open().await.pipelines().await.unwrap(), expected[1..]);
}
