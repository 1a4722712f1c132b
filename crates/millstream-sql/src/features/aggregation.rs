//! What a column's type allows to aggregate.

use arrow::datatypes::DataType;
use millstream_features::aggregate::Aggregate;
use millstream_types::Aggregation;

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
    let known_to_any = Aggregation::Last.output_type(Some(data_type)).is_ok();
    // The time since a value does not depend on the value's type, so it is no answer to a type that does not fit.
    let fits = |one: &Aggregation| {
        *one != Aggregation::TimeSinceLast && known_to_any && one.output_type(Some(data_type)).is_ok()
    };
    Aggregation::samples().iter().filter(|one| fits(one)).map(Aggregation::name).collect()
}
