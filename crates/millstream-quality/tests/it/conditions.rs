//! Conditions in SQL: which rows fail, and what they say of rows for which they cannot be computed.

use crate::{checks::check, make::*};

#[test]
fn conditions() {
    check(
        "int64",
        expression("c > 0 AND c <> 5"),
        &[
            (Some("1"), ""),
            (None, ""),
            (Some("5"), "`c > 0 AND c <> 5` is false"),
            (Some("-1"), "`c > 0 AND c <> 5` is false"),
        ],
    );
    check(
        "int64",
        expression("10 / c > 1"),
        &[
            (Some("1"), ""),
            (Some("0"), "`10 / c > 1` cannot be computed: Divide by zero error"),
            (Some("20"), "`10 / c > 1` is false"),
            (Some("2"), ""),
            (Some("0"), "`10 / c > 1` cannot be computed: Divide by zero error"),
        ],
    );
    check(
        "timestamp",
        expression("c <= now()"),
        &[(Some("2024-05-01T12:00:00Z"), ""), (Some("2024-05-01T12:00:00.000001Z"), "`c <= now()` is false")],
    );
    check(
        "string",
        expression("length(trim(c)) > 0"),
        &[(Some(" "), "`length(trim(c)) > 0` is false"), (Some("x"), "")],
    );
}

#[test]
fn a_row_fails_whose_values_are_too_large_to_compute_with() {
    let overflow = "cannot be computed: Arithmetic overflow: Overflow happened on: ";
    check(
        "int64",
        expression("c + 1 > 0 AND c * 2 > 0"),
        &[
            (Some("1"), ""),
            (
                Some("9223372036854775807"),
                &format!("`c + 1 > 0 AND c * 2 > 0` {overflow}9223372036854775807 + 1"),
            ),
            (
                Some("9223372036854775806"),
                &format!("`c + 1 > 0 AND c * 2 > 0` {overflow}9223372036854775806 * 2"),
            ),
        ],
    );
    let nines = "9".repeat(38);
    check(
        "decimal(38,0)",
        expression("c + 1 > c"),
        &[
            (Some("1"), ""),
            (Some(&nines), &format!("`c + 1 > c` {overflow}1{} has more than 38 digits", "0".repeat(38))),
        ],
    );
    check(
        "int64",
        expression("length(repeat('x', c)) > 0"),
        &[
            (Some("1"), ""),
            (
                Some("2000000000"),
                "`length(repeat('x', c)) > 0` cannot be computed: one value of `repeat` would take more than 256 MiB",
            ),
        ],
    );
}
