//! Public async functions give a boxed future. The body of an `async fn` is compiled wherever it is awaited, so one that
//! crosses a crate is compiled anew in each crate and each test above it, with all that it awaits; a box is compiled once.
//! docs/decisions/0013 has the figures.

use std::fs;

use syn::{Visibility, spanned::Spanned, visit::Visit};

use crate::{Result, Workspace};

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut found = Vec::new();
    for path in workspace.rust_files()? {
        let name = workspace.relative(&path);
        let source = fs::read_to_string(&path)?;
        let places = public_async(&source).map_err(|error| format!("{name}: {error}"))?;
        found.extend(places.into_iter().map(|(function, line)| format!("{name}:{line} `{function}`")));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!(
        "these async functions are public: give `BoxFuture` and `Box::pin(async move {{ … }})` instead\n  {}",
        found.join("\n  ")
    )
    .into())
}

/// Name and line of each `pub async fn`.
fn public_async(source: &str) -> syn::Result<Vec<(String, usize)>> {
    let mut functions = Functions(Vec::new());
    functions.visit_file(&syn::parse_file(source)?);
    Ok(functions.0)
}

struct Functions(Vec<(String, usize)>);

impl Functions {
    fn add(&mut self, visibility: &Visibility, signature: &syn::Signature) {
        if matches!(visibility, Visibility::Public(_)) && signature.asyncness.is_some() {
            self.0.push((signature.ident.to_string(), signature.span().start().line));
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.vis, &function.sig);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.vis, &function.sig);
        syn::visit::visit_impl_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::public_async;

    #[test]
    fn only_what_other_crates_can_await_is_named() {
        let source = "pub async fn free() {}\nasync fn own() {}\npub(crate) async fn near() {}\n\
                      struct S;\nimpl S {\n    pub async fn method(&self) {}\n    pub fn boxed(&self) {}\n}\n";
        let named = vec![("free".to_owned(), 1), ("method".to_owned(), 6)];
        assert_eq!(public_async(source).ok(), Some(named));
    }
}
