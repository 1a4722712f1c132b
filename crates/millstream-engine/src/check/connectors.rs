//! Connectors, connections and files of labels, checked by those who will read them, without touching data.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use millstream_connector::{
    ConnectionConfig, ConnectorConfig, ConnectorFactory, NamedConnection, OptionProblem,
};
use millstream_project::{
    ConnectionSpec, ConnectorSpec, DatasetSpec, Diagnostic, LabelOrigin, Located, Node, SourceSpec, nearest,
};
use millstream_types::SourceName;

/// The checked options of connections by name.
pub(super) type ConnectionConfigs = BTreeMap<String, Arc<dyn ConnectionConfig>>;

/// The checked options of each source, and what is wrong with those of the others.
pub(super) fn validate_connectors(
    sources: &[SourceSpec],
    connections: &ConnectionConfigs,
    factories: &[Box<dyn ConnectorFactory>],
) -> (BTreeMap<SourceName, Box<dyn ConnectorConfig>>, Vec<Diagnostic>) {
    let mut configs = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for source in sources {
        match validate_connector(&source.connector, connections, factories) {
            Ok(Some(config)) => {
                configs.insert(source.name.clone(), config);
            }
            Ok(None) => {}
            Err(found) => add(&mut diagnostics, found),
        }
    }
    (configs, diagnostics)
}

/// Adds the faults of one source. The tables of one file share their options, so a fault that another table has at the
/// same place is not added again.
fn add(diagnostics: &mut Vec<Diagnostic>, found: Vec<Diagnostic>) {
    let said: Vec<_> = diagnostics.iter().map(|other| (other.code, other.at)).collect();
    diagnostics.extend(found.into_iter().filter(|found| !said.contains(&(found.code, found.at))));
}

/// The checked options of a source's connector; `None` when the connection that it names has faults of its own.
fn validate_connector(
    connector: &ConnectorSpec,
    connections: &ConnectionConfigs,
    factories: &[Box<dyn ConnectorFactory>],
) -> Result<Option<Box<dyn ConnectorConfig>>, Vec<Diagnostic>> {
    let factory = factory(&connector.kind, "connector", factories)?;
    let connection = match &connector.connection {
        None => None,
        Some(name) => {
            if factory.connection().is_none() {
                let message = format!("a connector of type `{}` has no connections", connector.kind);
                return Err(vec![
                    Diagnostic::error("MS-0712", message, name.at).with_hint("leave `connection` out"),
                ]);
            }
            match connections.get(&name.value) {
                Some(config) => Some(NamedConnection { name: &name.value, config: &**config }),
                None => return Ok(None),
            }
        }
    };
    let checked = factory.validate(&connector.options.to_json(), connection);
    checked.map(Some).map_err(|problems| placed(problems, &connector.options, connector.has_gap))
}

/// The checked options of each connection, and what is wrong with those of the others.
pub(super) fn validate_connections(
    connections: &[ConnectionSpec],
    factories: &[Box<dyn ConnectorFactory>],
) -> (ConnectionConfigs, Vec<Diagnostic>) {
    let mut configs = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for connection in connections {
        match validate_connection(connection, factories) {
            Ok(config) => {
                configs.insert(connection.name.clone(), config);
            }
            Err(found) => diagnostics.extend(found),
        }
    }
    (configs, diagnostics)
}

fn validate_connection(
    connection: &ConnectionSpec,
    factories: &[Box<dyn ConnectorFactory>],
) -> Result<Arc<dyn ConnectionConfig>, Vec<Diagnostic>> {
    let factory = factory(&connection.kind, "connection", factories)?;
    let Some(factory) = factory.connection() else {
        let message = format!("a connector of type `{}` has no connections", connection.kind);
        let hint = "write its options into the source";
        return Err(vec![Diagnostic::error("MS-0711", message, connection.kind.at).with_hint(hint)]);
    };
    factory
        .validate(&connection.options.to_json())
        .map_err(|problems| placed(problems, &connection.options, connection.has_gap))
}

fn factory<'a>(
    kind: &Located<String>,
    noun: &str,
    factories: &'a [Box<dyn ConnectorFactory>],
) -> Result<&'a dyn ConnectorFactory, Vec<Diagnostic>> {
    if let Some(factory) = factories.iter().find(|factory| factory.kind() == kind.value) {
        return Ok(&**factory);
    }
    let known = factories.iter().map(|factory| factory.kind());
    let hint = match nearest(&kind.value, known.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("this build knows: {}", known.collect::<Vec<_>>().join(", ")),
    };
    let message = format!("no {noun} of type `{}`", kind.value);
    Err(vec![Diagnostic::error("MS-0711", message, kind.at).with_hint(hint)])
}

fn placed(mut problems: Vec<OptionProblem>, options: &Node, has_gap: bool) -> Vec<Diagnostic> {
    // What is wrong with the options as a whole is that one is missing; it may be one that was left out.
    problems.retain(|problem| !(problem.path.is_empty() && has_gap));
    let diagnostic = |problem: OptionProblem| {
        let diagnostic = Diagnostic::error("MS-0712", problem.message, options.at_path(&problem.path));
        Diagnostic { hint: problem.hint, ..diagnostic }
    };
    problems.into_iter().map(diagnostic).collect()
}

/// The tables that the patterns of a source of many can mean.
pub(super) fn find_tables(
    project_root: &Path,
    connector: &ConnectorSpec,
    connections: &[ConnectionSpec],
    factories: &[Box<dyn ConnectorFactory>],
) -> Result<Vec<String>, Vec<Diagnostic>> {
    let named = connector.connection.as_ref();
    let named: Vec<_> = named
        .and_then(|name| connections.iter().find(|connection| connection.name == name.value))
        .cloned()
        .into_iter()
        .collect();
    // What is wrong with the connection itself is said where it is defined.
    let (connections, _) = validate_connections(&named, factories);
    if validate_connector(connector, &connections, factories)?.is_none() {
        return Ok(Vec::new());
    }
    let factory = factory(&connector.kind, "connector", factories)?;
    let connection = named.first().and_then(|named| {
        let config = connections.get(&named.name)?;
        Some(NamedConnection { name: &named.name, config: &**config })
    });
    factory
        .tables(&connector.options.to_json(), connection, project_root)
        .map_err(|problem| placed(vec![problem], &connector.options, false))
}

/// Label files are read by the connector that reads files by their path alone.
pub(super) fn validate_label_files(
    datasets: &[DatasetSpec],
    factories: &[Box<dyn ConnectorFactory>],
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Box<dyn ConnectorConfig>> {
    let mut configs = BTreeMap::new();
    for dataset in datasets {
        let LabelOrigin::File(path) = &dataset.labels.origin else { continue };
        let checked = factories.iter().find_map(|factory| {
            factory.options_of_file(&path.value).map(|options| factory.validate(&options, None))
        });
        match checked {
            Some(Ok(config)) => {
                configs.insert(dataset.name.clone(), config);
            }
            Some(Err(problems)) => diagnostics.extend(problems.into_iter().map(|problem| {
                let message = format!("the labels in `{}` cannot be read: {}", path.value, problem.message);
                Diagnostic::error("MS-0722", message, path.at)
                    .with_hint("labels are read from Parquet, Avro, CSV with a header line, or JSON lines")
            })),
            None => {
                let message = "no connector of this build reads files of labels";
                diagnostics.push(Diagnostic::error("MS-0722", message, path.at));
            }
        }
    }
    configs
}
