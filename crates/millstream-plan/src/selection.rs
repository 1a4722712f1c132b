//! Which assets a command means: `silver.orders`, `+orders`, `orders+`, `tag:daily`, `source:orders`, `silver.*`.

use std::{collections::BTreeSet, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};
use millstream_types::AssetId;

use crate::{AssetFacts, AssetKind, Graph};

/// A union of terms; without a term, everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    /// As the user wrote it.
    text: String,
    upstream: bool,
    downstream: bool,
    of: Subject,
    pattern: Pattern,
}

/// What of an asset the pattern is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Name,
    Tag,
    Source,
}

#[derive(Clone, Debug)]
enum Pattern {
    Exact(String),
    Glob(GlobMatcher),
}

/// A selection that means nothing in this project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    #[error("`{term}` selects nothing: {reason}")]
    Malformed { term: String, reason: String },
    #[error("`{term}` matches no {what}")]
    NoMatch { term: String, what: &'static str, nearest: Option<String> },
    #[error("`{term}` can mean {}", list(candidates))]
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
                "write a name, `+name`, `name+`, `tag:x`, `source:x` or a pattern like `silver.*`".into(),
            ),
            Self::NoMatch { nearest, .. } => {
                nearest.as_ref().map(|nearest| format!("did you mean `{nearest}`?"))
            }
            Self::Ambiguous { .. } => Some("write the schema too, or `source:name` for the source".into()),
        }
    }
}

impl Selection {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn is_all(&self) -> bool {
        self.terms.is_empty()
    }

    /// Reads terms as a command line gives them; names are looked up by [`Self::resolve`].
    pub fn parse(terms: &[String]) -> Result<Self, SelectionError> {
        Ok(Self { terms: terms.iter().map(|term| term.parse()).collect::<Result<_, _>>()? })
    }

    /// Errors when a term matches nothing, or a name without a schema matches in several.
    pub fn resolve(&self, graph: &Graph) -> Result<BTreeSet<AssetId>, SelectionError> {
        if self.is_all() {
            return Ok(graph.assets().iter().map(|asset| asset.id.clone()).collect());
        }
        let mut selected = BTreeSet::new();
        for term in &self.terms {
            for asset in term.matches(graph)? {
                if term.upstream {
                    selected.extend(graph.upstream(&asset.id));
                }
                if term.downstream {
                    selected.extend(graph.downstream(&asset.id));
                }
                selected.insert(asset.id.clone());
            }
        }
        Ok(selected)
    }
}

impl FromStr for Term {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let malformed = |reason: &str| SelectionError::Malformed { term: text.into(), reason: reason.into() };
        let trimmed = text.trim();
        let (rest, upstream) = trimmed.strip_prefix('+').map_or((trimmed, false), |rest| (rest, true));
        let (rest, downstream) = rest.strip_suffix('+').map_or((rest, false), |rest| (rest, true));
        let (of, name) = match rest.split_once(':') {
            Some(("tag", name)) => (Subject::Tag, name),
            Some(("source", name)) => (Subject::Source, name),
            Some((word, _)) => return Err(malformed(&format!("`{word}:` is not known"))),
            None => (Subject::Name, rest),
        };
        if name.is_empty() {
            return Err(malformed("a name is missing"));
        }
        let pattern = if name.contains(['*', '?', '[', '{']) {
            let glob =
                GlobBuilder::new(name).build().map_err(|error| malformed(&error.kind().to_string()))?;
            Pattern::Glob(glob.compile_matcher())
        } else {
            Pattern::Exact(name.into())
        };
        Ok(Self { text: trimmed.into(), upstream, downstream, of, pattern })
    }
}

impl Term {
    fn matches<'a>(&self, graph: &'a Graph) -> Result<Vec<&'a AssetFacts>, SelectionError> {
        let found: Vec<&AssetFacts> = match (&self.pattern, self.of) {
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
        let (what, prefix, known): (_, _, Vec<&str>) = match self.of {
            Subject::Tag => {
                ("tag", "tag:", assets().flat_map(|a| a.tags.iter().map(String::as_str)).collect())
            }
            Subject::Source => {
                let sources = assets().filter(|asset| asset.kind == AssetKind::Source);
                ("source", "source:", sources.map(short).collect())
            }
            Subject::Name => {
                ("source or table", "", assets().map(|a| a.id.as_str()).chain(assets().map(short)).collect())
            }
        };
        let nearest = match &self.pattern {
            Pattern::Exact(name) => nearest(name, known).map(|name| format!("{prefix}{name}")),
            Pattern::Glob(_) => None,
        };
        SelectionError::NoMatch { term: self.text.clone(), what, nearest }
    }
}

fn pattern_fits(pattern: &Pattern, of: Subject, asset: &AssetFacts) -> bool {
    let fits = |text: &str| match pattern {
        Pattern::Exact(name) => name == text,
        Pattern::Glob(glob) => glob.is_match(text),
    };
    match of {
        Subject::Name => fits(asset.id.as_str()) || fits(short(asset)),
        Subject::Tag => asset.tags.iter().any(|tag| fits(tag)),
        Subject::Source => asset.kind == AssetKind::Source && (fits(short(asset)) || fits(asset.id.as_str())),
    }
}

/// The name without its schema.
fn short(asset: &AssetFacts) -> &str {
    let id = asset.id.as_str();
    id.rsplit_once('.').map_or(id, |(_, name)| name)
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

fn list(candidates: &[AssetId]) -> String {
    candidates.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" or ")
}
