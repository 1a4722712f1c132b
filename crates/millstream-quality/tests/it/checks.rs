//! Every row check: which rows fail, what people are told, and what cannot be compiled.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::*,
    datatypes::{DataType, Field, Int32Type, Schema},
};
use millstream_project::{CheckKind, CheckSpec, Located, NamedPattern, Scalar};
use millstream_quality::{
    Contract, ContractOptions, KeySet, QualityError, RejectedRows, Relation, Relations, Sources,
    relations_of, validate,
};
use millstream_types::{RunId, Severity, TableName};

use crate::make::*;

/// Each case is a text of the column `c` and the reason why the row is rejected, empty for a good row.
pub(crate) fn check(column_type: &str, spec: CheckSpec, cases: &[(Option<&str>, &str)]) {
    let raw: Vec<Option<&str>> = cases.iter().map(|(text, _)| *text).collect();
    let found = reasons(&compile(&[("c", column_type)], &[spec]), &batch(vec![("c", texts(&raw))]));
    for ((text, expected), found) in cases.iter().zip(found) {
        assert_eq!(found, *expected, "{text:?} as {column_type}");
    }
}

fn reasons(contract: &Contract, raw: &RecordBatch) -> Vec<String> {
    let evaluated = contract.evaluate(raw).unwrap();
    let rows = RejectedRows { run: RunId::new("r"), epoch: 1, now: NOW };
    let positions = millstream_connector::Positions::From(0);
    let rejected = rows.build(contract, raw, &evaluated, &positions, &Sources::One("s")).unwrap();
    let mut reasons = vec![String::new(); raw.num_rows()];
    let column = |name: &str| rejected.column_by_name(name).unwrap().clone();
    let (positions, told) = (column("_position"), column("_reason"));
    for row in 0..rejected.num_rows() {
        let position = positions.as_primitive::<arrow::datatypes::Int64Type>().value(row);
        reasons[position as usize] = told.as_string::<i32>().value(row).to_owned();
    }
    reasons
}

#[test]
fn types_tell_what_was_wrong() {
    let long = "x".repeat(100);
    let shown = format!("`c` is `{}…`, not an int8", "x".repeat(80));
    check(
        "int8",
        not_null("c"),
        &[
            (Some("1"), ""),
            (None, "`c` is missing"),
            (Some("300"), "`c` is `300`, not an int8"),
            (Some(" 5"), "`c` is ` 5`, not an int8: there are blanks around it"),
            (Some(""), "`c` is ``, not an int8"),
            (Some(&long), &shown),
        ],
    );
}

#[test]
fn ranges() {
    let int = |value| Some(Scalar::Int(value));
    check(
        "int64",
        range("c", int(0), int(10)),
        &[
            (Some("0"), ""),
            (Some("10"), ""),
            (None, ""),
            (Some("11"), "`c` is 11, above the maximum 10"),
            (Some("-1"), "`c` is -1, below the minimum 0"),
        ],
    );
    check(
        "decimal(12,2)",
        range("c", int(0), Some(number("99.995"))),
        &[
            (Some("99.99"), ""),
            (Some("100.00"), "`c` is 100.00, above the maximum 99.995"),
            (Some("-0.01"), "`c` is -0.01, below the minimum 0"),
        ],
    );
    check(
        "int64",
        range("c", Some(number("0.5")), Some(number("2.5"))),
        &[
            (Some("0"), "`c` is 0, below the minimum 0.5"),
            (Some("1"), ""),
            (Some("2"), ""),
            (Some("3"), "`c` is 3, above the maximum 2.5"),
        ],
    );
    check("int8", range("c", int(-1000), int(1000)), &[(Some("127"), ""), (Some("-128"), "")]);
    check(
        "int8",
        range("c", int(1000), None),
        &[(Some("5"), "`c` is 5, below the minimum 1000"), (None, "")],
    );
    check("int8", range("c", None, int(-1000)), &[(Some("5"), "`c` is 5, above the maximum -1000")]);
    check(
        "float64",
        range("c", int(0), Some(number("1e2"))),
        &[
            (Some("100"), ""),
            (Some("100.1"), "`c` is 100.1, above the maximum 1e2"),
            (Some("nan"), "`c` is NaN, which has no place in a range"),
            (Some("-inf"), "`c` is -inf, below the minimum 0"),
        ],
    );
    check(
        "date",
        range("c", Some(text("2024-01-01")), Some(text("2024-12-31"))),
        &[
            (Some("2024-01-01"), ""),
            (Some("2025-01-01"), "`c` is 2025-01-01, above the maximum 2024-12-31"),
            (Some("2023-12-31"), "`c` is 2023-12-31, below the minimum 2024-01-01"),
        ],
    );
    check(
        "timestamp(Europe/Berlin)",
        range("c", Some(text("2024-01-01 00:00:00")), None),
        &[
            (Some("2023-12-31T23:00:00Z"), ""),
            (
                Some("2023-12-31T22:59:59.999999Z"),
                "`c` is 2023-12-31T22:59:59.999999Z, below the minimum 2024-01-01 00:00:00",
            ),
        ],
    );
    check(
        "string",
        range("c", Some(text("b")), Some(text("d"))),
        &[
            (Some("b"), ""),
            (Some("d"), ""),
            (Some("da"), "`c` is `da`, above the maximum d"),
            (Some("é"), "`c` is `é`, above the maximum d"),
            (Some("a"), "`c` is `a`, below the minimum b"),
        ],
    );
}

