//! Events as OpenLineage has them (spec 2-0-2). A run is a job of the project with a run of its own; each step is a job with a
//! run whose parent it is.
//!
//! Events are made without `eventTime`: it is the instant that is kept with the message, because the last words of interrupted
//! work are told at another time than they were made.

use arrow::datatypes::{DataType, Schema};
use millstream_plan::Reason;
use millstream_sql::{ColumnRef, Direct, Indirect, TableLineage};
use millstream_state::{CheckResult, NewMessage, StepOutcome};
use millstream_types::{AssetId, RunId, Severity, TimestampMicros};
use serde_json::{Map, Value, json};

use super::{OPENLINEAGE, Surroundings, ToldRun, place};
use crate::{RunReport, StepReport, assets::table_of, engine::World, event::CheckReport};

const PRODUCER: &str = concat!("https://millstream.dev/millstream/", env!("CARGO_PKG_VERSION"));
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const FACETS: &str = "https://openlineage.io/spec/facets";

/// The job that stands for runs of the project.
const RUN_JOB: &str = "run";

/// The event as a message for the receiver.
pub(super) fn message(event: Value) -> NewMessage {
    NewMessage { receiver: OPENLINEAGE, message: event.to_string() }
}

/// The event with the instant at which that was which it tells.
pub(super) fn at(message: &str, at: TimestampMicros) -> String {
    let time = instant(at);
    match message.strip_prefix('{') {
        Some(rest) => format!("{{\"eventTime\":\"{time}\",{rest}"),
        None => message.to_owned(),
    }
}

/// An event of a run: `kind` is `START`, `COMPLETE`, `FAIL` or `ABORT`.
pub(super) fn run_event(world: &World, run: ToldRun<'_>, kind: &str, error: Option<&str>) -> Value {
    let mut facets = engine_facet();
    facets.insert(
        "nominalTime".into(),
        facet("1-0-1/NominalTimeRunFacet", json!({"nominalStartTime": instant(run.asked)})),
    );
    facets.extend(error.map(|error| ("errorMessage".to_owned(), error_facet(error))));
    let job_facets = json!({
        "jobType": job_type("JOB"),
        "documentation": facet("1-1-0/DocumentationJobFacet", json!({"description": run.command})),
    });
    json!({
        "eventType": kind,
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": run.run.as_str(), "facets": facets},
        "job": {"namespace": namespace(world), "name": run_job(world), "facets": job_facets},
        "inputs": [],
        "outputs": [],
    })
}

/// The end of a run.
pub(super) fn run_end(world: &World, run: ToldRun<'_>, report: &RunReport, broke: Option<&str>) -> Value {
    let failed = report.steps.iter().find_map(|step| failure(&step.outcome).map(|error| (step, error)));
    let error = match (broke, failed) {
        (Some(broke), _) => Some(broke.to_owned()),
        (None, Some((step, error))) => Some(format!("{}: {error}", step.asset)),
        (None, None) => None,
    };
    let kind = match (report.cancelled, report.succeeded()) {
        (true, _) => "ABORT",
        (false, true) => "COMPLETE",
        (false, false) => "FAIL",
    };
    run_event(world, run, kind, error.as_deref())
}

/// An event of a step of which only the plan is known.
pub(super) fn step_event(world: &World, run: &RunId, asset: &AssetId, reason: &Reason, kind: &str) -> Value {
    let inputs: Vec<_> = inputs(world, asset).into_iter().map(Dataset::into_value).collect();
    let outputs: Vec<_> = output(world, asset).map(Dataset::into_value).into_iter().collect();
    event(world, run, asset, kind, step_facets(world, run, reason), inputs, outputs)
}

