//! `millstream features show`: all that is known of a view, a feature or a service.

use chrono::DateTime;
use millstream_engine::{FeatureEntry, FeatureList, OnDemandEntry, ServiceEntry, ViewEntry};

use crate::{
    CliError, Exit,
    output::{self, FAINT, STRONG, styled},
    project,
    session::Session,
    show::table,
    wire::{FeatureDocument, Of, OnDemandDocument, ServiceDocument, ViewDocument},
};

/// Show a view, a feature (`view.feature`), an on-demand feature or a service
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Its name, as `millstream features list` shows it
    name: String,
    /// Of a view: compute null rates, quantiles and histograms of its features, for all entities as of its newest event
    #[arg(long)]
    statistics: bool,
}

pub(super) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open_sound(session)?, session).await?;
    if arguments.statistics {
        return super::figures::run(&engine, &arguments.name, session).await;
    }
    let list = engine.features().await?;
    let json = session.settings.json;
    match find(&list, &arguments.name)? {
        FeatureListEntry::View(view) if json => output::print_json(&ViewDocument::of(view))?,
        FeatureListEntry::View(view) => output::print(&view_text(view, list.is_store_open))?,
        FeatureListEntry::Feature(_, feature) if json => output::print_json(&FeatureDocument::of(feature))?,
        FeatureListEntry::Feature(view, feature) => output::print(&feature_text(view, feature))?,
        FeatureListEntry::OnDemand(one) if json => output::print_json(&OnDemandDocument::of(one))?,
        FeatureListEntry::OnDemand(one) => output::print(&on_demand_text(one))?,
        FeatureListEntry::Service(service) if json => output::print_json(&ServiceDocument::of(service))?,
        FeatureListEntry::Service(service) => output::print(&service_text(service))?,
    }
    Ok(Exit::Success)
}

/// The entry of the list that a name means.
enum FeatureListEntry<'a> {
    View(&'a ViewEntry),
    Feature(&'a ViewEntry, &'a FeatureEntry),
    OnDemand(&'a OnDemandEntry),
    Service(&'a ServiceEntry),
}

fn find<'a>(list: &'a FeatureList, name: &str) -> Result<FeatureListEntry<'a>, CliError> {
    if let Some((view, feature)) = name.split_once('.')
        && let Some(view) = list.views.iter().find(|known| known.name == view)
        && let Some(feature) = view.features.iter().find(|known| known.name == feature)
    {
        return Ok(FeatureListEntry::Feature(view, feature));
    }
    if let Some(view) = list.views.iter().find(|known| known.name == name) {
        return Ok(FeatureListEntry::View(view));
    }
    if let Some(service) = list.services.iter().find(|known| known.name == name) {
        return Ok(FeatureListEntry::Service(service));
    }
    if let Some(one) = list.on_demand.iter().find(|known| known.name == name) {
        return Ok(FeatureListEntry::OnDemand(one));
    }
    let features = list
        .views
        .iter()
        .flat_map(|view| view.features.iter().map(|feature| format!("{}.{}", view.name, feature.name)));
    let mut known: Vec<String> = features.collect();
    known.extend(list.views.iter().map(|view| view.name.clone()));
    known.extend(list.services.iter().map(|service| service.name.clone()));
    known.extend(list.on_demand.iter().map(|one| one.name.clone()));
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    Err(CliError::unknown("view, feature or service", name, &known))
}

/// A line for each property that is there.
fn properties(title: &str, lines: &[(&str, Option<String>)]) -> String {
    let mut text = format!("{}\n", styled(STRONG, title));
    for (name, value) in lines {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            text.push_str(&format!("  {}  {value}\n", styled(FAINT, format_args!("{name:<12}"))));
        }
    }
    text
}

fn instant(micros: i64) -> String {
    let at = DateTime::from_timestamp_micros(micros);
    at.map(|at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string()).unwrap_or_default()
}

fn view_text(view: &ViewEntry, is_store_open: bool) -> String {
    let keys: Vec<String> = view.keys.iter().map(|(name, data_type)| format!("{name} {data_type}")).collect();
    let online = view.materialized.as_ref().map(|done| {
        let versions: Vec<String> =
            done.versions.iter().map(|(table, version)| format!("{table} v{version}")).collect();
        format!("{} at {}", versions.join(", "), instant(done.at))
    });
    let newest = view.materialized.as_ref().and_then(|done| done.watermark).map(instant);
    let mut text = properties(
        &view.name,
        &[
            ("about", view.description.clone()),
            ("entity", Some(format!("{} ({})", view.entity, keys.join(", ")))),
            ("from", Some(view.from.clone())),
            ("time", Some(view.time.clone())),
            ("ttl", view.ttl.map(|ttl| ttl.to_string())),
            ("owner", view.owner.clone()),
            ("tags", Some(view.tags.join(", "))),
            (
                "online",
                Some(online.unwrap_or_else(|| match is_store_open {
                    true => "never materialised".to_owned(),
                    false => "the store is in use by a server".to_owned(),
                })),
            ),
            ("newest event", newest),
        ],
    );
    let rows: Vec<Vec<String>> = view
        .features
        .iter()
        .map(|feature| {
            vec![
                feature.name.clone(),
                feature.data_type.clone(),
                feature.definition.clone(),
                feature.services.join(", "),
            ]
        })
        .collect();
    text.push('\n');
    text.push_str(&table::table(
        &["feature", "type", "definition", "services"],
        &rows,
        &[false, false, false, false],
    ));
    text
}

fn feature_text(view: &ViewEntry, feature: &FeatureEntry) -> String {
    properties(
        &format!("{}.{}", view.name, feature.name),
        &[
            ("about", feature.description.clone()),
            ("type", Some(feature.data_type.clone())),
            ("definition", Some(feature.definition.clone())),
            ("entity", Some(view.entity.clone())),
            ("from", Some(view.from.clone())),
            ("sources", Some(feature.sources.join(", "))),
            ("owner", feature.owner.clone().or_else(|| view.owner.clone())),
            ("tags", Some(feature.tags.join(", "))),
            ("services", Some(feature.services.join(", "))),
            ("datasets", Some(feature.datasets.join(", "))),
            ("newest event", view.materialized.as_ref().and_then(|done| done.watermark).map(instant)),
        ],
    )
}

fn on_demand_text(one: &OnDemandEntry) -> String {
    let request: Vec<String> =
        one.request.iter().map(|(name, data_type)| format!("{name} {data_type}")).collect();
    properties(
        &one.name,
        &[
            ("about", one.description.clone()),
            ("type", Some(one.data_type.clone())),
            ("expression", Some(one.sql.clone())),
            ("features", Some(one.inputs.join(", "))),
            ("request", Some(request.join(", "))),
            ("owner", one.owner.clone()),
        ],
    )
}

fn service_text(service: &ServiceEntry) -> String {
    let versions: Vec<String> =
        service.versions.iter().map(|(version, at)| format!("{version} since {}", instant(at.0))).collect();
    let mut text = properties(
        &service.name,
        &[
            (
                "version",
                Some(match service.current {
                    Some(version) => version.to_string(),
                    None if service.is_defined => "new: nothing has served it yet".to_owned(),
                    None => "the project no longer has it".to_owned(),
                }),
            ),
            ("served", Some(versions.join(", "))),
            ("datasets", Some(service.datasets.join(", "))),
        ],
    );
    let rows: Vec<Vec<String>> =
        service.features.iter().map(|(name, data_type)| vec![name.clone(), data_type.clone()]).collect();
    text.push('\n');
    text.push_str(&table::table(&["feature", "type"], &rows, &[false, false]));
    text
}
