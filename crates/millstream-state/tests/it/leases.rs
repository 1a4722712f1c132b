//! Who may write what, and what becomes of those who are gone, or come back too late.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use millstream_state::{
    FoundAsset, Holder, LeaseRequest, LeaseToken, Mark, RunOutcome, RunStart, State, StateError, StepOutcome,
};
use millstream_types::{AssetId, AssetVersion, TimestampMicros};

use crate::{
    place::{Place, on_each_database},
    world::{asset, end, recorded, run, step},
};

on_each_database! {
    disjoint_assets_are_leased_side_by_side_and_others_are_refused,
    one_who_is_refused_gets_nothing_of_what_it_asked_for,
    a_lease_ends_by_time_and_its_holder_is_kept_out_when_it_comes_back,
    a_lease_lasts_while_its_end_is_moved_on,
    a_holder_that_is_known_to_be_gone_keeps_nobody_away,
    a_holder_that_asks_again_is_not_in_its_own_way,
    leases_are_told_with_their_assets_while_they_keep_others_away,
    runs_are_interrupted_once_their_leases_are_no_more,
    a_run_whose_lease_is_gone_before_it_begins_leaves_no_record,
    what_was_seen_before_somebody_recorded_is_not_recorded,
}

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(50);

fn now() -> TimestampMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    TimestampMicros(i64::try_from(since.as_micros()).unwrap())
}

fn holder() -> Holder {
    Holder::this_process("millstream run silver.a", TimestampMicros(now().0 - 12_000_000))
}

async fn take(state: &State, assets: &[&str], length: Duration) -> Result<LeaseToken, StateError> {
    take_as(state, &holder(), assets, length).await
}

async fn take_as(
    state: &State,
    holder: &Holder,
    assets: &[&str],
    length: Duration,
) -> Result<LeaseToken, StateError> {
    let assets: Vec<AssetId> = assets.iter().copied().map(asset).collect();
    state.take_lease(&LeaseRequest { assets: &assets, holder, now: now(), length }).await
}

fn under(lease: LeaseToken, number: i64) -> RunStart {
    RunStart { lease: Some(lease), ..run(number) }
}

async fn disjoint_assets_are_leased_side_by_side_and_others_are_refused(place: Place) {
    let (first, second) = (place.open().await, place.open().await);
    let lease = take(&first, &["bronze.a", "silver.a"], LONG).await.unwrap();
    let other = take(&second, &["silver.b"], LONG).await.unwrap();
    assert!(other > lease);
    let error = take(&second, &["silver.b2", "silver.a"], LONG).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("MS-0608", true));
    let message = error.to_string();
    assert!(message.starts_with(&format!("pid {}", std::process::id())), "{message}");
    assert!(message.contains(" s ago, works on `silver.a` (`millstream run silver.a`)"), "{message}");
    let held: Vec<_> = second.leases(now()).await.unwrap().into_iter().map(|lease| lease.token).collect();
    assert_eq!(held, [lease, other]);
    first.end_lease(lease).await.unwrap();
    take(&second, &["silver.a"], LONG).await.unwrap();
}

async fn one_who_is_refused_gets_nothing_of_what_it_asked_for(place: Place) {
    let state = place.open().await;
    take(&state, &["silver.b"], LONG).await.unwrap();
    take(&state, &["silver.a", "silver.b"], LONG).await.unwrap_err();
    take(&state, &["silver.a"], LONG).await.unwrap();
}

async fn a_lease_ends_by_time_and_its_holder_is_kept_out_when_it_comes_back(place: Place) {
    let state = place.open().await;
    let paused = take(&state, &["silver.a", "silver.b"], SHORT).await.unwrap();
    state.begin_run(&under(paused, 1)).await.unwrap();
    let late = step(&run(1).run, "silver.a", StepOutcome::Built);
    tokio::time::sleep(SHORT * 2).await;
    // No other lease has taken the place of the run's yet, so that the run may go on.
    state.record_step(&end(&late, Some(&recorded(1)))).await.unwrap();
    let taken = take(&state, &["silver.b"], LONG).await.unwrap();
    state.begin_run(&under(taken, 2)).await.unwrap();
    let error = state.record_step(&end(&late, Some(&recorded(2)))).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("MS-0617", false));
    assert_eq!(state.renew_lease(paused, now(), LONG).await.unwrap_err().code(), "MS-0617");
    assert_eq!(state.recorded().await.unwrap()[&asset("silver.a")], recorded(1));
    // The lease was ended as a whole, and giving it back takes nothing from its successor.
    take(&state, &["silver.a"], LONG).await.unwrap();
    state.end_lease(paused).await.unwrap();
    take(&state, &["silver.b"], LONG).await.unwrap_err();
    state.record_step(&end(&step(&run(2).run, "silver.b", StepOutcome::Built), None)).await.unwrap();
}

