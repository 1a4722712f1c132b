//! Figures and verdicts.

use millstream_project::Scalar;
use millstream_quality::{CheckCount, Relations, Tally, UniqueIndex, Verdict};
use millstream_types::{CheckId, Severity};

use crate::make::*;

#[test]
fn figures_add_up_in_any_order() {
    let checks = [with(Severity::Warn, range("c", Some(Scalar::Int(0)), None)), unique(&["c"])];
    let contract = compile(&[("c", "int64")], &checks);
    let mut index = UniqueIndex::new(&contract, 0);
    let tallies: Vec<Tally> = [vec![Some("1"), Some("x")], vec![Some("-1"), Some("1"), None], vec![]]
        .iter()
        .map(|values| {
            let mut evaluated = contract.evaluate(&batch(vec![("c", texts(values))])).unwrap();
            index.check(&mut evaluated);
            Tally::of(&evaluated)
        })
        .collect();
    let mut forward = Tally::default();
    tallies.iter().for_each(|tally| forward.merge(tally));
    let mut backward = Tally::default();
    tallies.iter().rev().for_each(|tally| backward.merge(tally));
    forward.add_malformed(2);
    backward.add_malformed(2);
    assert_eq!(forward.counts(&contract), backward.counts(&contract));
    assert_eq!((forward.rows, forward.rejected, forward.malformed), (7, 4, 2));
    let figures: Vec<(String, u64)> =
        forward.counts(&contract).into_iter().map(|count| (count.check.to_string(), count.failed)).collect();
    assert_eq!(figures, [("type(c)".into(), 1), ("range(c)".into(), 1), ("unique(c)".into(), 1)]);
}

#[test]
fn the_verdict_follows_from_figures_alone() {
    let count =
        |severity, failed| CheckCount { check: CheckId::new("c"), severity, failed, rejected: failed };
    let tally = |rows, rejected| {
        let mut tally = Tally::default();
        (tally.rows, tally.rejected) = (rows, rejected);
        tally
    };
    let allowed = |text: &str| Some(text.parse().unwrap());
    let open = |rejected, rows, text: &str| Verdict::BreakerOpen {
        rejected,
        rows,
        halt_above: text.parse().unwrap(),
    };
    let cases = [
        (tally(100, 0), vec![], None, Verdict::Commit),
        (tally(100, 100), vec![count(Severity::Quarantine, 100)], None, Verdict::Commit),
        (tally(100, 5), vec![], allowed("5%"), Verdict::Commit),
        (tally(100, 6), vec![], allowed("5%"), open(6, 100, "5%")),
        (tally(0, 0), vec![], allowed("0%"), Verdict::Commit),
        (tally(1, 1), vec![], allowed("0%"), open(1, 1, "0%")),
        (tally(100, 0), vec![count(Severity::Warn, 90)], allowed("1%"), Verdict::Commit),
        (
            tally(100, 1),
            vec![count(Severity::Halt, 1)],
            None,
            Verdict::Halted { check: CheckId::new("c"), failed: 1 },
        ),
        (tally(100, 0), vec![count(Severity::Halt, 0)], None, Verdict::Commit),
    ];
    for (tally, counts, halt_above, expected) in cases {
        assert_eq!(Verdict::of(&tally, &counts, halt_above), expected);
    }
}

#[test]
fn contracts_are_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<millstream_quality::Contract>();
    is_shared::<millstream_quality::Evaluated>();
    is_shared::<Relations>();
}
