//! The words that the paths of Rust code begin with, which is how code names a crate.
//!
//! `name::…`, `use name;` and `use {name, …}` begin with `name`. A local variable `bytes`, the `csv` of `arrow::csv`, a
//! comment and a string do not count.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

pub(super) type Words = BTreeSet<String>;

/// What code names, by when it is compiled.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Named {
    pub(super) product: Words,
    /// The words of tests, examples and benches, also of tests inside the product's files.
    pub(super) tests: Words,
}

impl Named {
    pub(super) fn add(&mut self, tokens: TokenStream, of_tests: bool) {
        self.read(tokens, of_tests, false);
    }

    /// Reads the tokens of code. `in_use` says that they stand in the braces of `use {…}`.
    fn read(&mut self, tokens: TokenStream, of_tests: bool, in_use: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // Whether `#[cfg(test)]` stood before the item that is being read.
        let mut is_test_item = false;
        for (at, token) in tokens.iter().enumerate() {
            let (before, after) = (&tokens[..at], &tokens[at + 1..]);
            match token {
                TokenTree::Group(group) if is_cfg_test(group) => is_test_item = true,
                TokenTree::Group(group) => {
                    // The names in `arrow::{csv, json}` are no first words.
                    if !continues_path(before) {
                        self.read(group.stream(), of_tests || is_test_item, ends_with(before, "use"));
                    }
                    is_test_item &= group.delimiter() != Delimiter::Brace;
                }
                TokenTree::Ident(word) if word != "use" => {
                    let begins = opens_path(after) || stands_in_use(before, in_use);
                    if begins && !continues_path(before) {
                        let words =
                            if of_tests || is_test_item { &mut self.tests } else { &mut self.product };
                        words.insert(word.to_string());
                    }
                }
                TokenTree::Punct(mark) => is_test_item &= !matches!(mark.as_char(), ';' | ','),
                TokenTree::Ident(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

fn is_cfg_test(group: &Group) -> bool {
    group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn opens_path(after: &[TokenTree]) -> bool {
    matches!(after, [first, second, ..] if is_double_colon(first, second))
}

/// Whether what follows `before` is a later word of a path. After `use ::` it is the first.
fn continues_path(before: &[TokenTree]) -> bool {
    match before {
        [.., TokenTree::Ident(word), first, second] => is_double_colon(first, second) && word != "use",
        _ => false,
    }
}

fn is_double_colon(first: &TokenTree, second: &TokenTree) -> bool {
    match (first, second) {
        (TokenTree::Punct(first), TokenTree::Punct(second)) => {
            first.as_char() == ':' && first.spacing() == Spacing::Joint && second.as_char() == ':'
        }
        _ => false,
    }
}

/// Whether what follows `before` is the first word of something used, perhaps its only one: `use name;`.
fn stands_in_use(before: &[TokenTree], in_use: bool) -> bool {
    match before {
        [] => in_use,
        [.., TokenTree::Punct(mark)] => in_use && mark.as_char() == ',',
        [.., TokenTree::Ident(word), _] if word == "extern" => ends_with(before, "crate"),
        _ => ends_with(before, "use"),
    }
}

fn ends_with(tokens: &[TokenTree], word: &str) -> bool {
    matches!(tokens.last(), Some(TokenTree::Ident(last)) if last == word)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Named, Words};

    fn check(code: &str, product: &[&str], tests: &[&str]) {
        let mut named = Named::default();
        named.add(code.parse().unwrap(), false);
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Words>();
        assert_eq!(named, Named { product: words(product), tests: words(tests) }, "{code}");
    }

    #[test]
    fn a_path_names_its_first_word() {
        check("use one::{two, three::Four}; type A = five::B<six::C>;", &["five", "one", "six"], &[]);
        check(
            "use one; use two as three; extern crate four; pub use ::five::Six;",
            &["five", "four", "one", "two"],
            &[],
        );
        check("use {one::a::b, two, three::{four, five::C}};", &["one", "three", "two"], &[]);
        check("#[one::test] fn a() { two!(three::b(), [four::C; 2]) }", &["four", "one", "three"], &[]);
    }

    #[test]
    fn other_words_name_nothing() {
        check(
            "// one::two\n/// three::four\nfn a(bytes: u8) -> u8 { b(\"five::six\", bytes, r#\"seven::eight\"#) }",
            &[],
            &[],
        );
        check("fn a() -> one::two::Three { let four: B = one::four::five; }", &["one"], &[]);
    }

    #[test]
    fn what_is_compiled_for_tests_only_stands_apart() {
        check(
            "#[cfg(test)] #[allow(x)] mod tests { use one::A; fn b() { two::c() } } fn d() { three::e() }",
            &["three"],
            &["one", "two"],
        );
        check("#[cfg(test)] use one::A; use two::B;", &["two"], &["one"]);
        check(
            "struct A { #[cfg(test)] b: one::B, c: two::C } #[cfg(unix)] use three::D;",
            &["three", "two"],
            &["one"],
        );
    }
}
