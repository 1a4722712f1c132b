//! Which assets a command means: `silver.orders`, `+orders`, `orders+`, `2+orders+1`, `tag:daily`, `source:orders`,
//! `path:tables/gold`, `silver.*`, `tag:daily,gold.*`; and which of them it does not mean.

use std::{collections::BTreeSet, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};
use millstream_types::AssetId;

use crate::{AssetFacts, Graph};

/// A union of terms without the union of others; without a term, everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    terms: Vec<Term>,
    excluded: Vec<Term>,
}

/// A term is what the user wrote between two spaces: the assets that all of its criteria select.
#[derive(Clone, Debug)]
struct Term {
    criteria: Vec<Criterion>,
}

/// A criterion selects the assets that fit a pattern, and those up and down the graph from them.
#[derive(Clone, Debug)]
struct Criterion {
    /// The criterion as the user wrote it.
    text: String,
    upstream: Reach,
    downstream: Reach,
    of: Subject,
    pattern: Pattern,
}

/// The distance from an asset that the selection reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The asset alone.
    Here,
    /// The selection goes this many steps.
    Steps(usize),
    Everywhere,
}

/// The property of an asset that the pattern is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Name,
    Tag,
    Source,
    Path,
    /// The name of an asset of the kind that stands before the colon: `view:spend`.
    Kind(String),
}

#[derive(Clone, Debug)]
enum Pattern {
    Exact(String),
    Glob(GlobMatcher),
}

/// The most names that a hint lists.
const LISTED_MAX: usize = 12;

/// A selection that means nothing in this project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    #[error("`{term}` selects nothing: {reason}")]
    Malformed { term: String, reason: String },
    #[error("`{term}` matches no {what}")]
    NoMatch {
        term: String,
        what: &'static str,
        nearest: Option<String>,
        /// The words that could have been written, where nothing is near.
        known: Vec<String>,
    },
    #[error("`{term}` can mean {}", list(candidates, " or "))]
    Ambiguous { term: String, candidates: Vec<AssetId> },
}

impl SelectionError {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "MS-0911",
            Self::NoMatch { .. } => "MS-0912",
            Self::Ambiguous { .. } => "MS-0913",
        }
    }

    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => Some(
                "write a name, `+name`, `name+`, `2+name+1`, `tag:x`, `source:x`, `path:x`, `view:x` or a pattern like `silver.*`; \
                 a comma between two asks for both"
                    .into(),
            ),
            Self::NoMatch { nearest: Some(nearest), .. } => Some(format!("did you mean `{nearest}`?")),
            Self::NoMatch { known, .. } => match known.len().checked_sub(LISTED_MAX) {
                _ if known.is_empty() => Some("the project has none".into()),
                None | Some(0) => Some(format!("there are {}", list(known, ", "))),
                Some(more) => Some(format!("there are {} and {more} more", list(&known[..LISTED_MAX], ", "))),
            },
            Self::Ambiguous { candidates, .. } => Some(match candidates.iter().any(|id| id.kind().is_some()) {
                true => "write what stands before the name too".into(),
                false => "write the schema too, or `source:name` for the source".into(),
            }),
        }
    }
}

impl Selection {
    /// Selects everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn is_all(&self) -> bool {
        self.terms.is_empty() && self.excluded.is_empty()
    }

    /// Tells whether the user said which assets are meant, and not only which are not.
    #[must_use]
    pub fn names_assets(&self) -> bool {
        !self.terms.is_empty()
    }

    /// Reads terms as a command line gives them; names are looked up by [`Self::resolve`].
    pub fn parse(terms: &[String], excluded: &[String]) -> Result<Self, SelectionError> {
        let parse = |terms: &[String]| -> Result<Vec<Term>, SelectionError> {
            terms.iter().map(|term| term.parse()).collect()
        };
        Ok(Self { terms: parse(terms)?, excluded: parse(excluded)? })
    }

    /// Errors when a term matches nothing, or a name without a schema matches in several. An intersection may be
    /// empty, and so may what an exclusion leaves.
    pub fn resolve(&self, graph: &Graph) -> Result<BTreeSet<AssetId>, SelectionError> {
        let mut selected = match self.terms.is_empty() {
            true => graph.assets().iter().map(|asset| asset.id.clone()).collect(),
            false => union(&self.terms, graph)?,
        };
        let excluded = union(&self.excluded, graph)?;
        selected.retain(|asset| !excluded.contains(asset));
        Ok(selected)
    }
}