async fn a_lease_lasts_while_its_end_is_moved_on(place: Place) {
    let state = place.open().await;
    let lease = take(&state, &["silver.a"], SHORT).await.unwrap();
    state.renew_lease(lease, now(), LONG).await.unwrap();
    tokio::time::sleep(SHORT * 2).await;
    take(&state, &["silver.a"], LONG).await.unwrap_err();
}

async fn a_holder_that_is_known_to_be_gone_keeps_nobody_away(place: Place) {
    let state = place.open().await;
    let folder = tempfile::tempdir().unwrap();
    let mark = Mark::make(folder.path(), "a").unwrap();
    let marked = holder().with_mark(&mark);
    take_as(&state, &marked, &["silver.a"], LONG).await.unwrap();
    take(&state, &["silver.a"], LONG).await.unwrap_err();
    drop(mark);
    let taken = take(&state, &["silver.a"], LONG).await.unwrap();
    let left = folder.path().join("leases").read_dir().unwrap().next();
    assert!(left.is_none(), "the file of a holder that is gone stays");
    state.end_lease(taken).await.unwrap();
    // The file of a holder that is gone is removed too where the process that finds it is refused for another reason.
    let mark = Mark::make(folder.path(), "c").unwrap();
    let marked = holder().with_mark(&mark);
    take_as(&state, &marked, &["silver.a"], LONG).await.unwrap();
    let other = take(&state, &["silver.b"], LONG).await.unwrap();
    drop(mark);
    take(&state, &["silver.a", "silver.b"], LONG).await.unwrap_err();
    assert!(folder.path().join("leases").read_dir().unwrap().next().is_none());
    state.end_lease(other).await.unwrap();
    // Where machines share a database, a file says something only on the machine that made it.
    for (machine, is_refused) in [(holder().machine, false), (Some("another".to_owned()), !place.is_local())]
    {
        let mark = Mark::make(folder.path(), "b").unwrap();
        let marked = Holder { machine, ..holder().with_mark(&mark) };
        take_as(&state, &marked, &["silver.a"], LONG).await.unwrap();
        drop(mark);
        let taken = take(&state, &["silver.a"], LONG).await;
        assert_eq!(taken.is_err(), is_refused);
        if let Ok(token) = taken {
            state.end_lease(token).await.unwrap();
        }
    }
}

async fn a_holder_that_asks_again_is_not_in_its_own_way(place: Place) {
    let state = place.open().await;
    let folder = tempfile::tempdir().unwrap();
    let mark = Mark::make(folder.path(), "a").unwrap();
    let marked = holder().with_mark(&mark);
    let first = take_as(&state, &marked, &["silver.a"], LONG).await.unwrap();
    let second = take_as(&state, &marked, &["silver.a"], LONG).await.unwrap();
    assert!(second > first);
    take(&state, &["silver.a"], LONG).await.unwrap_err();
    assert_eq!(state.leases(now()).await.unwrap().len(), 1);
}

async fn leases_are_told_with_their_assets_while_they_keep_others_away(place: Place) {
    let (state, bystander) = (place.open().await, place.open().await);
    let folder = tempfile::tempdir().unwrap();
    let mark = Mark::make(folder.path(), "a").unwrap();
    let named = |command: &str| Holder { command: command.into(), ..holder() };
    let check = async |expected: &[&str]| {
        let told = bystander.leases(now()).await.unwrap().into_iter().map(|lease| {
            let assets: Vec<_> = lease.assets.iter().map(AssetId::as_str).collect();
            format!("{}: {}", lease.holder.command, assets.join(" "))
        });
        assert_eq!(told.collect::<Vec<_>>(), expected);
    };
    check(&[]).await;
    let long = take_as(&state, &named("run a"), &["silver.b", "silver.a"], LONG).await.unwrap();
    let a = "run a: silver.a silver.b";
    check(&[a]).await;
    let short = take_as(&state, &named("run b"), &["gold.b"], LONG).await.unwrap();
    let b = "run b: gold.b";
    check(&[a, b]).await;
    take_as(&state, &named("run c").with_mark(&mark), &["gold.c"], LONG).await.unwrap();
    check(&[a, b, "run c: gold.c"]).await;
    drop(mark);
    check(&[a, b]).await;
    state.renew_lease(short, now(), Duration::ZERO).await.unwrap();
    check(&[a]).await;
    state.end_lease(long).await.unwrap();
    check(&[]).await;
}

