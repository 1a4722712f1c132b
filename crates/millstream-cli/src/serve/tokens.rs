//! `--tokens FILE`: whose tokens a server takes, and what each is good for. The file holds no secret: a token stands in it by
//! its hash, or by the name of the variable that holds it.

use std::{fs, path::Path};

use millstream_server::{Scope, Token, TokenGrant};
use serde::Deserialize;

use crate::{CliError, settings::variable};

/// Characters of a name, which stands in every line of the log.
const NAME_MAX: usize = 64;

/// `{"tokens": […]}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    tokens: Vec<TokenEntry>,
}

/// One token as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    /// Who uses it.
    name: String,
    scope: ScopeWord,
    /// The token's SHA-256, as 64 hexadecimal digits.
    sha256: Option<String>,
    /// The variable of the environment that holds the token.
    variable: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeWord {
    Read,
    Write,
    Admin,
}

/// The tokens of the file.
pub(crate) fn read(path: &Path) -> Result<Vec<TokenGrant>, CliError> {
    let text = fs::read_to_string(path).map_err(CliError::file("read", path))?;
    let file: TokensFile = serde_json::from_str(&text).map_err(|error| fault(path, error.to_string()))?;
    file.tokens.into_iter().map(|entry| grant(entry).map_err(|message| fault(path, message))).collect()
}

/// What the file should look like.
const HINT: &str = "write {\"tokens\": [{\"name\": \"ci\", \"scope\": \"write\", \"sha256\": \"…\"}]}; the scopes are read, write and admin, \
                    and `printf %s \"$TOKEN\" | sha256sum` prints the hash; \"variable\" names a variable instead";

fn fault(path: &Path, message: impl AsRef<str>) -> CliError {
    let message = format!("the tokens in `{}` cannot be used: {}", path.display(), message.as_ref());
    CliError::call(message, HINT.to_owned())
}

fn grant(entry: TokenEntry) -> Result<TokenGrant, String> {
    let TokenEntry { name, scope, sha256, variable: place } = entry;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
        return Err(format!(
            "`{}` is no name: letters, digits and `-_.@` are, up to {NAME_MAX}",
            name.escape_debug()
        ));
    }
    let token = match (sha256, place) {
        (Some(hash), None) => {
            let digest = digest(&hash)
                .ok_or_else(|| format!("the `sha256` of `{name}` has to be 64 hexadecimal digits"))?;
            Token::of_digest(digest)
        }
        (None, Some(place)) => {
            let held = variable(&place).filter(|token| !token.is_empty());
            Token::new(
                held.ok_or_else(|| format!("the variable `{place}`, the token of `{name}`, is not set"))?,
            )
        }
        _ => return Err(format!("`{name}` needs either `sha256` or `variable`")),
    };
    let scope = match scope {
        ScopeWord::Read => Scope::Read,
        ScopeWord::Write => Scope::Write,
        ScopeWord::Admin => Scope::Admin,
    };
    Ok(TokenGrant { name, scope, token })
}

/// The bytes that hexadecimal digits stand for.
fn digest(hash: &str) -> Option<[u8; 32]> {
    let digits: Vec<u32> = hash.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}
