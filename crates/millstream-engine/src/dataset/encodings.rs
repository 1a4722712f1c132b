//! `encode:` of a dataset: each column's encodings as written, with the usual parameters where none are given.

use millstream_features::encode::{Cuts, Encoding, Limits};
use millstream_ml::dataset::ColumnEncoding;
use millstream_project::{DatasetSpec, Diagnostic, EncodeSpec};
use serde::Deserialize;

use crate::EngineError;

/// Categories of a one-hot encoding that have a column of their own, when the file does not say.
const MAX_CATEGORIES: usize = 20;
/// Buckets of a hash.
const BUCKETS: u32 = 64;
/// Rows with the overall mean that a target encoding adds to each category.
const SMOOTHING: f64 = 10.0;
/// Buckets of a bucketisation by quantiles.
const QUANTILES: usize = 10;

/// One encoding, or several that are applied one after the other.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(Step),
    Chain(Vec<Step>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Plain(Plain),
    With(Box<With>),
}

/// Encodings by name alone.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Plain {
    OneHot,
    Ordinal,
    Hashing,
    Frequency,
    Log,
    Bucketize,
    #[serde(alias = "standardize")]
    Standardise,
}

/// Encodings with parameters.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum With {
    OneHot { max_categories: usize },
    Hashing { buckets: u32 },
    Target { column: String, smoothing: Option<f64> },
    Bucketize(Edges),
    Clip(Bounds),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Edges {
    Edges(Vec<f64>),
    Quantiles(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    low: Option<f64>,
    high: Option<f64>,
    quantiles: Option<[f64; 2]>,
}

/// The encodings of a dataset.
pub(super) fn of(spec: &DatasetSpec) -> Result<Vec<ColumnEncoding>, EngineError> {
    spec.encode
        .iter()
        .map(|encode| {
            column(encode).map_err(|message| EngineError::Request {
                message: format!("`encode` of `{}`: {message}", spec.name),
                hint: None,
            })
        })
        .collect()
}

/// What is wrong with the encodings of these datasets.
pub(crate) fn check(datasets: &[DatasetSpec]) -> Vec<Diagnostic> {
    let encodings = datasets.iter().flat_map(|dataset| &dataset.encode);
    let wrong = encodings.filter_map(|encode| {
        let message = column(encode).err()?;
        let message = format!("`{}` cannot be encoded like this: {message}", encode.column);
        let hint = "write `one_hot`, `ordinal`, `hashing`, `frequency`, `log`, `bucketize`, `standardise`, \
                    `{target: {column: …}}`, `{clip: {low: …, high: …}}`, or a list of them";
        Some(Diagnostic::error("MS-0728", message, encode.value.at).with_hint(hint))
    });
    wrong.collect()
}

fn column(encode: &EncodeSpec) -> Result<ColumnEncoding, String> {
    let written: Written = serde_json::from_value(encode.value.to_json())
        .map_err(|_| "this is no encoding, or one of its parameters is missing or wrong".to_owned())?;
    let steps = match written {
        Written::One(step) => vec![step],
        Written::Chain(steps) => steps,
    };
    let mut target = None;
    let mut encodings = Vec::with_capacity(steps.len());
    for step in steps {
        let (encoding, of) = step.encoding()?;
        encoding.check().map_err(|error| error.to_string())?;
        target = of.or(target);
        encodings.push(encoding);
    }
    if encodings.is_empty() {
        return Err("the list is empty".to_owned());
    }
    Ok(ColumnEncoding { column: encode.column.value.clone(), encodings, target })
}

impl Step {
    /// The encoding, and the column that a target encoding looks at.
    fn encoding(self) -> Result<(Encoding, Option<String>), String> {
        Ok(match self {
            Self::Plain(plain) => (plain.encoding(), None),
            Self::With(with) => match *with {
                With::OneHot { max_categories } => (Encoding::OneHot { max_categories }, None),
                With::Hashing { buckets } => (Encoding::Hashing { buckets }, None),
                With::Target { column, smoothing } => {
                    (Encoding::Target { smoothing: smoothing.unwrap_or(SMOOTHING) }, Some(column))
                }
                With::Bucketize(Edges::Edges(edges)) => (Encoding::Bucketize(Cuts::Edges(edges)), None),
                With::Bucketize(Edges::Quantiles(buckets)) => {
                    (Encoding::Bucketize(Cuts::Quantiles(buckets)), None)
                }
                With::Clip(Bounds { low: None, high: None, quantiles: Some([low, high]) }) => {
                    (Encoding::Clip(Limits::Quantiles { low, high }), None)
                }
                With::Clip(Bounds { low, high, quantiles: None }) if low.or(high).is_some() => {
                    (Encoding::Clip(Limits::Bounds { low, high }), None)
                }
                With::Clip(_) => return Err("`clip` takes `low` and `high`, or `quantiles`".to_owned()),
            },
        })
    }
}

impl Plain {
    fn encoding(&self) -> Encoding {
        match self {
            Self::OneHot => Encoding::OneHot { max_categories: MAX_CATEGORIES },
            Self::Ordinal => Encoding::Ordinal,
            Self::Hashing => Encoding::Hashing { buckets: BUCKETS },
            Self::Frequency => Encoding::Frequency,
            Self::Log => Encoding::Log,
            Self::Bucketize => Encoding::Bucketize(Cuts::Quantiles(QUANTILES)),
            Self::Standardise => Encoding::Standardise,
        }
    }
}
