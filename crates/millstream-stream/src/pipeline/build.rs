//! How stages are put together.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use xxhash_rust::xxh3::xxh3_64;

use super::{Pipeline, Stage, Work, no_figures};
use crate::{
    DeduplicateDefinition, Expression, JoinDefinition, MapDefinition, SourceDefinition, StreamError,
    WindowDefinition,
    deduplicate::Deduplicate,
    join::IntervalJoin,
    map::Map,
    operator::Operator,
    source::{Source, time_column},
    window::windows,
};

/// The most stages of a pipeline.
const STAGES_MAX: usize = 1_000;

/// A stage of the pipeline that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub(super) usize);

/// Puts stages together: sources first, each other stage after those that it reads. Each stage is read by one other one, the last by the
/// caller.
#[derive(Debug, Default)]
pub struct PipelineBuilder {
    stages: Vec<Stage>,
    shapes: Vec<Shape>,
}

/// What the next stage has to know of a stage.
#[derive(Debug)]
struct Shape {
    /// The column with the event time.
    time: usize,
    /// Whether rows that were told may still change.
    corrects: bool,
    definition: String,
}

impl PipelineBuilder {
    /// A pipeline without stages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source.
    ///
    /// # Errors
    ///
    /// Its time column is no timestamp in microseconds, or a length is out of range.
    pub fn source(&mut self, definition: &SourceDefinition) -> Result<StageId, StreamError> {
        let source = Source::new(definition)?;
        let time = time_column(&definition.name, &definition.schema, &definition.time)?;
        // How late rows may be can be changed while the state stays what it is.
        let SourceDefinition { name, time: column, partitions, .. } = definition;
        let text = format!("source {name} {column} {partitions} {}", columns_text(&definition.schema));
        let shape = Shape { time, corrects: false, definition: text };
        self.add(&definition.name, Work::Source(source), Arc::clone(&definition.schema), shape)
    }

    /// Adds a filter, a projection or an enrichment.
    ///
    /// # Errors
    ///
    /// The declared time column is none, or the input cannot be read.
    pub fn map(
        &mut self,
        input: StageId,
        definition: &MapDefinition,
        expression: Expression,
    ) -> Result<StageId, StreamError> {
        let name = definition.name.as_str();
        let time = time_column(name, &definition.schema, &definition.time)?;
        self.read(name, input, 0)?;
        let MapDefinition { time: column, text, schema, .. } = definition;
        let text = format!("map {input:?} {name} {column} {text:?} {}", columns_text(schema));
        let shape = Shape { time, corrects: false, definition: text };
        self.operator(name, Box::new(Map::new(definition, expression)), Arc::clone(&definition.schema), shape)
    }

    /// Adds a filter, a projection or an enrichment of rows that may still change: of a window with an allowed lateness, directly or behind others of
    /// its kind. `keys` are the columns of the input by which its corrections name rows, each with its name in the result, which holds it
    /// unchanged; those that are left out have to follow from the others.
    ///
    /// # Errors
    ///
    /// As [`Self::map`], or a key is no column of the input or of the result.
    pub fn map_corrected(
        &mut self,
        input: StageId,
        definition: &MapDefinition,
        expression: Expression,
        keys: &[(String, String)],
    ) -> Result<StageId, StreamError> {
        let name = definition.name.as_str();
        let time = time_column(name, &definition.schema, &definition.time)?;
        let (input_schema, _) = self.take(name, input, 0)?;
        for (before, now) in keys {
            let missing = [(before, &input_schema), (now, &definition.schema)]
                .into_iter()
                .find(|(column, schema)| schema.column_with_name(column).is_none());
            if let Some((column, _)) = missing {
                return Err(StreamError::NoSuchColumn { stage: name.into(), column: column.clone() });
            }
        }
        let MapDefinition { time: column, text, schema, .. } = definition;
        let text = format!("map {input:?} {name} {column} {text:?} {keys:?} {}", columns_text(schema));
        let shape = Shape { time, corrects: true, definition: text };
        let map = Map::corrected(definition, expression, keys);
        self.operator(name, Box::new(map), Arc::clone(&definition.schema), shape)
    }

    /// Adds aggregates over windows.
    ///
    /// # Errors
    ///
    /// A column does not fit, a length is out of range, or the input cannot be read.
    pub fn window(&mut self, input: StageId, definition: &WindowDefinition) -> Result<StageId, StreamError> {
        let name = definition.name.as_str();
        let (schema, time) = self.read(name, input, 0)?;
        let (operator, schema) = windows(definition, &schema, time)?;
        let shape = Shape {
            // The start of the window follows the keys.
            time: definition.keys.len(),
            corrects: definition.lateness.ms() > 0,
            definition: format!("{input:?} {definition:?}"),
        };
        self.operator(name, operator, schema, shape)
    }

    /// Adds a stage that leaves out duplicates.
    ///
    /// # Errors
    ///
    /// A column does not fit, a length is out of range, or the input cannot be read.
    pub fn deduplicate(
        &mut self,
        input: StageId,
        definition: &DeduplicateDefinition,
    ) -> Result<StageId, StreamError> {
        let name = definition.name.as_str();
        let (schema, time) = self.read(name, input, 0)?;
        let operator = Deduplicate::new(definition, &schema, time)?;
        let shape = Shape { time, corrects: false, definition: format!("{input:?} {definition:?}") };
        self.operator(name, Box::new(operator), schema, shape)
    }