#[test]
fn lengths_count_characters_and_elements() {
    check(
        "string",
        length("c", Some(2), Some(3)),
        &[
            (Some("ab"), ""),
            (Some("日本語"), ""),
            (Some("日"), "`c` `日` has 1 characters, less than 2"),
            (Some("abcd"), "`c` `abcd` has 4 characters, more than 3"),
            (Some(""), "`c` `` has 0 characters, less than 2"),
            (None, ""),
        ],
    );
    check(
        "string",
        length("c", Some(2), None),
        &[(Some("a"), "`c` `a` has 1 characters, less than 2"), (Some("ab"), "")],
    );
    check(
        "list<int64>",
        length("c", Some(1), Some(2)),
        &[
            (Some("[1]"), ""),
            (Some("[]"), "`c` [] has 0 elements, less than 1"),
            (Some("[1,2,3]"), "`c` [1, 2, 3] has 3 elements, more than 2"),
        ],
    );
}

#[test]
fn lists_of_values() {
    let list = || vec![text("new"), text("paid"), text("späť")];
    check(
        "string",
        one_of_column(list()),
        &[
            (Some("new"), ""),
            (Some("späť"), ""),
            (Some("New"), "`c` is `New`, not one of new, paid, späť"),
            (Some(""), "`c` is ``, not one of new, paid, späť"),
            (None, ""),
        ],
    );
    let many: Vec<Scalar> = (0..100).map(|value| text(&format!("v{value}"))).collect();
    check(
        "string",
        one_of_column(many),
        &[(Some("v99"), ""), (Some("v100"), "`c` is `v100`, not one of v0, v1, v2, v3, v4 and 95 more")],
    );
    check(
        "int8",
        one_of_column(vec![Scalar::Int(1), Scalar::Int(1000)]),
        &[(Some("1"), ""), (Some("2"), "`c` is 2, not one of 1, 1000")],
    );
    let ints: Vec<Scalar> = (0..20).map(Scalar::Int).collect();
    check(
        "int64",
        one_of_column(ints),
        &[(Some("19"), ""), (Some("20"), "`c` is 20, not one of 0, 1, 2, 3, 4 and 15 more")],
    );
    check(
        "decimal(5,2)",
        one_of_column(vec![number("1.5"), Scalar::Int(2)]),
        &[(Some("1.50"), ""), (Some("2"), ""), (Some("1.51"), "`c` is 1.51, not one of 1.5, 2")],
    );
    check(
        "bool",
        one_of_column(vec![Scalar::Bool(true)]),
        &[(Some("true"), ""), (Some("0"), "`c` is false, not one of true")],
    );
    check(
        "float32",
        one_of_column(vec![number("0.1")]),
        &[(Some("0.1"), ""), (Some("nan"), "`c` is NaN, not one of 0.1")],
    );
    check(
        "date",
        one_of_column(vec![text("2024-01-01")]),
        &[(Some("2024-01-01"), ""), (Some("2024-01-02"), "`c` is 2024-01-02, not one of 2024-01-01")],
    );
}

