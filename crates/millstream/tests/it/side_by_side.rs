//! Runs beside each other: of other assets they go on, of the same they wait, and those that are killed harm nobody. On
//! either state store.

use std::{
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::harness::{Folder, assert_same_tables};

/// Two chains, each with a source and two tables.
const CHAINS: [&str; 2] = ["a", "b"];
const KILLS: u32 = 24;

fn chains(state: Option<&str>) -> Folder {
    let folder = Folder::empty();
    let state = state.map(|url| format!("environments:\n  default:\n    state: {url}\n")).unwrap_or_default();
    folder.write("millstream.yaml", &format!("name: chains\n{state}"));
    for chain in CHAINS {
        folder.write(
            &format!("sources/{chain}.yaml"),
            &format!(
                "connector: {{type: files, path: data/{chain}/*.csv}}\n\
                 contract: {{columns: {{id: {{type: int64, required: true}}, amount: {{type: int64}}}}, on_violation: quarantine}}\n"
            ),
        );
        folder.write(
            &format!("tables/silver/{chain}.sql"),
            &format!(
                "/*---\nmaterialize: incremental\nkey: id\n---*/\nSELECT id, amount FROM bronze.{chain}\n"
            ),
        );
        folder.write(
            &format!("tables/gold/{chain}.sql"),
            &format!("SELECT count(*) AS n, sum(amount) AS total FROM silver.{chain}\n"),
        );
    }
    folder
}

fn arrive(folders: &[&Folder], round: u32, rows: u32) {
    for chain in CHAINS {
        let mut text = "id,amount\n".to_owned();
        for row in 0..rows {
            let id = round * rows + row;
            text.push_str(&format!("{id},{round}\n"));
        }
        // This row is wrong: `none` is no id.
        text.push_str("none,1\n");
        folders.iter().for_each(|folder| folder.write(&format!("data/{chain}/{round:04}.csv"), &text));
    }
}

fn start(folder: &Folder, arguments: &[&str]) -> Child {
    folder.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn other_assets_are_run_at_once_and_the_same_ones_wait(state: Option<&str>) {
    let folder = chains(state);
    arrive(&[&folder], 1, 10);
    // On a machine that is busy with other work, the small runs may take longer than a large one.
    let outlasting = [1_500_000, 3_000_000, 6_000_000, 12_000_000].into_iter().find_map(|rows| {
        let lines: String = (100..rows + 90).map(|id| format!("{id},1\n")).collect();
        folder.write("data/a/more.csv", &format!("id,amount\n{lines}"));
        let table = folder.path().join(".millstream/lake/bronze/a");
        let files = || std::fs::read_dir(&table).map_or(0, Iterator::count);
        let before = files();
        let mut first = start(&folder, &["run", "bronze.a+"]);
        while files() == before {
            assert!(first.try_wait().unwrap().is_none(), "the first run ends without a file");
            sleep(Duration::from_millis(5));
        }
        let said = ["gold.a", "", "bronze.b+"].map(|selection| {
            let arguments: Vec<&str> =
                ["run", selection].into_iter().filter(|word| !word.is_empty()).collect();
            folder.run(&arguments)
        });
        let status =
            [&["status"][..], &["status", "silver.a"], &["status", "silver.b"], &["status", "--json"]];
        let status = status.map(|arguments| folder.stdout(arguments));
        // A process gives its lease back before it has ended: only what was told before a look that still shows the lease was
        // surely told while the run was at work.
        if folder.stdout(&["status"]).contains("works on 3 assets (`run bronze.a+`)") {
            return Some((rows, first, said, status));
        }
        assert!(first.wait().unwrap().success());
        None
    });
    let (rows, mut first, [refused, everything, other], status) =
        outlasting.expect("a run that outlasts small ones");
    assert!(other.starts_with("exit: 0"), "{other}");
    assert!(refused.starts_with("exit: 1") && refused.contains("MS-0608"), "{refused}");
    assert!(refused.contains("works on `gold.a` (`run bronze.a+`)"), "{refused}");
    assert!(refused.contains("`--wait`"), "{refused}");
    assert!(everything.contains("MS-0608"), "{everything}");
    says_who_writes(&status, first.id());
    let waited = folder.run(&["run", "gold.a", "--wait"]);
    assert!(waited.starts_with("exit: 0"), "{waited}");
    assert!(first.wait().unwrap().success());
    assert!(folder.stdout(&["run"]).contains("up to date"));
    let totals = folder.json(&["query", "SELECT a.n AS a, b.n AS b FROM gold.a, gold.b", "--json"]);
    assert_eq!(totals, serde_json::json!([{"a": rows, "b": 10}]));
}

/// What `status` said of everything, of a table of each chain, and to machines while `run bronze.a+` was at work in the process
/// `pid`, and nothing else was.
fn says_who_writes([all, written, other, json]: &[String; 4], pid: u32) {
    let is_written =
        |asset: &str| all.lines().any(|line| line.contains(asset) && line.contains(&format!("pid {pid}")));
    assert!(is_written("silver.a") && !is_written("silver.b"), "{all}");
    assert!(all.contains("works on 3 assets (`run bronze.a+`)"), "{all}");
    assert!(written.contains("works on `silver.a` (`run bronze.a+`)"), "{written}");
    assert!(!other.contains("works on"), "{other}");
    let states: serde_json::Value = serde_json::from_str(json).unwrap();
    for state in states["assets"].as_array().unwrap() {
        let (asset, writer) = (state["asset"].as_str().unwrap(), &state["written_by"]);
        let expected = if asset.ends_with('a') { pid.into() } else { serde_json::Value::Null };
        assert_eq!(
            (&writer["pid"], writer["command"] == "run bronze.a+"),
            (&expected, !writer.is_null()),
            "{asset}"
        );
    }
}

fn one_of_two_that_is_killed_harms_neither_itself_nor_the_other(state: Option<&str>) {
    let (folder, twin) = (chains(state), chains(None));
    let mut dice = SmallRng::seed_from_u64(5);
    let (mut kills, mut round) = (0, 0);
    while kills < KILLS {
        round += 1;
        assert!(round < 4 * KILLS, "runs end before they are killed");
        arrive(&[&folder, &twin], round, 2_000);
        let started = Instant::now();
        twin.stdout(&["run"]);
        let undisturbed = started.elapsed();
        let mut runs = [start(&folder, &["run", "bronze.a+"]), start(&folder, &["run", "bronze.b+"])];
        sleep(undisturbed.mul_f64(dice.random()));
        let killed = dice.random_range(0..2);
        runs[killed].kill().unwrap();
        let [first, second] = runs.each_mut().map(|run| run.wait().unwrap());
        let (killed, left) = if killed == 0 { (first, second) } else { (second, first) };
        assert!(left.success(), "round {round}: the other run ends with {left}");
        kills += u32::from(killed.code().is_none());
    }
    folder.stdout(&["run"]);
    assert!(folder.stdout(&["run"]).contains("up to date"));
    assert_eq!(folder.tables(), twin.tables());
    assert_same_tables(&folder, &twin, &folder.tables(), &format!("after {kills} kills"));
}

mod sqlite {
    #[test]
    fn other_assets_are_run_at_once_and_the_same_ones_wait() {
        super::other_assets_are_run_at_once_and_the_same_ones_wait(None);
    }

    #[test]
    fn one_of_two_that_is_killed_harms_neither_itself_nor_the_other() {
        super::one_of_two_that_is_killed_harms_neither_itself_nor_the_other(None);
    }
}

#[cfg(feature = "postgres")]
pub(crate) mod postgres {
    use std::{
        process::Stdio,
        sync::atomic::{AtomicU64, Ordering},
        thread::sleep,
        time::Duration,
    };

    use tokio_postgres::{Client, NoTls};

    use super::{arrive, chains};
    use crate::harness::{Folder, given};

    /// The address of a schema that only this test uses.
    pub(crate) fn schema(test: &str) -> Option<String> {
        static SCHEMAS: AtomicU64 = AtomicU64::new(0);
        let server = given("MILLSTREAM_TEST_POSTGRES", test, "no PostgreSQL server")?;
        let name = format!("bin_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed));
        asked(&server, async |client| client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap());
        Some(format!("{server}?options=-csearch_path%3D{name}&application_name={name}"))
    }

    fn asked<T>(url: &str, ask: impl AsyncFnOnce(Client) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            ask(client).await
        })
    }

    #[test]
    fn other_assets_are_run_at_once_and_the_same_ones_wait() {
        if let Some(url) = schema("side_by_side: other assets") {
            super::other_assets_are_run_at_once_and_the_same_ones_wait(Some(&url));
        }
    }

    #[test]
    fn one_of_two_that_is_killed_harms_neither_itself_nor_the_other() {
        if let Some(url) = schema("side_by_side: killed") {
            super::one_of_two_that_is_killed_harms_neither_itself_nor_the_other(Some(&url));
        }
    }

    #[test]
    fn a_server_that_ends_all_sessions_disturbs_no_run() {
        let Some(url) = schema("side_by_side: ended sessions") else { return };
        let folder = chains(Some(&url));
        let name = url.rsplit('=').next().unwrap().to_owned();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = $1 AND pid <> pg_backend_pid()";
        for round in 1..=8 {
            arrive(&[&folder], round, 20_000);
            let mut run =
                folder.command(&["run"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let (mut ended, mut pause) = (0, Duration::from_millis(10));
            while run.try_wait().unwrap().is_none() {
                sleep(pause);
                // If connections ended too soon after each other, a busy machine would get nothing done in between.
                pause = pause.mul_f64(1.4).min(Duration::from_secs(2));
                ended += asked(&url, async |client| client.query(end, &[&name]).await.unwrap().len());
            }
            let output = run.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "round {round}, {ended} sessions ended: {said}");
        }
        assert!(folder.stdout(&["run"]).contains("up to date"));
        let rows = folder.json(&["query", "SELECT count(*) AS n FROM bronze.a", "--json"]);
        assert_eq!(rows, serde_json::json!([{"n": 8 * 20_000}]));
    }

    #[test]
    fn a_state_store_that_is_not_there_is_said_so() {
        let Some(url) = schema("side_by_side: not there") else { return };
        let folder = Folder::empty();
        let nowhere = "postgres://shop:hunter2@127.0.0.1:1/shop?sslmode=disable";
        folder
            .write("millstream.yaml", &format!("name: a\nenvironments:\n  default:\n    state: {nowhere}\n"));
        let said = folder.run(&["status"]);
        assert!(said.starts_with("exit: 1") && said.contains("MS-0612"), "{said}");
        assert!(said.contains("postgres://127.0.0.1:1/shop") && !said.contains("hunter2"), "{said}");
        let other = chains(Some(&url));
        arrive(&[&other], 1, 1);
        other.stdout(&["run"]);
        folder.write("millstream.yaml", &format!("name: a\nenvironments:\n  default:\n    state: {url}\n"));
        let said = folder.run(&["status"]);
        assert!(
            said.contains("MS-0613") && said.contains("holds `chains/default`, not `a/default`"),
            "{said}"
        );
    }
}
