//! What the operating system says of this process. Where it does not say (`/proc` is Linux's), a figure stays absent.

use std::{fs, time::SystemTime};

use cpu_time::ProcessTime;
use prometheus::{Counter, IntGauge, Opts};

use super::Declare;

/// The figures of the process, by the names that exporters use everywhere.
#[derive(Debug)]
pub(super) struct ProcessFigures {
    cpu: Counter,
    resident: Option<IntGauge>,
    open_files: Option<IntGauge>,
    threads: Option<IntGauge>,
}

impl ProcessFigures {
    pub(super) fn declare(of: &Declare<'_>) -> Result<Self, prometheus::Error> {
        let build = Opts::new("millstream_build_info", "The version of Millstream that runs.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        of.add(IntGauge::with_opts(build)?)?.set(1);
        #[allow(
            clippy::disallowed_methods,
            reason = "the process's own beginning, by the clock that scrapers compare it with"
        )]
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let start = of.gauge(
            "process_start_time_seconds",
            "When the figures of the process began, in seconds since 1970.",
        )?;
        start.set(i64::try_from(began.as_secs()).unwrap_or(i64::MAX));
        let cpu = Counter::new("process_cpu_seconds_total", "Processor time of the process.")?;
        let of_system = |is_told: bool, name, help| is_told.then(|| of.gauge(name, help)).transpose();
        Ok(Self {
            cpu: of.add(cpu)?,
            resident: of_system(
                status("VmRSS:").is_some(),
                "process_resident_memory_bytes",
                "Memory of the process that is resident.",
            )?,
            open_files: of_system(open_files().is_some(), "process_open_fds", "Open file descriptors.")?,
            threads: of_system(status("Threads:").is_some(), "process_threads", "Threads of the process.")?,
        })
    }

    /// Asks the operating system.
    pub(super) fn update(&self) {
        if let Ok(now) = ProcessTime::try_now() {
            let more = now.as_duration().as_secs_f64() - self.cpu.get();
            // Two readers at once may both add; a counter never goes down.
            self.cpu.inc_by(more.max(0.0));
        }
        let set = |gauge: &Option<IntGauge>, value: Option<i64>| {
            if let (Some(gauge), Some(value)) = (gauge, value) {
                gauge.set(value);
            }
        };
        set(&self.resident, status("VmRSS:").map(|kilobytes| kilobytes.saturating_mul(1_024)));
        set(&self.open_files, open_files());
        set(&self.threads, status("Threads:"));
    }
}

/// The number in a line of what Linux says of the process.
fn status(key: &str) -> Option<i64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<i64> {
    // The folder that is read is open itself.
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    i64::try_from(count).ok()
}