fn one_of_column(values: Vec<Scalar>) -> CheckSpec {
    one_of("c", values)
}

#[test]
fn expressions_of_regular_patterns_match_the_whole_text() {
    check(
        "string",
        regex("c", "a|b+"),
        &[
            (Some("a"), ""),
            (Some("bbb"), ""),
            (Some("ab"), "`c` `ab` does not match `a|b+`"),
            (Some("a\n"), "`c` `a\n` does not match `a|b+`"),
            (Some(""), "`c` `` does not match `a|b+`"),
            (None, ""),
        ],
    );
    check(
        "string",
        regex("c", "(?x) a b # a comment"),
        &[(Some("ab"), ""), (Some("abc"), "`c` `abc` does not match `(?x) a b # a comment`")],
    );
}

proptest::proptest! {
    /// Small expressions are walked for several rows at once, large ones and those with Unicode word borders are not.
    #[test]
    fn expressions_agree_with_the_regex_engine(
        values in proptest::collection::vec(proptest::option::of("[ab@. é]{0,9}|[a-c]{20,30}"), 0..40)
    ) {
        for written in ["", "a*", "(a|ab)(c|bcd)*", "[^@\\s]+@[^@\\s]+\\.[^@\\s]+", "(?i)A.B?é*", "\\bab\\b.*", "[ab]{0,900}c{3}"] {
            let raw: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            let found = reasons(&compile(&[("c", "string")], &[regex("c", written)]), &batch(vec![("c", texts(&raw))]));
            let engine = ::regex::Regex::new(&format!("^(?:{written})$")).unwrap();
            for (text, reason) in raw.iter().zip(found) {
                let matches = text.is_none_or(|text| engine.is_match(text));
                proptest::prop_assert_eq!(reason.is_empty(), matches, "{:?} and `{}`: {}", text, written, reason);
            }
        }
    }

    /// Short lists of short texts are compared packed, others are hashed.
    #[test]
    fn lists_of_texts_agree_with_a_search(
        values in proptest::collection::vec(proptest::option::of("[ab\\x00]{0,17}"), 0..40),
        allowed in proptest::collection::vec("[ab\\x00]{0,17}", 1..12),
    ) {
        let raw: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        let spec = one_of("c", allowed.iter().map(|allowed| text(allowed)).collect());
        let found = reasons(&compile(&[("c", "string")], &[spec]), &batch(vec![("c", texts(&raw))]));
        for (value, reason) in raw.iter().zip(found) {
            let listed = value.is_none_or(|value| allowed.iter().any(|allowed| allowed == value));
            proptest::prop_assert_eq!(reason.is_empty(), listed, "{:?} in {:?}", value, allowed);
        }
    }
}

/// Texts that have the form, and texts that do not.
fn forms(named: NamedPattern, good: &[&str], bad: &[&str]) {
    let raw: Vec<Option<&str>> = good.iter().chain(bad).map(|text| Some(*text)).collect();
    let contract = compile(&[("c", "string")], &[form("c", named)]);
    let found = reasons(&contract, &batch(vec![("c", texts(&raw))]));
    for (row, (text, reason)) in raw.iter().zip(found).enumerate() {
        assert_eq!(reason.is_empty(), row < good.len(), "{text:?} as {named:?}: {reason}");
    }
}