async fn runs_are_interrupted_once_their_leases_are_no_more(place: Place) {
    let state = place.open().await;
    let (gone, alive) =
        (take(&state, &["a.a"], SHORT).await.unwrap(), take(&state, &["a.b"], LONG).await.unwrap());
    state.begin_run(&under(gone, 1)).await.unwrap();
    state.begin_run(&under(alive, 2)).await.unwrap();
    tokio::time::sleep(SHORT * 2).await;
    let next = take(&state, &["a.c"], LONG).await.unwrap();
    state.begin_run(&under(next, 3)).await.unwrap();
    let outcomes: Vec<_> = state.runs(9).await.unwrap().into_iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [None, None, Some(RunOutcome::Interrupted)]);
}

async fn a_run_whose_lease_is_gone_before_it_begins_leaves_no_record(place: Place) {
    let state = place.open().await;
    let paused = take(&state, &["silver.a"], SHORT).await.unwrap();
    tokio::time::sleep(SHORT * 2).await;
    let next = take(&state, &["silver.a"], LONG).await.unwrap();
    let error = state.begin_run(&under(paused, 1)).await.unwrap_err();
    assert!(matches!(error, StateError::LeaseLost), "{error:?}");
    assert!(state.runs(9).await.unwrap().is_empty());
    state.begin_run(&under(next, 2)).await.unwrap();
    assert_eq!(state.runs(9).await.unwrap().len(), 1);
}

async fn what_was_seen_before_somebody_recorded_is_not_recorded(place: Place) {
    let state = place.open().await;
    let (first, second, third) = (recorded(1), recorded(2), recorded(3));
    let table = asset("silver.t");
    let found = async |seen, recorded| {
        let found = FoundAsset { asset: &table, seen, recorded, metrics: &[] };
        state.record_found(&[found]).await.unwrap();
        state
            .recorded_of(&table)
            .await
            .unwrap()
            .and_then(|recorded| recorded.version)
            .map(AssetVersion::number)
    };
    assert_eq!(found(None, Some(&first)).await, Some(1));
    assert_eq!(found(None, Some(&third)).await, Some(1));
    assert_eq!(found(Some(&first), Some(&second)).await, Some(2));
    assert_eq!(found(Some(&first), None).await, Some(2));
    assert_eq!(found(Some(&second), None).await, None);
}

/// Names the folder of the store and its files to this binary when it is the other process.
const FOLDER: &str = "MILLSTREAM_TEST_LEASE_FOLDER";

#[tokio::test]
async fn a_killed_holder_leaves_its_place_at_once_and_a_sound_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start_holder(folder.path());
    let state = State::open(&folder.path().join("state.db")).await.unwrap();
    take(&state, &["silver.t"], LONG).await.unwrap_err();
    let mut seen = 0;
    while seen < 200 {
        let steps = state.steps(&run(1).run).await.unwrap();
        assert!(steps.len() >= seen);
        seen = steps.len();
        assert!(state.recorded().await.unwrap().len() >= seen.min(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    take(&state, &["silver.t"], LONG).await.unwrap();
    let steps = State::open(&folder.path().join("state.db")).await.unwrap().steps(&run(1).run).await.unwrap();
    assert!(steps.len() >= seen);
    state.record_step(&end(&step(&run(2).run, "silver.t", StepOutcome::Built), None)).await.unwrap();
}

/// This test binary again, as a process that holds a lease and records steps until it is killed.
fn start_holder(folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leases::hold_until_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.map_while(Result::ok).any(|line| line.contains("holding")),
        "the child never got the lease"
    );
    child
}

/// Does nothing unless this process is the other one of the test above.
#[tokio::test]
async fn hold_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let state = State::open(&folder.join("state.db")).await.unwrap();
    let mark = Mark::make(folder, "child").unwrap();
    let lease = take_as(&state, &holder().with_mark(&mark), &["silver.t"], LONG).await.unwrap();
    state.begin_run(&under(lease, 1)).await.unwrap();
    println!("\nholding");
    let until = Instant::now() + Duration::from_secs(120);
    let mut version = 0;
    while Instant::now() < until {
        version += 1;
        let step = step(&run(1).run, &format!("silver.t{version}"), StepOutcome::Built);
        state.record_step(&end(&step, Some(&recorded(version)))).await.unwrap();
    }
}
