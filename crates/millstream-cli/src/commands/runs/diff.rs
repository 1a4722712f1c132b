//! `millstream runs diff`: what another run did differently.

use std::fmt::Write;

use millstream_api::figures::{Pair, RunDiff, StepDiff};

use crate::{
    CliError, Exit, human,
    output::{self, BAD, FAINT, STRONG, styled},
    project, runs,
    session::Session,
    show::table::table,
    wire::Of,
};

/// Compare two runs: steps that came or went, what got slower or faster, rows, versions and definitions that changed, new errors
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The id of the earlier run, which may be cut short
    #[arg(value_name = "BEFORE")]
    before: String,
    /// The id of the later run, which may be cut short; the last run when absent
    #[arg(value_name = "AFTER")]
    after: Option<String>,
    /// Show the steps that did the same, too
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let before = runs::named(&engine, &arguments.before).await?;
    let after = runs::named_or_last(&engine, arguments.after.as_deref()).await?;
    let (first, second) = (engine.steps(&before.run).await?, engine.steps(&after.run).await?);
    let diff = RunDiff::of(((&before, first.as_slice()), (&after, second.as_slice())));
    if session.settings.json {
        output::print_json(&diff)?;
    } else {
        output::print(&text(&diff, arguments.all))?;
    }
    Ok(Exit::Success)
}

fn text(diff: &RunDiff, all: bool) -> String {
    let mut text = headline(diff);
    for (word, assets) in [("only before:", &diff.removed), ("only after:", &diff.added)] {
        if !assets.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {} {}", styled(FAINT, word), assets.join(", "));
        }
    }
    if diff.steps.is_empty() {
        let _ = writeln!(text, "\nNo step is in both");
        return text;
    }
    let steps: Vec<_> = diff.steps.iter().filter(|step| all || differs(step)).collect();
    if !steps.is_empty() {
        let header =
            ["step", "outcome", "took", "", "cpu", "read", "written", "rejected", "version", "changed"];
        let right = header.map(|name| !["step", "outcome", "changed"].contains(&name));
        let rows: Vec<_> = steps.iter().map(|step| row(step)).collect();
        let _ = write!(text, "\n{}", table(&header, &rows, &right));
    }
    let same = diff.steps.len() - steps.len();
    if same > 0 {
        let (steps, did) = (human::count(same as u64, "step"), if same == 1 { "does" } else { "do" });
        let _ =
            writeln!(text, "\n{}", styled(FAINT, format!("{steps} {did} not differ: `--all` shows them")));
    }
    for step in steps {
        for (word, message) in [("before", &step.message.before), ("after", &step.message.after)] {
            let is_news = step.message.before != step.message.after;
            if let Some(message) = message.as_ref().filter(|_| is_news) {
                let _ = writeln!(text, "\n{} {} {word}: {message}", styled(BAD, '✗'), step.asset);
            }
        }
    }
    text
}

/// The two runs, each in a line, and how the later one differs as a whole.
fn headline(diff: &RunDiff) -> String {
    let mut text = String::new();
    let ms = |ms: Option<u64>| ms.map(std::time::Duration::from_millis).map(human::duration);
    for (word, run, command, outcome, took) in [
        ("before", &diff.before, &diff.command.before, &diff.outcome.before, diff.elapsed_ms.before),
        ("after ", &diff.after, &diff.command.after, &diff.outcome.after, diff.elapsed_ms.after),
    ] {
        let took = ms(took).map(|took| format!(" in {took}")).unwrap_or_default();
        let outcome = outcome.replace('_', " ");
        let _ = writeln!(text, "{} {} `{command}` {outcome}{took}", styled(FAINT, word), styled(STRONG, run));
    }
    let mut facts = Vec::new();
    // Runs of other steps take other times.
    if let (Some(before), Some(after), true) =
        (diff.elapsed_ms.before, diff.elapsed_ms.after, diff.added.is_empty() && diff.removed.is_empty())
    {
        facts.extend(Some(pace(Pair { before, after })).filter(|pace| !pace.is_empty()));
    }
    let pair = |before: Option<f64>, after: Option<f64>, show: fn(f64) -> String| {
        before
            .zip(after)
            .filter(|(before, after)| before.total_cmp(after).is_ne())
            .map(|(before, after)| format!("{} → {}", show(before), show(after)))
    };
    // A difference that is noise is none.
    let cpu_ms = Pair { before: whole_ms(diff.cpu_seconds.before), after: whole_ms(diff.cpu_seconds.after) };
    let cpu = pair(diff.cpu_seconds.before, diff.cpu_seconds.after, seconds);
    let cpu = cpu.filter(|_| !pace(cpu_ms).is_empty());
    facts.extend(cpu.map(|cpu| format!("processor time {cpu}")));
    let cost = pair(diff.cost.before, diff.cost.after, |cost| format!("{cost:.4}"));
    facts.extend(cost.map(|cost| format!("cost {cost}")));
    if !facts.is_empty() {
        let _ = writeln!(text, "  {}", facts.join(", "));
    }
    text
}

