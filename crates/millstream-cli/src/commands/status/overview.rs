//! The last run, and where each asset stands, one line each.

use std::collections::BTreeMap;

use millstream_engine::{AssetStatus, ConnectionStatus, RepairRecord, RepairState, Status};
use millstream_schedule::{CircuitState, circuit_words, shown};
use millstream_state::{HeldLease, LeaseToken};
use millstream_types::{AssetId, Severity, TimestampMicros};

use crate::{
    human,
    output::{BAD, CAUTION, FAINT, GOOD, STRONG, styled},
    show::table::table,
    standing::{Standing, Trouble, between},
};

/// The text for people.
pub(super) fn text(status: &Status) -> String {
    let mut text = match &status.last_run {
        None => "No run yet; `millstream run` makes the first one\n".to_owned(),
        Some(run) => {
            let outcome = run.outcome.map_or("under way", |outcome| outcome.as_str());
            let took = run
                .finished
                .map(|finished| format!(" in {}", human::duration(between(run.started, finished))));
            format!(
                "{} `{}` {outcome}{}, {}\n",
                styled(STRONG, "Last run:"),
                run.command,
                took.unwrap_or_default(),
                human::ago(between(run.started, status.now)),
            )
        }
    };
    if let Some(failed) = &status.failed_reload {
        text.push_str(&format!(
            "{} `millstream serve` goes on with the project as it was: {}, {}\n",
            styled(CAUTION, '!'),
            failed.message,
            human::ago(between(failed.at, status.now)),
        ));
    }
    if status.assets.is_empty() {
        return text;
    }
    let mut rows: Vec<Vec<String>> = status.assets.iter().map(|asset| row(asset, status.now)).collect();
    let mut header = vec!["asset", "kind", "version", "rows", "built", "state", "checks"];
    let leases = leases(&status.assets);
    if !leases.is_empty() {
        header.push("written by");
        rows.iter_mut().zip(&status.assets).for_each(|(row, asset)| row.push(writer(asset)));
    }
    let right: Vec<bool> = header.iter().map(|name| ["version", "rows"].contains(name)).collect();
    text.push('\n');
    text.push_str(&table(&header, &rows, &right));
    text.push_str(&super::pipelines::text(status));
    for lease in leases.values() {
        let assets = human::count(lease.assets.len() as u64, "asset");
        text.push_str(&format!("\n{} {}\n", styled(CAUTION, '●'), at_work(lease, &assets, status.now)));
    }
    text.push_str(&held(status));
    for asset in &status.assets {
        if let Some((ended, trouble)) = Standing::of(asset).trouble() {
            text.push_str(&format!("\n{}", told(asset, ended, trouble)));
        }
    }
    let stale = status.assets.iter().filter_map(|asset| stale(asset, status.now));
    let stale: Vec<String> = stale.collect();
    if !stale.is_empty() {
        text.push_str(&format!("\n{}", stale.concat()));
    }
    for alarm in status.housekeeping.iter().flat_map(|status| &status.alarms) {
        let help = styled(GOOD, "help:");
        text.push_str(&format!("\n{} {}\n  {help} {}\n", styled(CAUTION, '!'), alarm.message, alarm.hint));
    }
    text
}

/// Says that assets are not among those above, because their files or what they read have errors; those that were built are named.
pub(super) fn not_loaded<'a>(built: impl Iterator<Item = &'a AssetId>) -> String {
    let mut text =
        built.map(|asset| format!("\n{} {asset} is not loaded", styled(BAD, '✗'))).collect::<String>();
    text.push_str(&format!(
        "\n{} assets are left out whose files have errors; a server that runs goes on with what it had loaded before\n  {} `millstream check` shows the errors\n",
        styled(CAUTION, '!'),
        styled(GOOD, "help:"),
    ));
    text
}

