//! The codes of this room's errors, for the generated reference.

/// A stable code of an error and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: &'static str,
    pub title: &'static str,
    /// When the error appears, and what to do.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        $(pub(crate) const $name: &str = $code;)*

        /// Every code of this room, ascending.
        pub const CODES: &[Code] = &[$(Code { code: $code, title: $title, explanation: $explanation },)*];
    };
}

codes! {
    NO_PROJECT = "MS-0801", "No project here",
        "There is no `millstream.yaml` in this folder or one above it, or the folder of `--project` does not exist. Start a project with `millstream init`, or name its folder with `--project`.";
    NO_OVERWRITE = "MS-0802", "Something is there already",
        "`init` and `demo` never overwrite a file. Name another folder with `--path`.";
    FILE = "MS-0803", "A file on this machine",
        "A file or folder cannot be created, read or written; the cause says why.";
    UNKNOWN_TEMPLATE = "MS-0804", "Unknown template",
        "`init` knows the templates `blank` and `shop`.";
    UNKNOWN_NAME = "MS-0805", "Unknown name",
        "The project has no table, test or asset of this name. The hint names the nearest one, or those that there are.";
    CALL = "MS-0806", "A call that means nothing",
        "The command line cannot be read, its arguments do not go together, or a name can mean several things. `millstream help <command>` shows what there is.";
    OUTPUT = "MS-0807", "The result cannot be written",
        "Standard output or the file of `--output` does not take the result.";
    FORMAT = "MS-0808", "The result cannot be formatted",
        "A value of the result has no form in the wanted format. Cast it in the query, or choose another format.";
    PROJECT = "MS-0809", "The project has errors",
        "Nothing ran. `millstream check` shows all errors with their places. While a file is broken, `status`, `query` and `lineage`, and `run` and `plan` of selected tables, go on with what does not depend on it.";
    REFUSED = "MS-1261", "A server that takes no events",
        "The server of `millstream ingest --server` cannot be reached, or refuses the events; the message says why, with the server's own code.";
}
