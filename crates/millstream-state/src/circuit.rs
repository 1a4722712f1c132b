//! Circuits of connections and the budgets of retries, which several processes change: each change is the caller's own, done
//! between a read and a write that nobody else comes between.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, FutureExt};
use millstream_schedule::{Circuit, OpenCircuit, RetryBudget};
use millstream_types::{Span, TimestampMicros};

use crate::{
    State, StateError,
    database::{Row, parameters},
    value,
};

impl State {
    /// Changes a circuit as `change` says, and gives what that gives with the circuit as it is then. A circuit of which nothing is
    /// recorded is closed.
    pub fn change_circuit<'a, T: Send + 'a>(
        &'a self,
        name: &'a str,
        change: impl FnOnce(&mut Circuit) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<(Circuit, T), StateError>> {
        async move {
            let mut work = self.change("change a circuit").await?;
            // Whoever changes the circuit at this moment too waits for the row, or is waited for.
            let reserve = "INSERT INTO circuits (name, failures) VALUES ($1, '[]') \
                           ON CONFLICT (name) DO UPDATE SET name = excluded.name";
            work.execute(reserve, &parameters![name]).await?;
            let sql = "SELECT name, failures, open_since, open_until, open_wait FROM circuits WHERE name = $1";
            let found = work.row(sql, &parameters![name]).await?.map(circuit).transpose()?;
            let mut circuit = found.map(|(_, circuit)| circuit).unwrap_or_default();
            let given = change(&mut circuit);
            if circuit.is_sound() {
                work.execute("DELETE FROM circuits WHERE name = $1", &parameters![name]).await?;
            } else {
                let failures: Vec<i64> = circuit.failures.iter().map(|at| at.0).collect();
                let failures = json("the failures of a circuit", &failures)?;
                let open = circuit.open;
                let sql = "UPDATE circuits SET failures = $2, open_since = $3, open_until = $4, open_wait = $5 \
                           WHERE name = $1";
                let values = parameters![
                    name,
                    &failures,
                    open.map(|open| open.since.0),
                    open.map(|open| open.until.0),
                    open.map(|open| value::count_in(open.wait.ms())),
                ];
                work.execute(sql, &values).await?;
            }
            work.commit().await?;
            Ok((circuit, given))
        }
        .boxed()
    }

    /// The circuits of which something is recorded, by name; all others are closed.
    pub fn circuits(&self) -> BoxFuture<'_, Result<BTreeMap<String, Circuit>, StateError>> {
        async move {
            let sql = "SELECT name, failures, open_since, open_until, open_wait FROM circuits";
            self.rows("read the circuits", sql, &[]).await?.into_iter().map(circuit).collect()
        }
        .boxed()
    }

    /// Forgets the circuits and the budgets of all places but `kept`.
    pub fn keep_circuits<'a>(&'a self, kept: &'a BTreeSet<String>) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let mut work = self.change("forget circuits").await?;
            for (table, column) in [("circuits", "name"), ("retry_budgets", "scope")] {
                for mut row in work.rows(&format!("SELECT {column} FROM {table}"), &[]).await? {
                    let name = row.text(0)?;
                    if !kept.contains(&name) {
                        let sql = format!("DELETE FROM {table} WHERE {column} = $1");
                        work.execute(&sql, &parameters![&name]).await?;
                    }
                }
            }
            work.commit().await
        }
        .boxed()
    }

    /// Changes the budget of retries of this name as `change` says, and gives what that gives.
    pub fn change_retry_budget<'a, T: Send + 'a>(
        &'a self,
        scope: &'a str,
        change: impl FnOnce(&mut RetryBudget) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StateError>> {
        async move {
            let mut work = self.change("take a retry").await?;
            let reserve = "INSERT INTO retry_budgets (scope, minutes) VALUES ($1, '[]') \
                           ON CONFLICT (scope) DO UPDATE SET scope = excluded.scope";
            work.execute(reserve, &parameters![scope]).await?;
            let sql = "SELECT minutes FROM retry_budgets WHERE scope = $1";
            let found = work.row(sql, &parameters![scope]).await?;
            let mut budget = found.map(budget).transpose()?.unwrap_or_default();
            let given = change(&mut budget);
            let minutes: Vec<(i64, u32)> = budget.minutes.into_iter().collect();
            let minutes = json("a budget of retries", &minutes)?;
            let sql = "UPDATE retry_budgets SET minutes = $2 WHERE scope = $1";
            work.execute(sql, &parameters![scope, &minutes]).await?;
            work.commit().await?;
            Ok(given)
        }
        .boxed()
    }

    /// The retries that were taken, by the names of budgets.
    pub fn retry_budgets(&self) -> BoxFuture<'_, Result<BTreeMap<String, RetryBudget>, StateError>> {
        async move {
            let sql = "SELECT minutes, scope FROM retry_budgets";
            let rows = self.rows("read the budgets of retries", sql, &[]).await?;
            let named = |mut row: Row| Ok((row.text(1)?, budget(row)?));
            rows.into_iter().map(named).collect()
        }
        .boxed()
    }
}

fn circuit(mut row: Row) -> Result<(String, Circuit), StateError> {
    let text = row.text(1)?;
    let failures: Vec<i64> =
        serde_json::from_str(&text).map_err(|_| value::unknown("the failures of a circuit", &text))?;
    let columns = [row.integer_or_null(2)?, row.integer_or_null(3)?, row.integer_or_null(4)?];
    let open = match columns {
        [Some(since), Some(until), Some(wait)] => Some(OpenCircuit {
            since: TimestampMicros(since),
            until: TimestampMicros(until),
            wait: Span::from_ms(value::count_out(wait)),
        }),
        _ => None,
    };
    let failures = failures.into_iter().map(TimestampMicros).collect();
    Ok((row.text(0)?, Circuit { failures, open }))
}

fn budget(mut row: Row) -> Result<RetryBudget, StateError> {
    let text = row.text(0)?;
    let minutes: Vec<(i64, u32)> =
        serde_json::from_str(&text).map_err(|_| value::unknown("a budget of retries", &text))?;
    Ok(RetryBudget { minutes: minutes.into_iter().collect() })
}

fn json(what: &'static str, written: &impl serde::Serialize) -> Result<String, StateError> {
    serde_json::to_string(written).map_err(|error| value::unknown(what, error.to_string()))
}
