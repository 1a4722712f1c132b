//! Pipelines that cannot be, and what they say.

use millstream_stream::{
    Aggregate, CODES, Distance, Function, JoinKind, PipelineBuilder, StageId, StreamError, Window,
    WindowDefinition,
};
use millstream_types::Span;

use crate::{
    pipelines::{NONE, deduplicate, filtered, hopping, join_definition, session, source, tumbling, window},
    world::{batch, row, seconds},
};

fn refused(build: impl Fn(&mut PipelineBuilder, StageId) -> Result<StageId, StreamError>) -> String {
    let mut builder = PipelineBuilder::new();
    let rows = builder.source(&source("rows", 1, NONE)).unwrap();
    let error = build(&mut builder, rows).unwrap_err();
    assert!(CODES.iter().any(|(code, ..)| *code == error.code()));
    error.to_string()
}

fn refused_window(change: impl Fn(&mut WindowDefinition)) -> String {
    refused(|builder, rows| {
        let mut definition = window(tumbling(10), NONE);
        change(&mut definition);
        builder.window(rows, &definition)
    })
}

#[test]
fn windows_that_cannot_be() {
    let with = |kind: Window| refused_window(|definition| definition.window = kind);
    assert_eq!(with(tumbling(0)), "`windows`: a window has no length");
    assert_eq!(with(session(0)), "`windows`: a gap has no length");
    assert_eq!(
        with(hopping(10, 20, 0)),
        "`windows`: a hop of 20s is longer than its window of 10s: rows between would be in none"
    );
    let odd = Window::Hopping { size: Span::from_ms(100_001), hop: Span::from_ms(3), offset: NONE };
    assert!(with(odd).contains("100001 pieces, more than 10000"));
    let endless = Window::Tumbling { size: Span::from_ms(u64::MAX), offset: NONE };
    assert!(with(endless).ends_with("is too long"));
}

#[test]
fn columns_that_cannot_be_used() {
    let keys = |name: &str| refused_window(|definition| definition.keys = vec![name.into()]);
    assert_eq!(keys("nowhere"), "`windows` reads the column `nowhere`, which its input does not have");
    let aggregate = |name: &str, function: Function| {
        refused_window(|definition| definition.aggregates = vec![Aggregate::new(name, function.clone())])
    };
    assert_eq!(
        aggregate("total", Function::Sum("word".into())),
        "`windows` cannot use the column `word` of type Utf8 as a number to add up"
    );
    assert_eq!(
        aggregate("window_end", Function::Count),
        "`windows` would give two columns the name `window_end`"
    );
    let error = refused(|builder, rows| {
        let right = builder.source(&source("others", 1, NONE))?;
        let (from, until) = (Distance::Later(seconds(2)), Distance::Earlier(seconds(2)));
        builder.join(rows, right, &join_definition(JoinKind::Inner, from, until))
    });
    assert_eq!(error, "`pairs`: the bound `from` lies after the bound `until`");
    let mut source = source("rows", 1, NONE);
    source.time = "amount".into();
    let error = PipelineBuilder::new().source(&source).unwrap_err();
    assert!(error.hint().unwrap().contains("cast `amount`"));
}

#[test]
fn stages_that_do_not_fit_together() {
    let after_lateness = refused(|builder, rows| {
        let late = builder.window(rows, &window(tumbling(10), seconds(1)))?;
        builder.deduplicate(late, &deduplicate(1))
    });
    assert!(after_lateness.contains("whose rows may still change"));
    let twice = refused(|builder, rows| {
        filtered(builder, rows);
        builder.deduplicate(rows, &deduplicate(1))
    });
    assert_eq!(twice, "`once` reads a stage that another one reads already");
    let same_name = refused(|builder, _| builder.source(&source("rows", 1, NONE)));
    assert_eq!(same_name, "`rows` has the name of another stage");
    let mut unread = PipelineBuilder::new();
    unread.source(&source("one", 1, NONE)).unwrap();
    unread.source(&source("two", 1, NONE)).unwrap();
    assert_eq!(
        unread.build().unwrap_err().to_string(),
        "`one` is read by no other stage and is not the last"
    );
    assert!(PipelineBuilder::new().build().is_err());
}

#[test]
fn rows_are_taken_in_only_when_the_former_ones_were_told() {
    let mut builder = PipelineBuilder::new();
    let rows = builder.source(&source("rows", 1, NONE)).unwrap();
    let last = filtered(&mut builder, rows);
    let mut pipeline = builder.build().unwrap();
    pipeline.push(rows, 0, 0, batch(&[row(0, 1, 1), row(0, 1, -1)])).unwrap();
    assert!(matches!(pipeline.push(rows, 0, 0, batch(&[row(0, 1, 1)])), Err(StreamError::Busy)));
    assert!(matches!(pipeline.changes(), Err(StreamError::Busy)));
    while pipeline.next_output().unwrap().is_some() {}
    assert!(matches!(
        pipeline.push(last, 0, 0, batch(&[row(0, 1, 1)])),
        Err(StreamError::NoSuchSource { .. })
    ));
    let other = batch(&[row(0, 1, 1)]).project(&[0, 1]).unwrap();
    let error = pipeline.push(rows, 0, 0, other).unwrap_err();
    assert_eq!(error.code(), "MS-1333");
    let figures = pipeline.figures();
    assert_eq!((figures.stages[0].rows_in, figures.stages[0].rows_out), (2, 2));
    assert_eq!((figures.stages[1].rows_out, figures.stages[1].left_out), (1, 1));
}

#[test]
fn after_an_expression_failed_the_pipeline_is_restored() {
    let mut builder = PipelineBuilder::new();
    let rows = builder.source(&source("rows", 1, NONE)).unwrap();
    let definition = millstream_stream::MapDefinition {
        name: "fails".into(),
        schema: crate::world::schema(),
        time: "at".into(),
        text: String::new(),
    };
    builder.map(rows, &definition, Box::new(|_| Err("no such luck".into()))).unwrap();
    let mut pipeline = builder.build().unwrap();
    pipeline.push(rows, 0, 0, batch(&[row(0, 1, 1)])).unwrap();
    let error = loop {
        match pipeline.next_output() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the expression did not fail"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "the expression of `fails` failed");
    assert!(matches!(pipeline.next_output(), Err(StreamError::Failed)));
    assert!(matches!(pipeline.push(rows, 0, 0, batch(&[row(0, 1, 1)])), Err(StreamError::Failed)));
}

#[test]
fn codes_are_listed_once_and_in_order() {
    assert!(CODES.is_sorted_by(|left, right| left.0 < right.0));
}
