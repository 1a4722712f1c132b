//! On-demand features: expressions over features, over each other, and over values that come with a request.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef, TableReference};
use indexmap::IndexMap;
use millstream_connector::arrow_type;
use millstream_features::view::RequestValue;
use millstream_project::{Diagnostic, FeatureRef, FeaturesSpec, Location, OnDemandSpec};

use super::{
    expression::{Expression, Planned, UsedName},
    types::kept_type,
    view::AnalyzedView,
};
use crate::{
    analyze::placed, catalog::timestamp, codes, explain::Problem, nearest::name_hint, type_name::type_name,
};

/// The number of undeclared values up to which their types are tried in every combination; more values are tried with one
/// type for all.
const COMBINED_MAX: usize = 4;

/// One on-demand feature that has a meaning.
#[derive(Clone, Debug)]
pub struct AnalyzedOnDemand {
    pub name: String,
    /// The expression in its canonical form.
    pub sql: String,
    /// The features of views and the other on-demand features that the expression names, with their types.
    pub inputs: Vec<(FeatureRef, DataType)>,
    pub request: Vec<RequestValue>,
    pub data_type: DataType,
    /// The place of the feature's name.
    pub at: Location,
}

/// The name of a feature in expressions and answers.
pub(super) fn feature_name(feature: &FeatureRef) -> String {
    match feature {
        FeatureRef::Feature { view, feature } => format!("{view}.{feature}"),
        FeatureRef::View { view } => format!("{view}.*"),
        FeatureRef::OnDemand { name } => name.clone(),
    }
}

/// The schema of an expression's columns: features stand under their view's name, everything else under its own.
pub(super) fn scope<'n>(columns: impl Iterator<Item = (&'n str, &'n DataType)>) -> Option<DFSchemaRef> {
    let fields = columns.map(|(name, data_type)| {
        let (view, name) = match name.split_once('.') {
            Some((view, feature)) => (Some(TableReference::bare(view)), feature),
            None => (None, name),
        };
        (view, Arc::new(Field::new(name, data_type.clone(), true)))
    });
    DFSchema::new_with_metadata(fields.collect(), HashMap::new()).ok().map(Arc::new)
}

/// Gives every on-demand feature its inputs and types, in the order of the files.
pub(super) fn analyze(
    spec: &FeaturesSpec,
    views: &IndexMap<String, AnalyzedView>,
    diagnostics: &mut Vec<Diagnostic>,
) -> IndexMap<String, AnalyzedOnDemand> {
    let mut open: IndexMap<&str, Item<'_>> = IndexMap::new();
    let names: HashSet<&str> = spec.on_demand.iter().map(|one| one.name.as_str()).collect();
    for one in &spec.on_demand {
        match Expression::parse(&one.sql.value) {
            Ok(expression) => {
                let names = expression.names();
                open.entry(&one.name).or_insert(Item { spec: one, expression, names });
            }
            Err(problem) => diagnostics.push(placed(problem, &one.sql)),
        }
    }
    let declared = spec.request.iter();
    let declared = declared.map(|value| (value.name.as_str(), arrow_type(&value.column_type))).collect();
    let mut scope = Scope { spec, views, names, declared, inferred: HashMap::new(), done: IndexMap::new() };
    loop {
        let ready: Vec<&str> = open
            .iter()
            .filter(|(_, item)| item.uses(&scope.names).all(|used| !open.contains_key(used)))
            .map(|(name, _)| *name)
            .collect();
        if ready.is_empty() {
            break;
        }
        for name in ready {
            let Some(item) = open.shift_remove(name) else { continue };
            match scope.item(&item) {
                Ok((analyzed, warning)) => {
                    diagnostics.extend(warning);
                    scope.done.insert(name.to_owned(), analyzed);
                }
                Err(found) => diagnostics.extend(found),
            }
        }
    }
    diagnostics.extend(circles(&open, &scope.names));
    let mut done = scope.done;
    let place = |name: &str| spec.on_demand.iter().position(|one| one.name == name);
    done.sort_by_cached_key(|name, _| place(name));
    done
}

struct Item<'a> {
    spec: &'a OnDemandSpec,
    expression: Expression<'a>,
    names: Vec<UsedName>,
}

impl Item<'_> {
    /// The on-demand features that the expression names.
    fn uses<'s>(&'s self, known: &'s HashSet<&str>) -> impl Iterator<Item = &'s str> {
        self.names.iter().filter_map(|name| match name.parts.as_slice() {
            [only] => known.get(only.as_str()).copied(),
            _ => None,
        })
    }

    fn problem(
        &self,
        code: &'static str,
        message: String,
        name: &UsedName,
        hint: Option<String>,
    ) -> Diagnostic {
        placed(Problem { hint, ..Problem::new(code, message, name.range.clone()) }, &self.spec.sql)
    }

    fn placed(&self, problems: Vec<Problem>) -> Vec<Diagnostic> {
        problems.into_iter().map(|problem| placed(problem, &self.spec.sql)).collect()
    }
}