impl Selection {
    /// The assets that a term fits by itself, and not only by what comes before or after one that does. Errors as
    /// [`Self::resolve`] does.
    pub fn named(&self, graph: &Graph) -> Result<BTreeSet<AssetId>, SelectionError> {
        let mut named = BTreeSet::new();
        for criterion in self.terms.iter().flat_map(|term| &term.criteria) {
            named.extend(criterion.matches(graph)?.into_iter().map(|asset| asset.id.clone()));
        }
        Ok(named)
    }
}

fn union(terms: &[Term], graph: &Graph) -> Result<BTreeSet<AssetId>, SelectionError> {
    let mut selected = BTreeSet::new();
    for term in terms {
        selected.extend(term.resolve(graph)?);
    }
    Ok(selected)
}

impl FromStr for Term {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let criteria = comma_separated(text.trim());
        Ok(Self { criteria: criteria.into_iter().map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl Term {
    fn resolve(&self, graph: &Graph) -> Result<BTreeSet<AssetId>, SelectionError> {
        let mut criteria = self.criteria.iter();
        let mut selected = match criteria.next() {
            Some(first) => first.resolve(graph)?,
            None => BTreeSet::new(),
        };
        for criterion in criteria {
            let others = criterion.resolve(graph)?;
            selected.retain(|asset| others.contains(asset));
        }
        Ok(selected)
    }
}

/// The criteria of a term; a comma inside of the braces of a pattern belongs to it.
fn comma_separated(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let is_comma = |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(is_comma).collect()
}

impl FromStr for Criterion {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let malformed = |reason: &str| SelectionError::Malformed { term: text.into(), reason: reason.into() };
        let (upstream, rest) = match text.split_once('+') {
            Some((steps, rest)) if is_steps(steps) => (reach(steps), rest),
            _ => (Reach::Here, text),
        };
        let (downstream, rest) = match rest.rsplit_once('+') {
            Some((rest, steps)) if is_steps(steps) => (reach(steps), rest),
            _ => (Reach::Here, rest),
        };
        let (of, name) = match rest.split_once(':') {
            Some(("tag", name)) => (Subject::Tag, name),
            Some(("source", name)) => (Subject::Source, name),
            Some(("path", name)) => (Subject::Path, name.trim_start_matches("./").trim_end_matches('/')),
            Some((kind, name)) => (Subject::Kind(kind.to_owned()), name),
            None => (Subject::Name, rest),
        };
        if name.is_empty() {
            return Err(malformed("a name is missing"));
        }
        // Tags and paths are free; names are those of assets.
        let foreign = name.chars().find(|c| !(c.is_alphanumeric() || "._-*?[]{}!,".contains(*c)));
        if let (Subject::Name | Subject::Source | Subject::Kind(_), Some(foreign)) = (&of, foreign) {
            return Err(malformed(&format!("no name has a `{foreign}`")));
        }
        let pattern = if name.contains(['*', '?', '[', '{']) {
            let glob =
                GlobBuilder::new(name).build().map_err(|error| malformed(&error.kind().to_string()))?;
            Pattern::Glob(glob.compile_matcher())
        } else {
            Pattern::Exact(name.into())
        };
        Ok(Self { text: text.into(), upstream, downstream, of, pattern })
    }
}

/// Tells whether a text beside a `+` says how many steps: nothing stands for all of them.
fn is_steps(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The reach that a text beside a `+` names; more steps than a number holds are all of them.
fn reach(steps: &str) -> Reach {
    steps.parse().map_or(Reach::Everywhere, Reach::Steps)
}

impl Criterion {
    fn resolve(&self, graph: &Graph) -> Result<BTreeSet<AssetId>, SelectionError> {
        let mut selected = BTreeSet::new();
        for asset in self.matches(graph)? {
            match self.upstream {
                Reach::Here => {}
                Reach::Steps(steps) => selected.extend(graph.upstream_within(&asset.id, steps)),
                Reach::Everywhere => selected.extend(graph.upstream(&asset.id)),
            }
            match self.downstream {
                Reach::Here => {}
                Reach::Steps(steps) => selected.extend(graph.downstream_within(&asset.id, steps)),
                Reach::Everywhere => selected.extend(graph.downstream(&asset.id)),
            }
            selected.insert(asset.id.clone());
        }
        Ok(selected)
    }

    fn matches<'a>(&self, graph: &'a Graph) -> Result<Vec<&'a AssetFacts>, SelectionError> {
        if let Subject::Kind(kind) = &self.of
            && !graph.assets().iter().any(|asset| asset.id.kind() == Some(kind))
        {
            let reason = format!("the project has nothing that is written `{kind}:`");
            return Err(SelectionError::Malformed { term: self.text.clone(), reason });
        }
        let found: Vec<&AssetFacts> = match (&self.pattern, &self.of) {
            (Pattern::Exact(name), Subject::Name) => return self.by_name(name, graph),
            (pattern, of) => graph.assets().iter().filter(|asset| pattern_fits(pattern, of, asset)).collect(),
        };
        if found.is_empty() { Err(self.no_match(graph)) } else { Ok(found) }
    }

    fn by_name<'a>(&self, name: &str, graph: &'a Graph) -> Result<Vec<&'a AssetFacts>, SelectionError> {
        if let Some(asset) = graph.get(&AssetId::new(name)) {
            return Ok(vec![asset]);
        }
        let found: Vec<&AssetFacts> = graph.assets().iter().filter(|asset| short(asset) == name).collect();
        match found.len() {
            0 => Err(self.no_match(graph)),
            1 => Ok(found),
            _ => Err(SelectionError::Ambiguous {
                term: self.text.clone(),
                candidates: found.into_iter().map(|asset| asset.id.clone()).collect(),
            }),
        }
    }

    fn no_match(&self, graph: &Graph) -> SelectionError {
        let assets = || graph.assets().iter();
        let prefix: String;
        let (what, prefix, known): (_, &str, BTreeSet<String>) = match &self.of {
            Subject::Tag => ("tag", "tag:", assets().flat_map(|asset| asset.tags.iter().cloned()).collect()),
            Subject::Source => {
                let sources = assets().filter(|asset| asset.reads_outside);
                ("source", "source:", sources.map(|asset| short(asset).to_owned()).collect())
            }
            Subject::Path => {
                ("file of an asset", "path:", assets().map(|asset| asset.path.clone()).collect())
            }
            Subject::Kind(kind) => {
                let of_kind = assets().filter(|asset| asset.id.kind() == Some(kind));
                prefix = format!("{kind}:");
                ("asset", prefix.as_str(), of_kind.map(|asset| asset.id.name().to_owned()).collect())
            }
            Subject::Name => ("asset", "", assets().map(|asset| asset.id.to_string()).collect()),
        };
        let shorts: Vec<&str> = match self.of {
            Subject::Name => assets().map(short).collect(),
            Subject::Tag | Subject::Source | Subject::Path | Subject::Kind(_) => Vec::new(),
        };
        let nearest = match &self.pattern {
            Pattern::Exact(name) => nearest(name, known.iter().map(String::as_str).chain(shorts)),
            Pattern::Glob(_) => None,
        };
        let prefixed = |name: &str| format!("{prefix}{name}");
        SelectionError::NoMatch {
            term: self.text.clone(),
            what,
            nearest: nearest.map(prefixed),
            known: known.iter().map(|name| prefixed(name)).collect(),
        }
    }
}

