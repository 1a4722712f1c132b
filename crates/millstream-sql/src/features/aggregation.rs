//! What a column's type allows to aggregate.

use arrow::datatypes::DataType;
use millstream_features::aggregate::Aggregate;
use millstream_types::{Aggregation, Span};

use crate::type_name::type_name;

/// What can be done with a column of a type that an aggregation does not take.
pub(super) fn way_out(data_type: &DataType) -> String {
    if let DataType::List(element) = data_type
        && element.data_type().is_floating()
    {
        return "a vector has a fixed length: write `arrow_cast(x, 'FixedSizeList(384, Float32)')`".into();
    }
    let possible = possible(data_type);
    if possible.is_empty() {
        return "take a part of it in an expression, or cast it: `cast(x as string)`".into();
    }
    format!("of {} there are: {}", type_name(data_type), possible.join(", "))
}

/// The aggregations that take the type.
fn possible(data_type: &DataType) -> Vec<&'static str> {
    let span = Span::from_ms(3_600_000);
    let all = [
        Aggregation::Count,
        Aggregation::CountIf,
        Aggregation::Sum,
        Aggregation::Mean,
        Aggregation::Min,
        Aggregation::Max,
        Aggregation::First,
        Aggregation::Last,
        Aggregation::FirstK(1),
        Aggregation::LastK(1),
        Aggregation::Variance,
        Aggregation::StandardDeviation,
        Aggregation::Skewness,
        Aggregation::Kurtosis,
        Aggregation::ApproxDistinct,
        Aggregation::Distinct { bound: 1 },
        Aggregation::Quantile(0.5),
        Aggregation::TopK(1),
        Aggregation::MostFrequent { bound: 1 },
        Aggregation::Histogram(vec![0.0]),
        Aggregation::Rate { per: span },
        Aggregation::Trend { per: span },
        Aggregation::DecayedSum { half_life: span },
        Aggregation::DecayedMean { half_life: span },
        Aggregation::VectorSum,
        Aggregation::VectorMean,
    ];
    let known_to_any = Aggregation::Last.output_type(Some(data_type)).is_ok();
    let fits = |one: &&Aggregation| known_to_any && one.output_type(Some(data_type)).is_ok();
    all.iter().filter(fits).map(Aggregation::name).collect()
}