#[test]
fn named_forms() {
    let long_label = format!("a@{}.com", "x".repeat(64));
    let long_local = format!("{}@example.com", "x".repeat(65));
    forms(
        NamedPattern::Email,
        &[
            "a@b.co",
            "first.last+tag@sub.example.com",
            "o'brien@example.org",
            "1@x-y.museum",
            "a@xn--bcher-kva.example",
        ],
        &[
            "",
            "foo@",
            "@b.co",
            "a@b",
            "a@@b.co",
            "a b@c.co",
            "a@b..co",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.co",
            "a@-b.co",
            "a@b-.co",
            "a@b.c",
            "a@b.co.",
            "a@.co",
            "a@b.1c",
            "a@b_c.co",
            "ä@b.co",
            "a@b.co\n",
            "a@b.co-",
            &long_label,
            &long_local,
        ],
    );
    forms(
        NamedPattern::Uuid,
        &["123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000"],
        &[
            "",
            "123e4567e89b12d3a456426614174000",
            "123e4567-e89b-12d3-a456-42661417400g",
            "{123e4567-e89b-12d3-a456-426614174000}",
            "123e4567-e89b-12d3-a4560426614174000",
        ],
    );
    forms(
        NamedPattern::Url,
        &[
            "https://example.com",
            "http://localhost:8080/a?b=c#d",
            "ftp://x.org/f",
            "postgres://u@h/db",
            "https://[::1]/",
        ],
        &[
            "",
            "example.com",
            "/a/b",
            "https://",
            "http:// x.com",
            "https://x.com/a b",
            " https://x.com",
            "mailto:a@b.co",
            "http://x:99999",
        ],
    );
    forms(NamedPattern::IsoDate, &["2024-02-29"], &["2023-02-29", "2024-2-9", "2024-02-29T00:00:00Z", ""]);
    forms(
        NamedPattern::Ipv4,
        &["127.0.0.1", "255.255.255.255"],
        &["256.0.0.1", "1.2.3", "01.2.3.4", "::1", " 1.2.3.4"],
    );
    forms(
        NamedPattern::Ipv6,
        &["::1", "2001:db8::8a2e:370:7334", "::ffff:1.2.3.4"],
        &["1.2.3.4", ":::", "2001:db8", ""],
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    forms(
        NamedPattern::Json,
        &["{}", "1", "null", " [1, {\"a\": null}] ", &deep],
        &["", "{", "{} {}", "{'a': 1}", "nul"],
    );
    check("string", form("c", NamedPattern::Email), &[(Some("foo@"), "`c` `foo@` is not an email")]);
}

fn relation() -> (CheckSpec, Relation) {
    let table = TableName::new("silver", "customers").unwrap();
    let kind = CheckKind::Relationship {
        column: named("c"),
        to_table: Located::new(table.clone(), at()),
        to_column: "id".into(),
    };
    (crate::make::check("relationship(c)", kind), Relation { table, column: "id".into() })
}

fn related(column_type: &str, keys: ArrayRef, raw: ArrayRef) -> Result<Vec<String>, QualityError> {
    let (spec, relation) = relation();
    assert_eq!(relations_of(std::slice::from_ref(&spec)), std::slice::from_ref(&relation));
    let mut set = KeySet::new(keys.data_type());
    set.add(&batch(vec![("id", keys)]))?;
    let relations = Relations::from([(relation, Arc::new(set))]);
    let contract = compile_with(&columns(&[("c", column_type)]), &[spec], Severity::Quarantine, &relations)?;
    Ok(reasons(&contract, &batch(vec![("c", raw)])))
}

#[test]
fn relationships() {
    let missing = |value: &str| format!("`c` {value} does not occur in `silver.customers.id`");
    let keys: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(-70), Some(1)]));
    let found = related("int64", keys, texts(&[Some("1"), Some("-70"), Some("2"), None, Some("5000000000")]))
        .unwrap();
    assert_eq!(found, ["", "", &missing("2"), "", &missing("5000000000")]);

    let keys: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "", "日"]));
    let found = related("string", keys, texts(&[Some("a"), Some(""), Some("日"), Some("A")])).unwrap();
    assert_eq!(found, ["", "", "", &missing("`A`")]);

    let keys = Decimal128Array::from(vec![15000]).with_precision_and_scale(10, 4).unwrap();
    let found =
        related("decimal(38,2)", Arc::new(keys), texts(&[Some("1.50"), Some("1.51"), Some(&"9".repeat(36))]))
            .unwrap();
    assert_eq!(found, ["", &missing("1.51"), &missing(&format!("{}.00", "9".repeat(36)))]);

    let keys: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let problem = related("int64", keys, texts(&[Some("1")])).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "check `relationship(c)` cannot be used: `c` is int64, but `silver.customers.id` is string"
    );
}