fn pattern_fits(pattern: &Pattern, of: &Subject, asset: &AssetFacts) -> bool {
    let fits = |text: &str| match pattern {
        Pattern::Exact(name) => name == text,
        Pattern::Glob(glob) => glob.is_match(text),
    };
    match of {
        Subject::Name => fits(asset.id.as_str()) || fits(short(asset)),
        Subject::Tag => asset.tags.iter().any(|tag| fits(tag)),
        Subject::Source => asset.reads_outside && (fits(short(asset)) || fits(asset.id.as_str())),
        // A file, or a folder above it.
        Subject::Path => {
            let path = asset.path.as_str();
            path.match_indices('/').map(|(at, _)| &path[..at]).chain([path]).any(fits)
        }
        Subject::Kind(kind) => asset.id.kind() == Some(kind) && fits(asset.id.name()),
    }
}

/// The name without its kind and its schema.
fn short(asset: &AssetFacts) -> &str {
    let name = asset.id.name();
    name.rsplit_once('.').map_or(name, |(_, name)| name)
}

/// The known word that a misspelt one probably means.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let similarity = |other: &str| strsim::jaro_winkler(word, other);
    known
        .into_iter()
        .map(|other| (similarity(other), other))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|(a, first), (b, second)| a.total_cmp(b).then_with(|| second.cmp(first)))
        .map(|(_, other)| other)
}

fn list(names: &[impl std::fmt::Display], between: &str) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(between)
}
