//! The projects that `init` and `demo` start from, embedded in the binary.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::CliError;

/// A project to start from.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) name: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Whether it needs generated data to have something to run on.
    pub(crate) has_data: bool,
}

/// Stands for the project's name in the files of a template.
const PROJECT: &str = "${project}";

macro_rules! files {
    ($template:literal, $(($path:literal, $file:literal)),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../templates/", $template, "/", $file)))),+]
    };
}

/// Every template; the first is the default.
pub(crate) const TEMPLATES: [Template; 2] = [
    Template {
        name: "blank",
        files: files!(
            "blank",
            ("millstream.yaml", "millstream.yaml"),
            (".gitignore", "gitignore"),
            ("README.md", "README.md"),
        ),
        has_data: false,
    },
    Template {
        name: "shop",
        files: files!(
            "shop",
            ("millstream.yaml", "millstream.yaml"),
            (".gitignore", "gitignore"),
            ("README.md", "README.md"),
            ("sources/customers.yaml", "sources/customers.yaml"),
            ("sources/orders.yaml", "sources/orders.yaml"),
            ("sources/events.yaml", "sources/events.yaml"),
            ("tables/silver/customers.sql", "tables/silver/customers.sql"),
            ("tables/silver/orders.sql", "tables/silver/orders.sql"),
            ("tables/silver/events.sql", "tables/silver/events.sql"),
            ("tables/gold/daily_revenue.sql", "tables/gold/daily_revenue.sql"),
            ("tables/gold/customer_value.sql", "tables/gold/customer_value.sql"),
            ("tables/gold/funnel.sql", "tables/gold/funnel.sql"),
            ("tables/gold/revenue_by_country.sql", "tables/gold/revenue_by_country.sql"),
            ("tables/gold/churn_labels.sql", "tables/gold/churn_labels.sql"),
            ("features/customer.yaml", "features/customer.yaml"),
            ("datasets/churn.yaml", "datasets/churn.yaml"),
            ("tests/orders.yaml", "tests/orders.yaml"),
            ("tests/daily_revenue.yaml", "tests/daily_revenue.yaml"),
        ),
        has_data: true,
    },
];

/// The names of all templates, for hints.
pub(crate) fn names() -> String {
    TEMPLATES.map(|template| format!("`{}`", template.name)).join(", ")
}

/// Errors with the nearest name when there is no such template.
pub(crate) fn find(name: &str) -> Result<&'static Template, CliError> {
    TEMPLATES.iter().find(|template| template.name == name).ok_or_else(|| CliError::UnknownTemplate {
        name: name.to_owned(),
        nearest: crate::project::nearest(name, TEMPLATES.iter().map(|template| template.name)),
    })
}

impl Template {
    /// Writes the files below `root`, which is created. Nothing is written when one of them exists already.
    pub(crate) fn write(&self, root: &Path) -> Result<Vec<PathBuf>, CliError> {
        let project = project_name(root);
        // Messages about the present folder are to name files as the user would.
        let root = if root == Path::new(".") { Path::new("") } else { root };
        let paths: Vec<PathBuf> = self.files.iter().map(|(path, _)| root.join(path)).collect();
        if let Some(path) = paths.iter().find(|path| path.exists()) {
            return Err(CliError::Exists { path: path.clone() });
        }
        for ((_, text), path) in self.files.iter().zip(&paths) {
            let folder = path.parent().unwrap_or(root);
            fs::create_dir_all(folder).map_err(CliError::file("create", folder))?;
            fs::write(path, text.replace(PROJECT, &project)).map_err(CliError::file("write", path))?;
        }
        Ok(paths)
    }
}

/// The folder's name as an identifier.
fn project_name(root: &Path) -> String {
    let folder = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.trim_matches('_');
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name.to_owned() } else { "project".to_owned() }
}