/// One message for each circle among the on-demand features that wait for each other.
fn circles(open: &IndexMap<&str, Item<'_>>, names: &HashSet<&str>) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for start in open.keys() {
        let (mut way, mut at): (Vec<&str>, &str) = (Vec::new(), start);
        while seen.insert(at) {
            way.push(at);
            let next = open.get(at).and_then(|item| item.uses(names).find(|used| open.contains_key(used)));
            match next.and_then(|next| open.get_key_value(next)) {
                Some((next, _)) => at = next,
                None => break,
            }
        }
        let Some(first) = way.iter().position(|name| *name == at) else { continue };
        let circle: Vec<String> =
            way.iter().skip(first).chain([&at]).map(|name| format!("`{name}`")).collect();
        let Some(item) = open.get(at) else { continue };
        let message = format!("on-demand features use each other in a circle: {}", circle.join(" uses "));
        let hint = "take one of the uses out";
        diagnostics.push(Diagnostic::error(codes::FEATURE_CYCLE, message, item.spec.at).with_hint(hint));
    }
    diagnostics
}

/// What the names in expressions stand for.
struct Scope<'a> {
    spec: &'a FeaturesSpec,
    views: &'a IndexMap<String, AnalyzedView>,
    /// The names of all on-demand features, faulty ones included.
    names: HashSet<&'a str>,
    declared: HashMap<&'a str, DataType>,
    /// The types of undeclared request values. The type that the first expression needed holds for the others.
    inferred: HashMap<String, DataType>,
    done: IndexMap<String, AnalyzedOnDemand>,
}

/// What the names of one expression stand for.
#[derive(Default)]
struct Inputs {
    features: Vec<(FeatureRef, DataType)>,
    request: Vec<RequestValue>,
    /// The names of request values of which nothing is known yet.
    open: Vec<String>,
}

