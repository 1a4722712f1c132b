//! Failures as they are told of statements over personal data.

use millstream_sql::SqlError;

#[test]
fn only_the_kind_of_a_failure_and_the_feature_are_kept() {
    for (message, expected) in [
        ("Cannot cast string 'ann: bob' to value of Int32 type", "a value cannot be cast: ***"),
        (
            "`d` of row 3 (from 0): Can't cast value 12345678 to type Int8",
            "`d` of row 3 (from 0): a value cannot be cast: ***",
        ),
        ("`d`: Overflow happened on: 5 + 9223372036854775807", "`d`: Overflow happened on ***"),
        ("`ann bob`: no number", "a value cannot be computed: ***"),
        ("`d` of ann: no number", "a value cannot be computed: ***"),
        ("Divide by zero error", "Divide by zero"),
        ("Error parsing timestamp from 'ann'", "a value cannot be computed: ***"),
    ] {
        let error = SqlError::Execution { message: message.into() }.without_values();
        assert_eq!(error.to_string(), expected);
    }
}