/// The end of a step, with all that is known of what it made.
pub(super) fn step_end(world: &World, run: &RunId, report: &StepReport, found: &Surroundings) -> Value {
    let asset = &report.asset;
    let kind = match &report.outcome {
        StepOutcome::Built | StepOutcome::Unchanged => "COMPLETE",
        StepOutcome::Halted { .. } | StepOutcome::Failed { .. } => "FAIL",
        StepOutcome::Skipped { .. } | StepOutcome::Cancelled => "ABORT",
    };
    let mut facets = step_facets(world, run, &report.reason);
    facets.extend(failure(&report.outcome).map(|error| ("errorMessage".to_owned(), error_facet(&error))));
    if !report.checks.is_empty() {
        let tests: Vec<_> = report.checks.iter().map(test).collect();
        facets.insert("test".into(), facet("1-0-1/TestRunFacet", json!({"tests": tests})));
    }
    let versions = report.recorded.as_ref().map(|recorded| &recorded.input_versions);
    let inputs = inputs(world, asset).into_iter().map(|mut input| {
        let version = versions.and_then(|versions| versions.get(&input.asset));
        if let Some(version) = version {
            input.facets.insert("version".into(), version_facet(version.number()));
        }
        if let Some(checks) = found.checks.get(&input.asset).filter(|checks| !checks.is_empty()) {
            let assertions: Vec<_> = checks.iter().map(assertion).collect();
            input.own_facets.insert(
                "dataQualityAssertions".into(),
                facet("1-1-0/DataQualityAssertionsDatasetFacet", json!({"assertions": assertions})),
            );
        }
        input.into_value()
    });
    let inputs = inputs.collect();
    let output = output(world, asset).map(|mut output| {
        describe(world, &mut output, report, found);
        output.into_value()
    });
    event(world, run, asset, kind, facets, inputs, output.into_iter().collect())
}

/// Adds what is known of the dataset that a step has made.
fn describe(world: &World, output: &mut Dataset, report: &StepReport, found: &Surroundings) {
    if let Some(snapshot) = &found.output {
        output.facets.insert("schema".into(), schema_facet(&snapshot.schema()));
        let metrics =
            json!({"rowCount": snapshot.rows(), "fileCount": snapshot.files().len(), "columnMetrics": {}});
        output.facets.insert(
            "dataQualityMetrics".into(),
            facet("1-0-0/DataQualityMetricsDatasetFacet", without_nulls(metrics)),
        );
    }
    if let Some(version) = report.version {
        output.facets.insert("version".into(), version_facet(version.number()));
    }
    if let Some(lineage) = lineage(world, &report.asset, found) {
        output.facets.insert("columnLineage".into(), lineage);
    }
    if matches!(report.outcome, StepOutcome::Built) {
        let written = report.figures.as_ref().and_then(|figures| figures.bytes_written);
        let rows = report.receipt.map_or(report.rows_written, |receipt| receipt.rows_out);
        let statistics = without_nulls(json!({"rowCount": rows, "size": written}));
        output
            .own_facets
            .insert("outputStatistics".into(), facet("1-0-2/OutputStatisticsOutputDatasetFacet", statistics));
    }
}

fn event(
    world: &World,
    run: &RunId,
    asset: &AssetId,
    kind: &str,
    facets: Map<String, Value>,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
) -> Value {
    let mut job_facets = Map::new();
    job_facets.insert("jobType".into(), job_type("TASK"));
    let table = table_of(asset).ok().and_then(|table| world.project.table(&table));
    if let Some(spec) = table {
        let query = json!({"query": spec.sql.value, "dialect": "datafusion"});
        job_facets.insert("sql".into(), facet("1-1-0/SQLJobFacet", query));
    }
    json!({
        "eventType": kind,
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {"runId": step_run(run, asset), "facets": facets},
        "job": {"namespace": namespace(world), "name": step_job(world, asset), "facets": job_facets},
        "inputs": inputs,
        "outputs": outputs,
    })
}

fn step_facets(world: &World, run: &RunId, reason: &Reason) -> Map<String, Value> {
    let mut facets = engine_facet();
    let parent = json!({
        "run": {"runId": run.as_str()},
        "job": {"namespace": namespace(world), "name": run_job(world)},
        "root": {
            "run": {"runId": run.as_str()},
            "job": {"namespace": namespace(world), "name": run_job(world)},
        },
    });
    facets.insert("parent".into(), facet("1-2-0/ParentRunFacet", parent));
    let own = json!({
        "_producer": PRODUCER,
        "_schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet",
        "reason": reason.as_str(),
        "because": reason.to_string(),
    });
    facets.insert("millstream_reason".into(), own);
    facets
}

/// A dataset that is read or written.
struct Dataset {
    asset: AssetId,
    namespace: String,
    name: String,
    facets: Map<String, Value>,
    /// The facets of the dataset's part in this run alone.
    own_facets: Map<String, Value>,
    own_word: &'static str,
}

impl Dataset {
    fn into_value(self) -> Value {
        let mut value = json!({"namespace": self.namespace, "name": self.name, "facets": self.facets});
        if !self.own_facets.is_empty() {
            value[self.own_word] = Value::Object(self.own_facets);
        }
        value
    }
}