/// Whether a step did something else, beyond the noise of times.
fn differs(step: &StepDiff) -> bool {
    fn is_other<T: PartialEq>(pair: &Pair<T>) -> bool {
        pair.before != pair.after
    }
    is_other(&step.outcome)
        || is_other(&step.message)
        || is_other(&step.rows_read)
        || is_other(&step.rows_written)
        || is_other(&step.rows_rejected)
        || is_other(&step.version)
        || step.definition_changed == Some(true)
        || !step.inputs_changed.is_empty()
        || !pace(step.elapsed_ms).is_empty()
}

fn whole_ms(seconds: Option<f64>) -> u64 {
    let time = std::time::Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(seconds: f64) -> String {
    human::duration(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn row(step: &StepDiff) -> Vec<String> {
    let rows = |pair: Pair<u64>| changed(pair, |rows| human::thousands(*rows));
    let version =
        |version: &Option<i64>| version.map_or_else(|| "-".to_owned(), |version| format!("v{version}"));
    let took = |ms: &u64| human::duration(std::time::Duration::from_millis(*ms));
    vec![
        step.asset.clone(),
        changed(step.outcome.clone(), String::clone),
        changed(step.elapsed_ms, took),
        pace(step.elapsed_ms),
        changed(step.cpu_seconds, |cpu| known(cpu.map(seconds))),
        changed(step.rows_read, |rows| known(rows.map(human::thousands))),
        rows(step.rows_written),
        rows(step.rows_rejected),
        changed(step.version, version),
        what_changed(step),
    ]
}

fn known(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "-".to_owned())
}

/// `3 → 5`, or the one value of both.
fn changed<T>(pair: Pair<T>, show: impl Fn(&T) -> String) -> String {
    let (before, after) = (show(&pair.before), show(&pair.after));
    if before == after { styled(FAINT, before) } else { format!("{before} → {after}") }
}

/// How much slower or faster; nothing where the difference is below a fifth or 50 ms, which is noise.
fn pace(ms: Pair<u64>) -> String {
    let Pair { before, after } = ms;
    if before.abs_diff(after) < 50 || before.abs_diff(after) * 5 < before.max(after) {
        return String::new();
    }
    let (more, less, word) =
        if after > before { (after, before, "slower") } else { (before, after, "faster") };
    // One digit behind the point.
    let times = more.saturating_mul(10) / less.max(1);
    format!("{}.{}x {word}", times / 10, times % 10)
}

fn what_changed(step: &StepDiff) -> String {
    let mut words = Vec::new();
    if step.definition_changed == Some(true) {
        words.push("definition".to_owned());
    }
    let version =
        |version: Option<i64>| version.map_or_else(|| "-".to_owned(), |version| format!("v{version}"));
    let input = |(asset, pair): (&String, &Pair<Option<i64>>)| {
        format!("{asset} {} → {}", version(pair.before), version(pair.after))
    };
    words.extend(step.inputs_changed.iter().map(input));
    if words.is_empty() { styled(FAINT, "-") } else { words.join(", ") }
}