/// What waits for places that do not answer, and what is set aside.
fn held(status: &Status) -> String {
    let place = |connection: &ConnectionStatus| {
        let since = connection.since.map(|since| format!(", {}", human::ago(between(since, status.now))));
        let until = match connection.circuit {
            CircuitState::Open { until } => format!("steps wait until {}", shown(until)),
            CircuitState::Closed | CircuitState::HalfOpen => "the next step tries".to_owned(),
        };
        let words = circuit_words(&connection.name);
        format!("\n{} {words} opened{}: {until}\n", styled(CAUTION, '●'), since.unwrap_or_default())
    };
    let mut text: String = status.held.iter().map(place).collect();
    for (asset, aside) in &status.aside {
        let ago = human::ago(between(aside.since, status.now));
        text.push_str(&format!(
            "\n{} {asset} was set aside {ago}, after too many failures in a row\n  {} `millstream schedule resume {asset}` lets it run by itself again\n",
            styled(CAUTION, '●'),
            styled(GOOD, "help:"),
        ));
    }
    for breaker in &status.breakers {
        let ago = human::ago(between(breaker.opened, status.now));
        text.push_str(&format!(
            "\n{} the breaker of bronze.{source} opened {ago}: {}\n  {} events are kept in the log; correct the contract, or `millstream source resume {source}`\n",
            styled(BAD, '●'),
            breaker.examples,
            styled(GOOD, "help:"),
            source = breaker.source,
        ));
    }
    for repair in &status.repairs {
        let ago = human::ago(between(repair.found, status.now));
        let RepairRecord { asset, code, cause, .. } = repair;
        let then = match repair.state {
            RepairState::GivenUp => "it is left to you",
            _ => "it is to be made again by `millstream serve`",
        };
        text.push_str(&format!(
            "\n{} {asset} was found damaged {ago}: {cause} ({code}); {then}\n  {} `millstream run --full-refresh {asset}` makes it again now, `millstream repairs --clear {asset}` takes the note back\n",
            styled(BAD, '●'),
            styled(GOOD, "help:"),
        ));
    }
    text
}

fn row(asset: &AssetStatus, now: TimestampMicros) -> Vec<String> {
    let none = || styled(FAINT, "-");
    let recorded = asset.recorded.as_ref();
    let version = recorded.and_then(|recorded| recorded.version);
    let rows = recorded.and_then(|recorded| recorded.rows);
    vec![
        asset.asset.to_string(),
        asset.kind.as_str().to_owned(),
        match (version, asset.published.filter(|published| Some(*published) != version)) {
            (Some(version), Some(published)) => format!("v{version} (read: v{published})"),
            (version, _) => version.map_or_else(none, |version| format!("v{version}")),
        },
        rows.map_or_else(none, human::thousands),
        recorded.map_or_else(none, |recorded| human::ago(between(recorded.built_at, now))),
        state(Standing::of(asset)),
        checks(asset),
    ]
}

/// The leases under which the assets are written, by token.
fn leases(assets: &[AssetStatus]) -> BTreeMap<LeaseToken, &HeldLease> {
    let leases = assets.iter().filter_map(|asset| asset.lease.as_deref());
    leases.map(|lease| (lease.token, lease)).collect()
}

/// `pid 4711`; a line below the table says more of it.
fn writer(asset: &AssetStatus) -> String {
    match &asset.lease {
        Some(lease) => styled(CAUTION, format!("pid {}", lease.holder.pid)),
        None => styled(FAINT, "-"),
    }
}

/// Who works on `what` under the lease.
pub(super) fn at_work(lease: &HeldLease, what: &str, now: TimestampMicros) -> String {
    lease.holder.works_on(what, lease.holder.age(now))
}

/// `12 of 14 passed`; rows that were quarantined are no trouble of the table.
fn checks(asset: &AssetStatus) -> String {
    if asset.checks.is_empty() {
        return styled(FAINT, "-");
    }
    let (total, passed) = (asset.checks.len(), asset.checks.iter().filter(|check| check.passed).count());
    let said = format!("{passed} of {total} passed");
    let worst = asset.checks.iter().filter(|check| !check.passed).map(|check| check.severity).max();
    match worst {
        None => said,
        Some(Severity::Halt) => styled(BAD, said),
        Some(Severity::Warn | Severity::Quarantine) => styled(CAUTION, said),
    }
}

/// The word for where an asset stands.
pub(super) fn state(standing: Standing<'_>) -> String {
    match standing {
        Standing::View => styled(FAINT, "-"),
        Standing::NeverBuilt => styled(FAINT, "never built"),
        Standing::Built => styled(GOOD, "good"),
        Standing::Stale(_) => styled(CAUTION, "stale"),
        Standing::Incomplete(_) => styled(CAUTION, "incomplete"),
        Standing::Halted(_) => styled(BAD, "halted"),
        Standing::Failed(_) => styled(BAD, "failed"),
        Standing::Unreadable(_) => styled(BAD, "unreadable"),
    }
}

/// Why an asset whose last step has ended well is not what it should be, the line break included.
pub(super) fn stale(asset: &AssetStatus, now: TimestampMicros) -> Option<String> {
    let Standing::Stale(stale) = Standing::of(asset) else { return None };
    Some(format!("{} {}\n", styled(CAUTION, '●'), human::stale(&asset.asset, stale, now)))
}

/// What is wrong and what to do, the line breaks included.
pub(super) fn told(asset: &AssetStatus, ended: &str, trouble: Trouble<'_>) -> String {
    let kept = if asset.recorded.is_none() { ", and was never built" } else { "" };
    let hint = trouble.hint.map(|hint| format!("  {} {hint}\n", styled(GOOD, "help:"))).unwrap_or_default();
    format!("{} {} {ended}{kept}: {trouble}\n{hint}", styled(BAD, '✗'), asset.asset)
}
