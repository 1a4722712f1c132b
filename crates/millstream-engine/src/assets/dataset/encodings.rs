//! `encode:` of a dataset: each column's encodings as written, with the usual parameters where none are given.

use arrow::datatypes::DataType;
use millstream_features::encode::{Cuts, Encoding, Limits, check_chain};
use millstream_ml::dataset::ColumnEncoding;
use millstream_project::{DatasetSpec, Diagnostic, EncodeSpec, nearest};
use millstream_sql::features::{AnalyzedDataset, FeaturesAnalysis};
use serde::Deserialize;

use crate::EngineError;

/// The number of categories that have a column of their own in a one-hot encoding, when the definition does not say.
const MAX_CATEGORIES: usize = 20;
/// The number of buckets of a hashing encoding, when the definition does not say.
const BUCKETS: u32 = 64;
/// The number of rows with the overall mean that a target encoding adds to each category, when the definition does not say.
const SMOOTHING: f64 = 10.0;
/// The number of buckets of a bucketisation by quantiles, when the definition does not say.
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
pub(crate) fn check(datasets: &[DatasetSpec], features: &FeaturesAnalysis) -> Vec<Diagnostic> {
    let encodings = datasets.iter().flat_map(|dataset| {
        let analyzed = features.datasets.get(&dataset.name);
        dataset.encode.iter().map(move |encode| (encode, analyzed))
    });
    let wrong = encodings.filter_map(|(encode, analyzed)| match column(encode) {
        Err(message) => {
            let message = format!("`{}` cannot be encoded like this: {message}", encode.column);
            let hint = "write `one_hot`, `ordinal`, `hashing`, `frequency`, `log`, `bucketize`, `standardise`, \
                        `{target: {column: …}}`, `{clip: {low: …, high: …}}`, or a list of them";
            Some(Diagnostic::error("MS-0728", message, encode.value.at).with_hint(hint))
        }
        Ok(encoding) => check_columns(encode, &encoding, &Columns::of(analyzed?)),
    });
    wrong.collect()
}

/// The columns that a dataset has before encodings.
struct Columns {
    types: Vec<(String, DataType)>,
    /// Whether `types` has all columns: the columns of a label file are only known once the file is read.
    is_whole: bool,
}

impl Columns {
    fn of(analyzed: &AnalyzedDataset) -> Self {
        let service = &analyzed.service;
        let features = service
            .features
            .iter()
            .filter_map(|feature| Some((feature.name.clone(), service.data_type(feature.source)?.clone())));
        let labels = analyzed.kept();
        let is_whole = labels.is_some();
        let labels = labels.iter().flat_map(|labels| labels.fields());
        let labels = labels.map(|field| (field.name().clone(), field.data_type().clone()));
        Self { types: labels.chain(features).collect(), is_whole }
    }

    /// The type of a column; `None` if the column may come from a label file. The error is the nearest name, if there is one.
    fn data_type(&self, name: &str) -> Result<Option<&DataType>, Option<&str>> {
        match self.types.iter().find(|(known, _)| known == name) {
            Some((_, data_type)) => Ok(Some(data_type)),
            None if self.is_whole => Err(nearest(name, self.types.iter().map(|(known, _)| known.as_str()))),
            None => Ok(None),
        }
    }
}

/// What is wrong with an encoding: its column is not there, or has a type that the encoding cannot take.
fn check_columns(encode: &EncodeSpec, encoding: &ColumnEncoding, columns: &Columns) -> Option<Diagnostic> {
    let named = [(Some(&encoding.column), encode.column.at), (encoding.target.as_ref(), encode.value.at)];
    let [column, target] = named.map(|(name, at)| {
        let Some(name) = name else { return Ok(None) };
        columns.data_type(name).map_err(|near| {
            let message = format!("the dataset has no column `{name}`");
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            Diagnostic { hint, ..Diagnostic::error("MS-0728", message, at) }
        })
    });
    let (column, target) = match (column, target) {
        (Err(missing), _) | (_, Err(missing)) => return Some(missing),
        (Ok(column), Ok(target)) => (column?, target),
    };
    if encoding.target.is_some() && target.is_none() {
        return None;
    }
    let error = check_chain(&encoding.encodings, column, target).err()?;
    let message = format!("`{}` cannot be encoded like this: {error}", encode.column);
    Some(Diagnostic { hint: error.hint(), ..Diagnostic::error("MS-0728", message, encode.value.at) })
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
