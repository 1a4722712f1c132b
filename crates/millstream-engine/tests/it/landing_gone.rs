//! Parts that are gone from their source, and rows that leave: what stays, what may be forgotten, and what is told.

use crate::{harness::Step::*, landing::check};

const KEYED: &str = "columns: {id: {type: int64, required: true, unique: true}, note: {type: string}}";

/// A rejected row may be the only one with its key once the other has left. Only a reprocessing finds out, so the note names it.
#[test]
fn a_row_that_was_rejected_for_one_that_left_is_told_of() {
    let steps = [
        Put("orders/b", "id,note\n1,x\n2,y"),
        Run,
        Put("orders/a", "id,note\n1,other"),
        Run,
        Put("orders/b", "id,note\n2,y"),
        Notes,
        Run,
        Notes,
        Reprocess("bronze.orders"),
        Put("orders/b", "id,note\n3,y"),
        Run,
        Notes,
    ];
    check(
        KEYED,
        &steps,
        "
        bronze.orders built +2
        bronze.orders built, 1 rejected
        bronze.orders begins
        bronze.orders ends
        bronze.orders begins
        bronze.orders ends
        bronze.orders built +1 -2
        bronze.orders begins
        bronze.orders: rows left: 1 rejected row that was not unique may fit now; `millstream reprocess bronze.orders` judges it again
        bronze.orders ends
        bronze.orders built +1
        bronze.orders built +1 -1
        bronze.orders begins
        bronze.orders ends
        bronze.orders begins
        bronze.orders ends
        bronze.orders:
        id: 1, note: other
        id: 3, note: y
        a up to 1
        b up to 1
    ",
    );
}

#[test]
fn rows_of_a_part_that_is_gone_stay() {
    let steps =
        [Put("orders/a", "id,note\n1,x"), Put("orders/b", "id,note\n2,y"), Run, Remove("orders/a"), Run];
    check(
        "",
        &steps,
        "
        bronze.orders built +2
        (nothing)
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        a up to 1
        b up to 1
    ",
    );
}

#[test]
fn a_full_refresh_is_refused_while_a_landed_part_is_gone() {
    let steps = [
        Put("orders/a", "id,note\n1,x"),
        Put("orders/b", "id,note\n2,y"),
        Run,
        Remove("orders/a"),
        RunAnew(&["bronze.orders"]),
    ];
    check("", &steps, "
        bronze.orders built +2
        ! bronze.orders failed: MS-0705 `bronze.orders` holds rows of 1 part(s) that are gone from the source, such as a
        bronze.orders:
        id: 1, note: x
        id: 2, note: y
        a up to 1
        b up to 1
    ");
}

#[test]
fn a_full_refresh_forgets_parts_that_are_gone_when_it_is_told_to() {
    let steps = [
        Put("orders/a", "id,note\n1,x\n1,y"),
        Put("orders/b", "id,note\n2,y"),
        Run,
        Remove("orders/a"),
        Notes,
        ForgetGone(&["bronze.orders"]),
        Notes,
        Rows("bronze.orders"),
        Positions("orders"),
        Remove("orders/b"),
        RunAnew(&["bronze.orders"]),
        Notes,
        ForgetGone(&["bronze.orders"]),
        Notes,
        Run,
        Put("orders/a", "id,note\n1,x"),
        Run,
    ];
    check(
        "",
        &steps,
        "
        bronze.orders built +3
        bronze.orders begins
        bronze.orders ends
        bronze.orders built +1 -3
        bronze.orders begins
        bronze.orders: forgets 2 rows of a part that is gone from the source: a
        bronze.orders ends
        bronze.orders:
        id: 2, note: y
        b up to 1
        ! bronze.orders failed: MS-0705 `bronze.orders` holds rows of 1 part(s) that are gone from the source, such as b
        bronze.orders begins
        bronze.orders ends
        bronze.orders built -1
        bronze.orders begins
        bronze.orders: forgets 1 row of a part that is gone from the source: b
        bronze.orders ends
        (nothing)
        bronze.orders built +1
        bronze.orders:
        id: 1, note: x
        a up to 1
    ",
    );
}
