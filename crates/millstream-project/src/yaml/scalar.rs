//! What a plain scalar means: YAML's core schema.

use crate::NodeKind;

/// The value of an unquoted scalar.
pub(crate) fn plain(text: &str) -> NodeKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeKind::Null,
        "true" | "True" | "TRUE" => return NodeKind::Bool(true),
        "false" | "False" | "FALSE" => return NodeKind::Bool(false),
        _ => {}
    }
    // Nearly every scalar of a project is a word; only these characters start a number.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return NodeKind::Text(text.into());
    }
    if let Some(value) = int(text) {
        return NodeKind::Int(value);
    }
    match float(text) {
        Some(value) => NodeKind::Float(value, text.into()),
        None => NodeKind::Text(text.into()),
    }
}

fn int(text: &str) -> Option<i64> {
    let radix = |digits: &str, radix| {
        let fits = digits.chars().all(|c| c.is_digit(radix));
        if fits { i64::from_str_radix(digits, radix).ok() } else { None }
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

/// A number of the core schema: `1.5`, `-.5e3`, `.inf`, `.nan`.
pub(crate) fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // Rust also reads `inf` and `nan`, which YAML leaves as text.
    let number_like =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if number_like { text.parse().ok() } else { None }
}
