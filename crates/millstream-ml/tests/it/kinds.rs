//! Several entities, keys of several columns, and label columns of every type.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeListArray,
        Int32Array, ListArray, NullArray, RecordBatch, StructArray, UInt64Array,
    },
    datatypes::{DataType, Field, Float32Type, Int8Type, Int32Type},
};
use millstream_features::view::{KeyDefinition, ViewDefinition};

use crate::world::{DAY, World, batch, floats, ints, lines, names, service, texts, times, view};

/// A view whose key has two columns, shop and product.
fn stock() -> ViewDefinition {
    let mut stock = view("stock", DataType::Utf8);
    let key = |name: &str, data_type| KeyDefinition { name: name.into(), data_type };
    stock.entity = "stock".into();
    stock.keys = vec![key("shop", DataType::Utf8), key("product", DataType::Int64)];
    stock
}

#[test]
fn views_of_several_entities_meet_in_one_row_and_keys_of_several_columns_keep_apart() {
    let (orders, stock) = (view("orders", DataType::Int64), stock());
    let order_rows = crate::world::events(
        &orders,
        ints([1, 2].map(Some)),
        times([DAY, DAY].map(Some)),
        floats([10.0, 20.0].map(Some)),
    );
    let at = times([DAY, DAY, DAY].map(Some));
    let stock_rows = RecordBatch::try_new(
        stock.event_schema(),
        vec![
            texts(["1", "11", "a"].map(Some)),
            ints([12, 2, 1].map(Some)),
            at.clone(),
            at,
            ints([0, 1, 2].map(Some)),
            floats([112.0, 1_102.0, 1.0].map(Some)),
        ],
    )
    .unwrap();
    let labels = batch(vec![
        ("shop", texts([Some("1"), Some("11"), Some("1"), None])),
        ("product", ints([Some(12), Some(2), Some(2), Some(1)])),
        ("customer_id", ints([1, 2, 1, 2].map(Some))),
        ("as_of", times([2 * DAY; 4].map(Some))),
    ]);
    let world = World::new(service(vec![orders, stock]), labels, vec![order_rows, stock_rows]);
    let data = world.data();
    assert_eq!(names(&data)[4..8], ["orders.amount", "orders.orders", "orders.spend_7d", "stock.amount"]);
    let seen = lines(&data.project(&[4, 7, 8]).unwrap());
    assert_eq!(seen, ["10.0 | 112.0 | 1", "20.0 | 1102.0 | 1", "10.0 | - | 0", "20.0 | - | 0"]);
    let identity = world.build().unwrap().manifest.identity.unwrap();
    assert_eq!(identity, ["shop", "product", "customer_id", "as_of"]);
}

/// A column of each kind, with a null in it.
fn every_kind(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let some = |at: usize| at % 7 != 3;
    let numbers = |at: usize| some(at).then(|| i32::try_from(at).unwrap());
    let dictionary: DictionaryArray<Int8Type> =
        (0..rows).map(|at| some(at).then_some(["red", "green"][at % 2])).collect();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..rows).map(|at| some(at).then(|| (0..at % 4).map(numbers).collect::<Vec<_>>())),
    );
    let vector = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..rows).map(|at| some(at).then(|| vec![Some(at as f32), None])),
        2,
    );
    let inner: ArrayRef = Arc::new((0..rows).map(numbers).collect::<Int32Array>());
    let field = Arc::new(Field::new("inner", DataType::Int32, true));
    vec![
        ("dictionary", Arc::new(dictionary)),
        ("list", Arc::new(list)),
        ("vector", Arc::new(vector)),
        ("struct", Arc::new(StructArray::from(vec![(field, inner)]))),
        ("bool", Arc::new((0..rows).map(|at| some(at).then_some(at % 2 == 0)).collect::<BooleanArray>())),
        (
            "unsigned",
            Arc::new((0..rows).map(|at| some(at).then_some(u64::MAX - at as u64)).collect::<UInt64Array>()),
        ),
        (
            "decimal",
            Arc::new(
                (0..rows)
                    .map(|at| some(at).then_some(at as i128 * 1_000_000_007))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(38, 9)
                    .unwrap(),
            ),
        ),
        (
            "bytes",
            Arc::new((0..rows).map(|at| some(at).then(|| vec![0xff, at as u8])).collect::<BinaryArray>()),
        ),
        ("nothing", Arc::new(NullArray::new(rows))),
    ]
}

#[test]
fn label_columns_of_every_type_come_out_as_they_went_in() {
    let rows = 100;
    let orders = view("orders", DataType::Int64);
    let nothing = crate::world::events(&orders, ints([]), times([]), floats([]));
    let mut columns = every_kind(rows);
    columns.push(("customer_id", ints((0..rows as i64).map(Some))));
    columns.push(("as_of", times((0..rows as i64).map(|row| Some(row * DAY)))));
    let labels = batch(columns);
    let mut world = World::new(service(vec![orders]), labels.clone(), vec![nothing]);
    world.plan.labels.targets = (0..labels.num_columns()).collect();
    for memory_bytes in [1 << 30, 1] {
        world.plan.resources.memory_bytes = memory_bytes;
        let data = world.data();
        for (column, expected) in data.columns().iter().zip(labels.columns()) {
            assert_eq!(column.data_type(), expected.data_type());
            assert_eq!(column.to_data(), expected.to_data());
        }
    }
}