impl Scope<'_> {
    /// The feature, and a warning when its expression has a meaning that is likely not meant.
    fn item(&mut self, item: &Item<'_>) -> Result<(AnalyzedOnDemand, Option<Diagnostic>), Vec<Diagnostic>> {
        let mut inputs = self.inputs(item)?;
        let (planned, warning) = self.plan(item, &mut inputs)?;
        let data_type = kept_type(&planned.data_type).ok_or_else(|| {
            let message = format!(
                "`{}` is {}, which a feature cannot be",
                item.spec.name,
                type_name(&planned.data_type)
            );
            vec![
                Diagnostic::error(codes::FEATURE_TYPE, message, item.spec.sql.at)
                    .with_hint("cast it, as in `cast(… as double)`"),
            ]
        })?;
        let analyzed = AnalyzedOnDemand {
            name: item.spec.name.clone(),
            sql: item.expression.canonical(),
            inputs: inputs.features,
            request: inputs.request,
            data_type,
            at: item.spec.at,
        };
        Ok((analyzed, warning))
    }

    /// The inputs of an expression. An error without diagnostics has its cause elsewhere.
    fn inputs(&self, item: &Item<'_>) -> Result<Inputs, Vec<Diagnostic>> {
        let mut inputs = Inputs::default();
        let (mut diagnostics, mut is_whole) = (Vec::new(), true);
        for name in &item.names {
            let found = match name.parts.as_slice() {
                [] => Ok(()),
                [only] => self.single(only, name, item, &mut inputs),
                [first, ..] if self.declared.contains_key(first.as_str()) => {
                    self.single(first, name, item, &mut inputs)
                }
                [view, feature, ..] => self.feature(view, feature, name, item, &mut inputs),
            };
            if let Err(diagnostic) = found {
                is_whole = false;
                diagnostics.extend(diagnostic);
            }
        }
        if is_whole { Ok(inputs) } else { Err(diagnostics) }
    }

    /// Finds what a name without a dot stands for.
    fn single(
        &self,
        word: &str,
        name: &UsedName,
        item: &Item<'_>,
        inputs: &mut Inputs,
    ) -> Result<(), Option<Diagnostic>> {
        if self.names.contains(word) {
            let used = self.done.get(word).ok_or(None)?;
            inputs.features.push((FeatureRef::OnDemand { name: word.to_owned() }, used.data_type.clone()));
            return Ok(());
        }
        let known = self.declared.get(word).or_else(|| self.inferred.get(word));
        if let Some(data_type) = known {
            if !inputs.request.iter().any(|known| known.name == word) {
                inputs.request.push(RequestValue { name: word.to_owned(), data_type: data_type.clone() });
            }
            return Ok(());
        }
        let has = |view: &&AnalyzedView| view.definition.features.iter().any(|feature| feature.name == word);
        if let Some(view) = self.views.values().find(has) {
            let view = &view.definition.name;
            let message = format!("`{word}` is a feature of `{view}`");
            let hint = format!("write `{view}.{word}`, or declare a value of this name under `request`");
            return Err(Some(item.problem(codes::UNKNOWN_FEATURE, message, name, Some(hint))));
        }
        inputs.open.push(word.to_owned());
        Ok(())
    }

    fn feature(
        &self,
        view: &str,
        feature: &str,
        name: &UsedName,
        item: &Item<'_>,
        inputs: &mut Inputs,
    ) -> Result<(), Option<Diagnostic>> {
        let Some(known) = self.views.get(view) else {
            if self.spec.view(view).is_some() {
                return Err(None);
            }
            let hint = name_hint(view, self.spec.views.iter().map(|view| view.name.as_str()), "the views");
            let message = format!("there is no view `{view}`");
            return Err(Some(item.problem(codes::UNKNOWN_FEATURE, message, name, hint)));
        };
        let features = &known.definition.features;
        let Some(found) = features.iter().find(|known| known.name == feature) else {
            let hint = name_hint(feature, features.iter().map(|known| known.name.as_str()), "its features");
            let message = format!("`{view}` has no feature `{feature}`");
            return Err(Some(item.problem(codes::UNKNOWN_FEATURE, message, name, hint)));
        };
        let reference = FeatureRef::Feature { view: view.to_owned(), feature: feature.to_owned() };
        if !inputs.features.iter().any(|(known, _)| *known == reference) {
            inputs.features.push((reference, found.data_type.clone()));
        }
        Ok(())
    }

    /// Plans the expression with the first types of undeclared values that give it a meaning.
    fn plan(
        &mut self,
        item: &Item<'_>,
        inputs: &mut Inputs,
    ) -> Result<(Planned, Option<Diagnostic>), Vec<Diagnostic>> {
        let known = inputs.request.len();
        let mut first: Option<Vec<Problem>> = None;
        for types in combinations(inputs.open.len()) {
            inputs.request.truncate(known);
            let open = inputs.open.iter().cloned().zip(types);
            inputs.request.extend(open.map(|(name, data_type)| RequestValue { name, data_type }));
            let names: Vec<String> = inputs.features.iter().map(|(one, _)| feature_name(one)).collect();
            let features = names.iter().zip(&inputs.features);
            let features = features.map(|(name, (_, data_type))| (name.as_str(), data_type));
            let request = inputs.request.iter().map(|value| (value.name.as_str(), &value.data_type));
            let Some(schema) = scope(features.chain(request)) else { continue };
            match item.expression.plan(&schema) {
                Ok(planned) => {
                    let open = inputs.request.iter().skip(known);
                    self.inferred.extend(open.map(|value| (value.name.clone(), value.data_type.clone())));
                    let warning = planned.integer_division(&schema, &item.spec.sql);
                    return Ok((planned, warning));
                }
                Err(problems) => drop(first.get_or_insert(problems)),
            }
        }
        Err(self.without_meaning(item, inputs, first.unwrap_or_default()))
    }

    fn without_meaning(&self, item: &Item<'_>, inputs: &Inputs, problems: Vec<Problem>) -> Vec<Diagnostic> {
        let is_about_types = problems.iter().all(|problem| problem.code == codes::TYPE_MISMATCH);
        if !is_about_types || problems.is_empty() {
            return item.placed(problems);
        }
        let open = inputs.open.first().map(|word| (word, "is not clear".to_owned()));
        let guessed = inputs.request.iter().find_map(|value| {
            let is_guessed = self.inferred.contains_key(&value.name);
            is_guessed.then(|| {
                (&value.name, format!("was taken to be {} by another feature", type_name(&value.data_type)))
            })
        });
        let Some((word, what)) = open.or(guessed) else { return item.placed(problems) };
        let used = item.names.iter().find(|name| name.parts.first() == Some(word));
        let message = format!("the type of the request value `{word}` {what}");
        let hint = format!("declare it: `request: {{{word}: int64}}`");
        match used {
            Some(used) => vec![item.problem(codes::REQUEST_TYPE, message, used, Some(hint))],
            None => item.placed(problems),
        }
    }
}

/// The types that so many values may have, those most likely meant first.
fn combinations(values: usize) -> Vec<Vec<DataType>> {
    let types = [DataType::Float64, DataType::Utf8, timestamp(), DataType::Boolean];
    if values > COMBINED_MAX {
        return types.iter().map(|data_type| vec![data_type.clone(); values]).collect();
    }
    let mut combinations = vec![Vec::new()];
    for _ in 0..values {
        let longer = |begun: &Vec<DataType>| {
            let begun = begun.clone();
            types
                .iter()
                .map(move |data_type| [begun.as_slice(), std::slice::from_ref(data_type)].concat())
                .collect::<Vec<_>>()
        };
        combinations = combinations.iter().flat_map(longer).collect();
    }
    combinations
}
