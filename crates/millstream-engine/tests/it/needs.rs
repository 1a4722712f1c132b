//! Needs: a table says which checks of what it reads keep it from being built.

use crate::harness::{Definition, Step::*, check, diagnostics};

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