#[test]
fn keys_are_read_from_a_table() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows =
        batch(vec![("x", texts(&[None, None])), ("id", Arc::new(Int64Array::from(vec![3, 4])) as ArrayRef)]);
    let table = datafusion::datasource::MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
    let state = datafusion::prelude::SessionContext::new().state();
    let session = millstream_query::LocalRuntime::new(state, Vec::new());
    let table: Arc<dyn datafusion::catalog::TableProvider> = Arc::new(table);
    let set = runtime.block_on(KeySet::load(&session, table.clone(), "id")).unwrap();
    let (spec, relation) = relation();
    let relations = Relations::from([(relation, Arc::new(set))]);
    let contract =
        compile_with(&columns(&[("c", "int64")]), &[spec], Severity::Quarantine, &relations).unwrap();
    let found = reasons(&contract, &batch(vec![("c", texts(&[Some("3"), Some("5")]))]));
    assert_eq!(found, ["", "`c` 5 does not occur in `silver.customers.id`"]);
    let none = runtime.block_on(KeySet::load(&session, table, "nope"));
    assert_eq!(none.unwrap_err().to_string(), "the rows have no column `nope`");
}

#[test]
fn a_value_that_does_not_fit_is_not_missing_too() {
    let contract = compile(&[("c", "int64")], &[not_null("c"), range("c", Some(Scalar::Int(0)), None)]);
    let raw = batch(vec![("c", texts(&[Some("x"), None, Some("-1"), Some("1")]))]);
    let found = failing(&contract, &contract.evaluate(&raw).unwrap());
    assert_eq!(found, [vec!["type(c)"], vec!["not_null(c)"], vec!["range(c)"], vec![]]);
}

#[test]
fn warnings_let_rows_pass() {
    let checks = [with(Severity::Warn, range("c", Some(Scalar::Int(0)), None)), not_null("d")];
    let contract =
        compile_with(&columns(&[("c", "int64"), ("d", "int64")]), &checks, Severity::Warn, &Relations::new())
            .unwrap();
    let raw = batch(vec![
        ("c", texts(&[Some("x"), Some("-1"), Some("1")])),
        ("d", texts(&[Some("1"), Some("1"), None])),
    ]);
    let evaluated = contract.evaluate(&raw).unwrap();
    assert_eq!(failing(&contract, &evaluated), [vec!["type(c)"], vec!["range(c)"], vec!["not_null(d)"]]);
    assert_eq!(evaluated.rejected_count(), 1);
    assert_eq!(evaluated.accepted().unwrap().num_rows(), 2);
    assert_eq!(evaluated.accepted_mask().unwrap(), BooleanArray::from(vec![true, true, false]));
}

#[test]
fn a_required_value_that_did_not_fit_and_only_warned_is_missing() {
    let contract =
        compile_with(&columns(&[("c", "int64")]), &[not_null("c")], Severity::Warn, &Relations::new())
            .unwrap();
    let raw = batch(vec![("c", texts(&[Some("x"), Some("1")]))]);
    let evaluated = contract.evaluate(&raw).unwrap();
    assert_eq!(failing(&contract, &evaluated), [vec!["type(c)", "not_null(c)"], vec![]]);
    assert_eq!(evaluated.rejected_count(), 1);
}

#[test]
fn personal_data_is_masked() {
    let mut column = column("c", "string");
    column.pii = true;
    let contract =
        try_compile(&[column], &[form("c", NamedPattern::Email), length("c", Some(9), None)]).unwrap();
    let found = reasons(&contract, &batch(vec![("c", texts(&[Some("secret")]))]));
    assert_eq!(found, ["`c` *** is not an email; `c` *** has 6 characters, less than 9"]);
}

