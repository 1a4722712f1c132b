//! A command line that cannot be understood, told to people in clap's words and to machines as any other error.

use std::ffi::OsString;

use clap::{
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{ErrorReport, Exit, codes, output, wire::ErrorDocument};

/// The word before a tip in clap's text.
const TIP: &str = "tip:";

/// The options by which other tools select assets.
const SELECTING: [&str; 5] = ["--select", "--models", "--model", "-s", "-m"];

/// The fault with a tip that helps: clap's own advice on an option that it does not know is to pass it as a value.
pub(crate) fn advised(mut error: clap::Error) -> clap::Error {
    let invalid = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        _ => return error,
    };
    if error.kind() == ErrorKind::UnknownArgument && SELECTING.contains(&invalid.as_str()) {
        error.remove(ContextKind::SuggestedArg);
        let tip = "assets are named without an option: `millstream run orders+ tag:daily`";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
    error
}

/// Prints help, the version or the fault, and says how the process ends.
pub(crate) fn tell(error: &clap::Error, typed: &[OsString]) -> Exit {
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
    let wants_json = typed.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    // Nothing can be done when the terminal is gone.
    if wants_json && exit == Exit::Usage {
        let _ = output::print_json(&ErrorDocument::from(&report(error)));
    } else {
        let _ = error.print();
    }
    exit
}

fn report(error: &clap::Error) -> ErrorReport {
    let (message, hint) = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            ("no command is given".to_owned(), Some("`millstream --help` lists the commands".to_owned()))
        }
        _ => said(&error.render().to_string()),
    };
    ErrorReport { code: codes::CALL, message, causes: Vec::new(), hint, exit: Exit::Usage }
}

/// The first paragraph as one line, and the tips as the hint.
fn said(text: &str) -> (String, Option<String>) {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let message = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let tips: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix(TIP)).map(str::trim).collect();
    (message, (!tips.is_empty()).then(|| tips.join("; ")))
}