/// What a step reads: its inputs in the graph, and of a source the data outside.
fn inputs(world: &World, asset: &AssetId) -> Vec<Dataset> {
    let table = table_of(asset).ok();
    if let Some(source) = table.and_then(|table| world.project.source(&table)) {
        return vec![outside(world, asset, source.name.as_str())];
    }
    let inputs = world.project.graph.inputs(asset);
    inputs.map(|input| dataset(world, &input.id, "inputFacets")).collect()
}

/// The data outside from which a source is landed. Its connector alone knows where that is, so that it is named by the source.
fn outside(world: &World, asset: &AssetId, source: &str) -> Dataset {
    Dataset {
        asset: asset.clone(),
        namespace: namespace(world).to_owned(),
        name: format!("source:{source}"),
        facets: Map::new(),
        own_facets: Map::new(),
        own_word: "inputFacets",
    }
}

fn output(world: &World, asset: &AssetId) -> Option<Dataset> {
    world.project.graph.get(asset).map(|_| dataset(world, asset, "outputFacets"))
}

/// An asset as a dataset: a table by its place in the lake, anything else by its name in the project.
fn dataset(world: &World, asset: &AssetId, own_word: &'static str) -> Dataset {
    let (namespace, name) = match table_of(asset) {
        Ok(table) => place(&world.project.spec.environment.lake, &table),
        Err(_) => (namespace(world).to_owned(), asset.to_string()),
    };
    Dataset { asset: asset.clone(), namespace, name, facets: Map::new(), own_facets: Map::new(), own_word }
}

/// The columns that each column is made of.
fn lineage(world: &World, asset: &AssetId, found: &Surroundings) -> Option<Value> {
    let table = table_of(asset).ok()?;
    if let Some(analysis) = world.project.analysis.tables.get(&table) {
        return Some(facet("1-2-0/ColumnLineageDatasetFacet", table_lineage(world, analysis.lineage())));
    }
    let source = world.project.source(&table)?;
    let schema = found.output.as_ref()?.schema();
    // The landing adds its own columns, which begin with `_`, and changes no other.
    let landed = schema.fields().iter().filter(|field| !field.name().starts_with('_'));
    let fields: Map<String, Value> = landed
        .map(|field| {
            let input = json!({
                "namespace": namespace(world),
                "name": format!("source:{}", source.name),
                "field": field.name(),
                "transformations": [{"type": "DIRECT", "subtype": "IDENTITY", "masking": false}],
            });
            (field.name().clone(), json!({"inputFields": [input]}))
        })
        .collect();
    Some(facet("1-2-0/ColumnLineageDatasetFacet", json!({"fields": fields})))
}

fn table_lineage(world: &World, lineage: &TableLineage) -> Value {
    let direct = |(column, kind): (&ColumnRef, &Direct)| {
        let subtype = match kind {
            Direct::Identity => "IDENTITY",
            Direct::Transformation => "TRANSFORMATION",
            Direct::Aggregation => "AGGREGATION",
        };
        input_field(world, column, "DIRECT", subtype)
    };
    let indirect = |(column, kind): &(ColumnRef, Indirect)| {
        let subtype = match kind {
            Indirect::Join => "JOIN",
            Indirect::Filter => "FILTER",
            Indirect::GroupBy => "GROUP_BY",
            Indirect::Sort => "SORT",
            Indirect::Window => "WINDOW",
            Indirect::Conditional => "CONDITION",
        };
        input_field(world, column, "INDIRECT", subtype)
    };
    let fields: Map<String, Value> = lineage
        .columns
        .iter()
        .map(|(name, inputs)| {
            let inputs: Vec<_> =
                inputs.direct.iter().map(direct).chain(inputs.indirect.iter().map(indirect)).collect();
            (name.clone(), json!({"inputFields": inputs}))
        })
        .collect();
    let rows: Vec<_> = lineage.rows.iter().map(indirect).collect();
    json!({"fields": fields, "dataset": rows})
}

fn input_field(world: &World, column: &ColumnRef, kind: &str, subtype: &str) -> Value {
    let (namespace, name) = place(&world.project.spec.environment.lake, &column.table);
    json!({
        "namespace": namespace,
        "name": name,
        "field": column.column,
        "transformations": [{"type": kind, "subtype": subtype, "masking": false}],
    })
}

fn schema_facet(schema: &Schema) -> Value {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(place, field)| {
            json!({"name": field.name(), "type": type_word(field.data_type()), "ordinal_position": place + 1})
        })
        .collect();
    facet("1-2-0/SchemaDatasetFacet", json!({"fields": fields}))
}

