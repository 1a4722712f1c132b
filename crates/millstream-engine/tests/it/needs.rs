//! Needs: a table says which checks of what it reads keep it from being built.

use millstream_engine::DecisionKind;

use crate::{
    harness::{Definition, Line, Step::*, World, block_on, check, diagnostics},
    scheduled::{Process, decisions, settled, until},
};

fn project(needs: &str) -> String {
    format!(
        "=== sources/orders.yaml\n\
         connector: {{type: scripted, place: orders}}\n\
         contract:\n  columns: {{id: {{type: int64}}, size: {{type: int64}}}}\n  checks:\n  \
         - range: {{column: size, max: 10}}\n    severity: halt\n  \
         - not_null: id\n    severity: halt\n\
         === tables/silver/careful.sql\n\
         SELECT id FROM bronze.orders\n\
         === tables/silver/easy.sql\n\
         /*---\nneeds: {needs}\n---*/\nSELECT id, size FROM bronze.orders\n"
    )
}

#[test]
fn a_check_that_a_table_does_not_need_keeps_it_from_nothing() {
    let of = |needs: &str, row: &'static str, expected: &str| {
        check(
            &project(needs),
            &[Put("orders/a", "id,size\n1,5"), Run, Append("orders/a", row), Force(&[])],
            &format!("bronze.orders built +1\nsilver.careful built +1\nsilver.easy built +1\n{expected}"),
        );
    };
    let range = "! bronze.orders halted: check range(size) failed for 1 row";
    let null = "! bronze.orders halted: check not_null(id) failed for 1 row";
    of(
        "{bronze.orders: [not_null]}",
        "2,50",
        &format!("{range}\n! silver.careful skipped for bronze.orders\n! silver.easy built +1 -1"),
    );
    of(
        "[{bronze.orders: not_null(id)}]",
        ",5",
        &format!(
            "{null}\n! silver.careful skipped for bronze.orders\n! silver.easy skipped for bronze.orders"
        ),
    );
    of(
        "{bronze.orders: none}",
        ",5",
        &format!("{null}\n! silver.careful skipped for bronze.orders\n! silver.easy built +1 -1"),
    );
}

#[test]
fn what_is_needed_has_to_be_there() {
    let found = |needs: &str| diagnostics(&project(needs)).join("\n");
    assert_eq!(found("{bronze.orders: [unique]}"), "MS-0275 `bronze.orders` has no check `unique`");
    assert!(found("{bronze.orderz: none}").contains("there is no table `bronze.orderz`"));
    assert!(found("{bronze.orders: 3}").contains("expected checks, found the number `3`"));
    assert_eq!(Definition::of(&project("{bronze.orders: none}")).project.spec.tables.len(), 2);
}

const HOOKED: &str = "
=== sources/orders.yaml
connector: {type: scripted, place: orders}
schedule: {webhook: ordered}
contract:
  columns: {id: {type: int64}, size: {type: int64}}
  checks:
    - range: {column: size, max: 10}
      severity: halt
=== sources/names.yaml
connector: {type: scripted, place: names}
schedule: {webhook: named}
contract: {columns: {id: {type: int64}}}
=== tables/silver/careful.sql
SELECT n.id, count(o.id) AS orders FROM bronze.names n LEFT JOIN bronze.orders o ON o.id = n.id GROUP BY n.id
=== tables/silver/easy.sql
/*---
needs: {bronze.orders: none}
---*/
SELECT n.id, count(o.id) AS orders FROM bronze.names n LEFT JOIN bronze.orders o ON o.id = n.id GROUP BY n.id
";

/// A project that runs by itself starts what does not need the check that halts, and skips the others.
#[test]
fn a_scheduled_table_is_not_skipped_for_a_check_that_it_does_not_need() {
    block_on(async {
        let world = World::new(Definition::of(HOOKED));
        let script = &world.definition.script;
        script.put("orders", "a", "id,size\n1,5");
        script.put("names", "a", "id\n1");
        let process = Process::start(&world, &Line::quiet()).await;
        let state = world.state().await;
        settled(&state, &world, "silver.careful", 1).await;
        settled(&state, &world, "silver.easy", 1).await;
        script.append("orders", "a", "2,50");
        script.append("names", "a", "2");
        process.scheduling.triggered("ordered").await.unwrap();
        process.scheduling.triggered("named").await.unwrap();
        settled(&state, &world, "silver.easy", 2).await;
        let skipped = async || decisions(&state, "silver.careful", DecisionKind::Skipped).await;
        until("nothing is skipped", async || !skipped().await.is_empty()).await;
        process.stop().await;
        assert_eq!(world.rows("silver.careful").await.len(), 1);
        assert!(skipped().await.iter().all(|because| because == "`bronze.orders` did not end well"));
        let skipped = decisions(&state, "silver.easy", DecisionKind::Skipped).await;
        assert_eq!(skipped, [""; 0]);
    });
}
