//! Receipts, and figures as they are stored.

use millstream_state::{Proof, Receipt, StepFigures};

#[test]
fn a_receipt_holds_when_every_row_is_somewhere() {
    let receipt = |proof, rows_in, rows_made, rows_filtered| Receipt {
        proof,
        rows_in,
        rows_made,
        rows_out: 5,
        rows_rejected: 2,
        rows_filtered,
    };
    for (receipt, holds) in [
        (receipt(Proof::EachRow, Some(10), 7, Some(3)), true),
        (receipt(Proof::EachRow, Some(11), 7, Some(3)), false),
        (receipt(Proof::EachRow, Some(9), 7, Some(3)), false),
        (receipt(Proof::EachRow, None, 7, Some(3)), false),
        (receipt(Proof::EachRow, Some(10), 7, None), false),
        (receipt(Proof::EachRow, Some(6), 7, Some(u64::MAX)), false),
        (receipt(Proof::RowsMade, None, 7, None), true),
        (receipt(Proof::RowsMade, Some(1), 8, None), false),
    ] {
        assert_eq!(receipt.holds(), holds, "{receipt:?}");
    }
}

/// Figures as the first version of this format wrote them; they must stay readable.
#[test]
fn figures_of_the_first_format_are_read() {
    let text = r#"{"ready":1,"started":2,"retries":0,"bytes_read":3,"bytes_written":4,"cpu_us":5,"memory_peak":null,
        "external_calls":0,"receipt":{"proof":"each_row","rows_in":1,"rows_made":1,"rows_out":1,"rows_rejected":0,
        "rows_filtered":0},"cost":{"currency":"EUR","cpu":1,"read":2,"calls":3,"stored_month":4},"a_later_one":7}"#;
    let figures: StepFigures = serde_json::from_str(text).unwrap();
    assert_eq!((figures.queued_us(), figures.cpu_us, figures.memory_peak), (Some(1), Some(5), None));
    assert_eq!(figures.cost.unwrap().total(), 6);
    assert!(figures.receipt.unwrap().holds());
}
