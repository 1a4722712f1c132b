//! `layers.toml` against the crates' real dependencies.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde::Deserialize;

use crate::{Result, Workspace};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layers {
    tier: Vec<Tier>,
    /// The crates that may name a library, by the library.
    owned: BTreeMap<String, Vec<String>>,
    /// Crates without code, whose manifests may name any library.
    #[serde(default)]
    pub(super) manifests: Vec<String>,
    #[serde(default)]
    never: Vec<Never>,
    #[serde(default)]
    pub(super) features_only: Vec<FeaturesOnly>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tier {
    name: String,
    crates: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Never {
    #[serde(rename = "crate")]
    name: String,
    uses: String,
    reason: String,
}

/// A dependency that no code names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeaturesOnly {
    #[serde(rename = "crate")]
    pub(super) name: String,
    pub(super) dependency: String,
    pub(super) reason: String,
}

impl Layers {
    pub(super) fn load(workspace: &Workspace) -> Result<Self> {
        let text = fs::read_to_string(workspace.root.join("layers.toml"))?;
        Ok(toml::from_str(&text).map_err(|error| format!("layers.toml: {error}"))?)
    }
}

/// The packages that a crate's manifest names, for code, tests and build scripts alike, by the crate.
type Uses = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let layers = Layers::load(workspace)?;
    let uses: Uses = workspace
        .metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let named = package.dependencies.iter().map(|dependency| dependency.name.clone()).collect();
            (package.name.to_string(), named)
        })
        .collect();
    let faults = faults(&layers, &uses);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

fn faults(layers: &Layers, uses: &Uses) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tiers: BTreeMap<&str, usize> = BTreeMap::new();
    for (height, tier) in layers.tier.iter().enumerate() {
        for name in &tier.crates {
            if !uses.contains_key(name) {
                faults
                    .push(format!("tier `{}` names `{name}`, which is no crate of the workspace", tier.name));
            }
            if tiers.insert(name, height).is_some() {
                faults.push(format!("`{name}` stands in two tiers"));
            }
        }
    }
    for (name, used) in uses {
        let Some(height) = tiers.get(name.as_str()) else {
            faults.push(format!("`{name}` stands in no tier"));
            continue;
        };
        for other in
            used.iter().filter(|other| tiers.get(other.as_str()).is_some_and(|other| other >= height))
        {
            faults.push(format!("`{name}` uses `{other}`, which does not stand in a lower tier"));
        }
    }
    owned_faults(layers, uses, &mut faults);
    for name in layers.manifests.iter().filter(|name| !uses.contains_key(*name)) {
        faults.push(format!("`manifests` names `{name}`, which is no crate of the workspace"));
    }
    for never in &layers.never {
        for name in [&never.name, &never.uses].into_iter().filter(|name| !uses.contains_key(*name)) {
            faults.push(format!("`never` names `{name}`, which is no crate of the workspace"));
        }
        if uses.get(&never.name).is_some_and(|used| used.contains(&never.uses)) {
            faults.push(format!("`{}` uses `{}`: {}", never.name, never.uses, never.reason));
        }
    }
    faults
}

fn owned_faults(layers: &Layers, uses: &Uses, faults: &mut Vec<String>) {
    for (library, owners) in &layers.owned {
        let users = uses.iter().filter(|(_, used)| used.contains(library)).map(|(name, _)| name);
        for user in users.filter(|user| !owners.contains(user) && !layers.manifests.contains(user)) {
            faults.push(format!("`{user}` uses `{library}`, which belongs to {}", owners.join(", ")));
        }
        for owner in owners {
            match uses.get(owner) {
                None => faults
                    .push(format!("`{library}` is owned by `{owner}`, which is no crate of the workspace")),
                Some(used) if !used.contains(library) => {
                    faults.push(format!("`{library}` is owned by `{owner}`, which does not use it"));
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Layers, Uses, faults};

    const LAYERS: &str = r#"
        tier = [{ name = "low", crates = ["a"] }, { name = "high", crates = ["b", "c"] }]
        never = [{ crate = "c", uses = "a", reason = "c is shy" }]
        [owned]
        sqlite = ["a"]"#;

    fn check(uses: &[(&str, &[&str])], expected: &[&str]) {
        let layers: Layers = toml::from_str(LAYERS).unwrap();
        let named = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let uses: Uses = uses.iter().map(|(name, used)| (name.to_string(), named(used))).collect();
        assert_eq!(faults(&layers, &uses), expected);
    }

    #[test]
    fn edges_go_down_and_owned_libraries_stay_at_home() {
        check(&[("a", &["sqlite", "serde"]), ("b", &["a"]), ("c", &["serde"])], &[]);
        check(
            &[("a", &["sqlite", "b"]), ("b", &["c", "sqlite"]), ("c", &["a"])],
            &[
                "`a` uses `b`, which does not stand in a lower tier",
                "`b` uses `c`, which does not stand in a lower tier",
                "`b` uses `sqlite`, which belongs to a",
                "`c` uses `a`: c is shy",
            ],
        );
    }

    #[test]
    fn names_that_nobody_needs_are_faults() {
        check(
            &[("a", &[]), ("c", &[]), ("new", &[])],
            &[
                "tier `high` names `b`, which is no crate of the workspace",
                "`new` stands in no tier",
                "`sqlite` is owned by `a`, which does not use it",
            ],
        );
    }
}