#[test]
fn checks_that_do_not_fit_the_columns_are_problems() {
    let schema = Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("s", DataType::Utf8View, true),
        Field::new("l", DataType::List(Arc::new(Field::new("element", DataType::Int64, true))), true),
        Field::new("d", DataType::Date32, true),
    ]);
    let problem = |spec: CheckSpec| {
        let problems = validate(&schema, &[spec]);
        assert!(problems.iter().all(|problem| problem.at == at()));
        problems.into_iter().next().map_or_else(String::new, |problem| match problem.hint {
            Some(hint) => format!("{} ({hint})", problem.message),
            None => problem.message,
        })
    };
    let cases = [
        (not_null("s"), ""),
        (not_null("ss"), "there is no column `ss` (did you mean `s`?)"),
        (not_null("zebra"), "there is no column `zebra`"),
        (unique(&["n", "s"]), ""),
        (unique(&["l"]), "column `l` is list<int64>, not a type whose values can be keys"),
        (range("l", Some(Scalar::Int(1)), None), "column `l` is list<int64>, not a type with an order"),
        (range("n", Some(text("x")), None), "`x` is not a value of type int64"),
        (range("d", Some(Scalar::Int(5)), None), "`5` is not a value of type date"),
        (range("d", Some(text("2024-02-30")), None), "`2024-02-30` is not a value of type date"),
        (one_of("n", vec![number("0.5")]), "`0.5` is not a value of type int64"),
        (length("n", Some(1), None), "column `n` is int64, not a string or a list"),
        (regex("n", "x"), "column `n` is int64, not a string"),
        (expression("n > 0"), ""),
        (
            expression("n + 1"),
            "`n + 1` gives int64, not bool (write a condition that is true for good rows, as in `amount > 0`)",
        ),
        (
            check_of(CheckKind::Mean {
                column: named("s"),
                bounds: millstream_project::Bounds { min: Some(0.0), max: None },
            }),
            "column `s` is string, not a number",
        ),
        (
            check_of(CheckKind::Freshness { column: Some(named("n")), age_max: "1h".parse().unwrap() }),
            "column `n` is int64, not a date or timestamp",
        ),
        (relation().0, "there is no column `c` (did you mean `n`?)"),
    ];
    for (spec, expected) in cases {
        assert_eq!(problem(spec), expected);
    }
    assert!(
        problem(regex("s", "a(b")).starts_with("`a(b` is not a regular expression: "),
        "{}",
        problem(regex("s", "a(b"))
    );
    assert!(problem(regex("s", "a)(b")).starts_with("`a)(b` is not a regular expression"));
    for sql in ["nope > 0", "n >", "sum(n) > 0", "n IN (SELECT 1)", "n > 0; drop table x", ""] {
        let found = problem(expression(sql));
        assert!(found.starts_with(&format!("`{sql}` is not a condition over the row: ")), "{sql}: {found}");
    }
}

fn check_of(kind: CheckKind) -> CheckSpec {
    crate::make::check("some", kind)
}

#[test]
fn a_tables_contract_takes_typed_columns_in_any_encoding() {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let schema = Schema::new(vec![
        Field::new("s", dictionary, false),
        Field::new("v", DataType::Utf8View, true),
        Field::new("u", DataType::UInt64, true),
    ]);
    let checks = [one_of("s", vec![text("a")]), not_null("v"), range("u", None, Some(Scalar::Int(5)))];
    let options = ContractOptions {
        checks: &checks,
        type_severity: Severity::Quarantine,
        relations: &Relations::new(),
        extra: &[],
        now: NOW,
    };
    let contract = Contract::compile_table(&schema, &HashSet::new(), &options).unwrap();
    assert_eq!(contract.schema().field(0).data_type(), &DataType::Utf8);
    assert_eq!(contract.checks().len(), 3, "typed columns have no type checks");
    let s: DictionaryArray<Int32Type> = vec![Some("a"), Some("b"), Some("a")].into_iter().collect();
    let raw = batch(vec![
        ("s", Arc::new(s) as ArrayRef),
        ("v", Arc::new(StringViewArray::from(vec![Some("x"), None, Some("y")]))),
        ("u", Arc::new(UInt64Array::from(vec![5, 6, u64::MAX]))),
    ]);
    let found = failing(&contract, &contract.evaluate(&raw).unwrap());
    assert_eq!(found, [vec![], vec!["one_of(s)", "not_null(v)", "range(u)"], vec!["range(u)"]]);
    let wrong = batch(vec![("u", texts(&[Some("no number")]))]);
    assert_eq!(contract.evaluate(&wrong).unwrap_err().code(), "MS-0506", "nothing is nulled in silence");
}
