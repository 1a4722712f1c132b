//! Texts that become decimals: one that no decimal can hold is told before the engine reads it, because the engine takes
//! more of its stack the longer a text is, and a text of half a megabyte ends the process.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, AsArray, BooleanArray, StringArrayType},
        compute::nullif,
        datatypes::{DataType, Field, FieldRef},
        error::ArrowError,
    },
    common::{Result, internal_err},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility, expr::ScalarFunction,
    },
};

/// The largest size in bytes of a text that becomes a decimal: 76 digits, and room for zeros that mean nothing.
const TEXT_BYTES_MAX: usize = 4_096;

/// `text`, which stands where it is cast to a decimal. A longer text is null where the cast gives null for what does not
/// fit, else an error.
pub(super) fn bounded(text: Expr, gives_null: bool) -> Expr {
    let function = Digits { gives_null, signature: Signature::variadic_any(Volatility::Immutable) };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), vec![text]))
}

/// Whether values of the type are texts.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A check of a text's length, which is written in plans and named in results like its argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Digits {
    gives_null: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Digits {
    fn name(&self) -> &str {
        "digits"
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map_or_else(String::new, ToString::to_string))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map_or_else(String::new, |arg| arg.schema_name().to_string()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let Some(text) = types.first() else { return internal_err!("digits without a text") };
        Ok(text.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = self.gives_null || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.into_iter().next() else { return internal_err!("digits without a text") };
        let is_scalar = matches!(value, ColumnarValue::Scalar(_));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let texts = value.clone().into_array(rows)?;
        let too_long = match texts.data_type() {
            DataType::Utf8 => too_long(texts.as_string::<i32>()),
            DataType::LargeUtf8 => too_long(texts.as_string::<i64>()),
            DataType::Utf8View => too_long(texts.as_string_view()),
            _ => return Ok(value),
        };
        if too_long.true_count() == 0 {
            return Ok(value);
        }
        if !self.gives_null {
            let message = format!(
                "a text of more than {TEXT_BYTES_MAX} bytes is no decimal; `try_cast` gives null for it"
            );
            return Err(ArrowError::CastError(message).into());
        }
        let texts = nullif(&texts, &too_long)?;
        Ok(if is_scalar {
            ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&texts, 0)?)
        } else {
            ColumnarValue::Array(texts)
        })
    }
}

fn too_long<'a>(texts: impl StringArrayType<'a>) -> BooleanArray {
    texts.iter().map(|text| Some(text.is_some_and(|text| text.len() > TEXT_BYTES_MAX))).collect()
}