/// The type in Millstream's own words, where it has some.
fn type_word(data_type: &DataType) -> String {
    millstream_connector::column_type(data_type)
        .map_or_else(|| data_type.to_string(), |column_type| column_type.to_string())
}

fn version_facet(version: i64) -> Value {
    facet("1-0-1/DatasetVersionDatasetFacet", json!({"datasetVersion": version.to_string()}))
}

fn test(check: &CheckReport) -> Value {
    let actual = check.observed.clone().unwrap_or_else(|| check.failed.to_string());
    json!({
        "name": check.check.as_str(),
        "status": if check.passed { "pass" } else { "fail" },
        "severity": severity(check.severity),
        "type": kind_of(check.check.as_str()),
        "actual": actual,
    })
}

fn assertion(check: &CheckResult) -> Value {
    let actual = check.observed.clone().unwrap_or_else(|| check.failed.to_string());
    let mut value = json!({
        "assertion": kind_of(check.check.as_str()),
        "success": check.passed,
        "severity": severity(check.severity),
        "name": check.check.as_str(),
        "actual": actual,
    });
    if let Some(column) = column_of(check.check.as_str()) {
        value["column"] = json!(column);
    }
    value
}

/// A check that quarantines rows blocks nothing.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Halt => "error",
        Severity::Warn | Severity::Quarantine => "warn",
    }
}

/// The kind of a check that has no name of its own: `not_null(id)` is a `not_null`.
fn kind_of(check: &str) -> &str {
    check.split('(').next().unwrap_or(check)
}

/// The column of a check of one column.
fn column_of(check: &str) -> Option<&str> {
    let inner = check.split_once('(')?.1.strip_suffix(')')?;
    (!inner.contains([',', ' ', '(']) && !inner.is_empty()).then_some(inner)
}

/// Why a step did not end well; `None` when it did, or never came to it.
fn failure(outcome: &StepOutcome) -> Option<String> {
    match outcome {
        StepOutcome::Failed { code, error, .. } => Some(format!("{error} ({code})")),
        StepOutcome::Halted { reason, .. } => Some(reason.clone()),
        StepOutcome::Built
        | StepOutcome::Unchanged
        | StepOutcome::Skipped { .. }
        | StepOutcome::Cancelled => None,
    }
}

fn error_facet(message: &str) -> Value {
    facet("1-0-1/ErrorMessageRunFacet", json!({"message": message, "programmingLanguage": "RUST"}))
}

fn engine_facet() -> Map<String, Value> {
    let engine = json!({"name": "Millstream", "version": env!("CARGO_PKG_VERSION")});
    Map::from_iter([("processing_engine".to_owned(), facet("1-1-1/ProcessingEngineRunFacet", engine))])
}

fn job_type(kind: &str) -> Value {
    let fields = json!({"processingType": "BATCH", "integration": "MILLSTREAM", "jobType": kind});
    facet("2-0-4/JobTypeJobFacet", fields)
}

/// A facet with the address of its schema, such as `1-2-0/SchemaDatasetFacet`.
fn facet(schema: &str, fields: Value) -> Value {
    let name = schema.rsplit('/').next().unwrap_or(schema);
    let mut facet = Map::new();
    facet.insert("_producer".into(), json!(PRODUCER));
    facet.insert("_schemaURL".into(), json!(format!("{FACETS}/{schema}.json#/$defs/{name}")));
    if let Value::Object(fields) = fields {
        facet.extend(fields);
    }
    Value::Object(facet)
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

fn namespace(world: &World) -> &str {
    let openlineage = world.project.spec.telemetry.openlineage.as_ref();
    openlineage.map_or(world.project.spec.name.as_str(), |openlineage| openlineage.namespace.as_str())
}

fn run_job(world: &World) -> String {
    format!("{}.{RUN_JOB}", world.project.spec.name)
}

fn step_job(world: &World, asset: &AssetId) -> String {
    format!("{}.{asset}", world.project.spec.name)
}

/// The id of a step's run: the same whenever the step of this run is told of.
pub(super) fn step_run(run: &RunId, asset: &AssetId) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"millstream step\0").update(run.as_str().as_bytes()).update(b"\0");
    hasher.update(asset.as_str().as_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

pub(super) fn instant(time: TimestampMicros) -> String {
    chrono::DateTime::from_timestamp_micros(time.0)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
        .unwrap_or_default()
}
