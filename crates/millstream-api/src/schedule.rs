//! When assets run by themselves, and why they did or did not.

use serde::Serialize;
use utoipa::ToSchema;

/// What comes next, and what was decided last.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleAnswer {
    /// Whether this server decides what runs by its triggers. One server of a project does; another waits to take its place.
    pub is_active: bool,
    /// The servers that run the steps, where several share the state store. Absent where this server runs each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<StepWorker>,
    /// The assets whose steps are due and wait for a server that has room for them, and the present definition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offered: Vec<String>,
    /// The next instants at which an asset is due or its source is listed, in order of time.
    pub next: Vec<NextTick>,
    /// The newest decisions first.
    pub decisions: Vec<ScheduleDecision>,
}

/// A server that runs steps.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepWorker {
    pub pid: u32,
    /// The name of its machine.
    pub host: Option<String>,
    /// RFC 3339.
    pub since: String,
    /// So many steps it runs at once at most.
    pub places: u64,
    pub running: Vec<WorkerStep>,
}

/// A step that a server runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkerStep {
    pub asset: String,
    /// When the server took it, RFC 3339.
    pub since: String,
    /// From 1; the second follows on one whose server has died.
    pub attempt: u32,
}

/// An instant at which an asset will be due, if nothing else happens before.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NextTick {
    /// RFC 3339.
    pub at: String,
    pub asset: String,
    /// What makes it due, as in `every 15m`.
    pub trigger: String,
}

/// What was decided of an asset that was due.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleDecision {
    /// RFC 3339.
    pub at: String,
    pub asset: String,
    /// `started`, `skipped` or `held`.
    pub decision: &'static str,
    /// The reasons, in words.
    pub because: String,
}

/// What a call of a webhook set off.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TriggerAnswer {
    pub trigger: String,
    /// The assets that are due for it. Each runs as soon as what it reads is up to date and there is room.
    pub due: Vec<String>,
}

/// The coming ticks of assets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleDocument {
    /// The instant after which the ticks come, RFC 3339.
    pub from: String,
    pub assets: Vec<AssetSchedule>,
}

/// When one asset runs by itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssetSchedule {
    pub asset: String,
    /// What makes it run: `on change`, `every 15m`, `cron 0 6 * * * Europe/Berlin`, `after silver.orders`, …
    pub triggers: Vec<String>,
    /// What becomes of ticks that came while nothing ran: `latest`, `all`, `none`.
    pub catch_up: &'static str,
    /// Among assets that wait, the higher goes first.
    pub priority: i8,
    /// The pools in each of which the asset's step takes one place.
    pub pools: Vec<String>,
    /// The coming ticks in order; none for triggers that wait for something else to happen.
    pub ticks: Vec<Tick>,
}

/// An instant at which an asset will be due, if nothing else happens before.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Tick {
    /// RFC 3339.
    pub at: String,
    /// The trigger.
    pub because: String,
    /// Whether the instant is a guess, since it depends on when runs end.
    pub is_estimate: bool,
}