    /// Adds a join of two streams.
    ///
    /// # Errors
    ///
    /// A column does not fit, a length is out of range, or an input cannot be read.
    pub fn join(
        &mut self,
        left: StageId,
        right: StageId,
        definition: &JoinDefinition,
    ) -> Result<StageId, StreamError> {
        let name = definition.name.as_str();
        let (left_schema, left_time) = self.read(name, left, 0)?;
        let (right_schema, right_time) = self.read(name, right, 1)?;
        let (operator, schema) =
            IntervalJoin::new(definition, [&left_schema, &right_schema], [left_time, right_time])?;
        let shape = Shape {
            time: left_time,
            corrects: false,
            definition: format!("{left:?} {right:?} {definition:?}"),
        };
        self.operator(name, Box::new(operator), schema, shape)
    }

    /// The pipeline whose result is that of the stage that was added last.
    ///
    /// # Errors
    ///
    /// There is no stage, or one that nobody reads.
    pub fn build(self) -> Result<Pipeline, StreamError> {
        let Some((_, others)) = self.stages.split_last() else {
            return Err(StreamError::Shape { stage: "the pipeline".into(), reason: "has no stages" });
        };
        if let Some(stage) = others.iter().find(|stage| stage.consumer.is_none()) {
            let stage = stage.figures.name.clone();
            return Err(StreamError::Shape {
                stage,
                reason: "is read by no other stage and is not the last",
            });
        }
        let definitions: Vec<&str> = self.shapes.iter().map(|shape| shape.definition.as_str()).collect();
        Ok(Pipeline {
            fingerprint: xxh3_64(definitions.join("\n").as_bytes()),
            stages: self.stages,
            drained: true,
            fresh: true,
            failed: false,
            told_definition: false,
        })
    }

    /// Makes a stage, whose rows do not change any more, the input of the one that is added next.
    fn read(
        &mut self,
        stage: &str,
        input: StageId,
        number: usize,
    ) -> Result<(SchemaRef, usize), StreamError> {
        if self.shapes.get(input.0).is_some_and(|shape| shape.corrects) {
            return Err(StreamError::Shape {
                stage: stage.into(),
                reason: "reads a window with an allowed lateness, whose rows may still change: give that window none, or let it be the last stage",
            });
        }
        self.take(stage, input, number)
    }

    /// Makes a stage the input of the one that is added next.
    fn take(
        &mut self,
        stage: &str,
        input: StageId,
        number: usize,
    ) -> Result<(SchemaRef, usize), StreamError> {
        let next = self.stages.len();
        let wrong = |reason| StreamError::Shape { stage: stage.into(), reason };
        let (Some(read), Some(shape)) = (self.stages.get_mut(input.0), self.shapes.get(input.0)) else {
            return Err(wrong("reads a stage of another pipeline"));
        };
        if read.consumer.replace((next, number)).is_some() {
            return Err(wrong("reads a stage that another one reads already"));
        }
        Ok((Arc::clone(&read.schema), shape.time))
    }

    fn operator(
        &mut self,
        name: &str,
        operator: Box<dyn Operator>,
        schema: SchemaRef,
        shape: Shape,
    ) -> Result<StageId, StreamError> {
        self.add(name, Work::Operator(operator), schema, shape)
    }

    fn add(
        &mut self,
        name: &str,
        work: Work,
        schema: SchemaRef,
        shape: Shape,
    ) -> Result<StageId, StreamError> {
        if self.stages.len() >= STAGES_MAX {
            let reason = format!("a pipeline has at most {STAGES_MAX} stages");
            return Err(StreamError::parameter(name, reason));
        }
        if self.stages.iter().any(|stage| stage.figures.name == name) {
            return Err(StreamError::Shape { stage: name.into(), reason: "has the name of another stage" });
        }
        self.stages.push(Stage { work, schema, consumer: None, figures: no_figures(name) });
        self.shapes.push(shape);
        Ok(StageId(self.stages.len() - 1))
    }
}

/// Names and types of columns in words that no version of Arrow changes, as far as types have such words here.
fn columns_text(schema: &Schema) -> String {
    let columns = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Boolean => "boolean".into(),
            DataType::Int8 => "int8".into(),
            DataType::Int16 => "int16".into(),
            DataType::Int32 => "int32".into(),
            DataType::Int64 => "int64".into(),
            DataType::Float32 => "float32".into(),
            DataType::Float64 => "float64".into(),
            DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
            DataType::Utf8 => "utf8".into(),
            DataType::Utf8View => "utf8view".into(),
            DataType::Binary => "binary".into(),
            DataType::Date32 => "date32".into(),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                format!("timestamp({})", zone.as_deref().unwrap_or(""))
            }
            other => format!("{other:?}"),
        };
        format!("{:?} {data_type}{}", field.name(), if field.is_nullable() { "?" } else { "" })
    });
    columns.collect::<Vec<_>>().join(", ")
}
