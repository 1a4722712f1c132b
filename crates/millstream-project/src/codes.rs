//! The codes of everything that can be wrong with a project, for the generated reference.

/// A diagnostic code and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `MS-0101`; never given to another meaning.
    pub code: &'static str,
    pub title: &'static str,
    /// A few sentences: when it appears, and what to do.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        $(pub(crate) const $name: &str = $code;)*

        /// Every code of this crate, ascending.
        pub const CODES: &[Code] =
            &[$(Code { code: $code, title: $title, explanation: $explanation },)*];
    };
}

codes! {
    YAML_SYNTAX = "MS-0101", "Not valid YAML",
        "The file, or the header of a SQL file, breaks YAML's syntax. The place is where reading stopped; the mistake stands there or on the line before. Nothing else in the file is checked until it is repaired.";
    DUPLICATE_KEY = "MS-0102", "A key is given twice",
        "A mapping holds the same key twice. YAML forbids it, and most tools silently keep one of the two. Remove one.";
    YAML_FEATURE = "MS-0103", "YAML that a project cannot use",
        "Projects use plain YAML: one document per file, text as keys, no tags except `!!str`. Anchors, aliases and the merge key `<<` are supported.";
    YAML_BOUNDS = "MS-0104", "A file beyond the bounds",
        "A project file holds at most 1 MiB, 200,000 values and 64 levels of nesting, so that no file can exhaust memory. Split it.";
    UNREADABLE = "MS-0105", "A file cannot be read",
        "The file or folder exists but cannot be read: a missing permission, a broken link, or text that is not UTF-8.";
    EMPTY_FILE = "MS-0106", "A file is empty",
        "The file holds nothing but white space and comments. Write the definition or remove the file.";
    TOO_MANY = "MS-0107", "Too many problems in one file",
        "So much is wrong with the file that only the first problems are shown. It may be a file of another kind.";
    UNKNOWN_KEY = "MS-0110", "Unknown key",
        "The key means nothing in this place; keys are never ignored silently. The hint names the nearest known key.";
    WRONG_KIND = "MS-0111", "The wrong kind of value",
        "A list, mapping, number or text stands where another kind of value is needed. Numbers and words like `true` are text only in quotes.";
    MISSING_KEY = "MS-0112", "A key is missing",
        "A key without which the definition has no meaning is absent or has no value.";
    UNKNOWN_WORD = "MS-0113", "Unknown word",
        "The value must be one of a few words. The hint names the nearest, or all of them.";
    WRONG_TEXT = "MS-0114", "A text of the wrong form",
        "The text has a form of its own (a length of time such as `15m`, a share such as `5%`, bounds, a value) and does not follow it.";
    UNSET_VARIABLE = "MS-0120", "A variable is not set",
        "`${NAME}` names a variable that the process environment does not hold. Set it, or give a default: `${NAME:-default}`. Environments that are not chosen need no variables.";
    WRONG_VARIABLE = "MS-0121", "A malformed variable",
        "Variables are written `${NAME}` or `${NAME:-default}`, the name from letters, digits and `_`. Write `$${` for a literal `${`. The `type` of a connection or a connector is written out, without a variable.";
    UNREADABLE_VALUE = "MS-0122", "The file of a value cannot be read",
        "`${file:PATH}` stands for what a file holds, as secrets are handed to containers. The file does not exist, cannot be read by this user, is larger than 64 KiB or no UTF-8 text. Relative paths start at the project's folder.";
    OPEN_SECRET = "MS-0123", "A credential in a file of the project",
        "Whoever has the project's files has the credential, and so has their history. Keep it in a variable (`${NAME}`) or in a file that only the process may read (`${file:/run/secrets/name}`), and change it where it was committed.";
    NO_PROJECT = "MS-0130", "No project here",
        "A project is a folder with a `millstream.yaml`. Make one with `millstream init`, or run the command inside of one.";
    UNKNOWN_ENVIRONMENT = "MS-0131", "Unknown environment",
        "The environment asked for by `--environment` or `MILLSTREAM_ENVIRONMENT` is not in `millstream.yaml`.";
    WRONG_STORE = "MS-0132", "A store's address is malformed",
        "Stores are named by addresses: `.millstream/lake`, `s3://bucket/prefix`, `sqlite:state.db`, `embedded:folder`, `local`.";
    UNAVAILABLE_STORE = "MS-0133", "A store that this version cannot use",
        "The address is well-formed, but this version has no engine for it. The environment can stay in the file; choose another one to run.";
    UNAVAILABLE_FEATURE = "MS-0134", "Not available in this version",
        "The definition is known to Millstream's design and is not built yet.";
    STRAY_FILE = "MS-0140", "A file that is not read",
        "The file stands where project files are expected, but its name or place keeps it from being read.";
    WRONG_NAME = "MS-0141", "A name that cannot be used",
        "Sources and tables are named after their files. Names have lower-case letters, digits and `_`, start with a letter or `_`, and do not end in `__rejected`.";
    DUPLICATE_NAME = "MS-0142", "A name is used twice",
        "Two definitions claim the same name. A source `orders` lands in `bronze.orders`, so no table can have that name.";
    UNKNOWN_COLUMN = "MS-0150", "Unknown column",
        "A check, `time` or a relationship names a column that the table does not have.";
    RESERVED_COLUMN = "MS-0151", "A reserved column",
        "Landing adds `_ingested_at`, `_sequence`, `_source` and `_position` to every row; a contract cannot use these names.";
    UNFIT_CHECK = "MS-0152", "A check that the column's type cannot have",
        "Ranges need numbers, dates or timestamps; lengths need text or lists; patterns need text; means and quantiles need numbers.";
    UNFIT_VALUE = "MS-0153", "A value that the column's type cannot hold",
        "A bound or an allowed value of a check is no value of the column's type, so the check could never work.";
    WRONG_BOUNDS = "MS-0154", "Bounds that nothing can meet",
        "The lower bound is above the upper one, a bound is missing on both sides, or a quantile is not between 0 and 1.";
    WRONG_PATTERN = "MS-0155", "A malformed pattern",
        "The pattern is neither a named one nor a regular expression that can be compiled.";
    DUPLICATE_CHECK = "MS-0156", "A check is given twice",
        "Checks are known by their name, or by kind and columns; two of one table cannot share it. Remove one, or give it a `name`.";
    TABLE_CHECK_SEVERITY = "MS-0157", "A table check cannot quarantine",
        "Checks on the whole table (row count, freshness, mean, …) find no single bad rows. Use `warn` or `halt`.";
    WRONG_CHECK = "MS-0158", "A malformed check",
        "An item of `checks` is a mapping with exactly one check, such as `not_null: order_id`, and optionally `severity` and `name`.";
    UNKNOWN_TABLE = "MS-0159", "Unknown table",
        "A relationship or a test names a table that no source and no SQL file defines.";
    WRONG_SCHEDULE = "MS-0160", "A malformed schedule",
        "A schedule is `every 15m`, a cron line of five fields (minute, hour, day of month, month, day of week) with or without a time zone, or a mapping with one or several of `every`, `cron`, `after`, `new_files`, `webhook` and `freshness`, and beside them `zone`, `catch_up`, `priority` and `pools`. Nothing of a view is stored, so a view has none.";
    WRONG_TIME_COLUMN = "MS-0161", "The time column has no time",
        "The column that `time` or a freshness check names must be a date or a timestamp.";
    WRONG_COLUMN_TYPE = "MS-0162", "Unknown column type",
        "Types are `bool`, `int8` to `int64`, `float32`, `float64`, `decimal(precision,scale)`, `string`, `binary`, `date`, `timestamp`, `timestamp(zone)`, `list<type>` and `struct<name: type, …>`.";
    WRONG_COLUMNS = "MS-0163", "Columns that a table cannot have",
        "A contract needs at least one column, and column names must differ in more than upper and lower case.";
    UNKNOWN_CONNECTION = "MS-0164", "Unknown connection",
        "A source names a connection that no file of `connections/` defines. A connection is named after its file.";
    UNFIT_CONNECTION = "MS-0165", "A connection of another type",
        "A source reads through a connection of its own type: what one kind of connector makes of a connection means nothing to another.";
    UNUSED_CONNECTION = "MS-0166", "A connection that nothing uses",
        "No source names the connection. Name it, or remove the file together with its secrets.";
    WRONG_TABLES = "MS-0167", "Tables of a source that cannot be",
        "A source of many tables says in the options of its connector where the name of a table stands, with `{table}`, and lists the tables under `tables`: by name, or by a pattern over those that are there. A pattern has to match, and what it matches has to be a name that a table can have.";
    UNKNOWN_IN_SCHEDULE = "MS-0168", "A schedule names what is not there",
        "`after` names an asset of which steps are made: a table that is stored, `view:…` for a feature view, `dataset:…`, or `source:…`. `pools` names pools of `millstream.yaml`, which say how many steps they take at once: `pools: {heavy: 2}`.";
    WRONG_LANDING = "MS-0169", "A source cannot land so",
        "`landing: merge` puts a row in the place of the one with the same key: the contract names that `key`, each column once, and checks no other columns for `unique`, because a row with the same value may be about to change.";
    WRONG_HEADER = "MS-0170", "A malformed header",
        "A SQL file may begin with a header: YAML between `/*---` and `---*/`. SQL comments end at the first `*/`, so the header cannot contain it: a cron line in it names the range of a step, `0-59/15` for `*/15`.";
    NO_SQL = "MS-0171", "No SQL",
        "The file has a header, but no query after it.";
    WRONG_MATERIALIZE = "MS-0172", "Keys that do not go together",
        "`key`, `time` and `partition` belong to certain ways of keeping a table: `incremental` takes either `key`, or `time` with `partition`; `history` needs `key` and may have `time`; `view` and `table` take none.";
    VIEW_CHECKS = "MS-0173", "A view cannot be checked",
        "A view is never stored, so there is no moment at which its rows could be checked or kept back. Use `materialize: table`.";
    WRONG_TEST = "MS-0180", "A malformed test",
        "A test names a table, gives rows for its inputs and expects rows; each row is a mapping from column to value.";
    WRONG_WEBHOOK = "MS-0186", "A webhook's secret that can be guessed",
        "Callers of a webhook under `webhooks` sign with its secret, which is a long random text that stands in a variable or in a file of its own.";
    WRONG_FEATURE = "MS-0190", "A malformed feature",
        "A feature is a mapping with exactly one kind, such as `sum: amount` or `column: category`, and optionally `window`, `where`, `default`, `description`, `owner` and `tags`. A kind's parameters have bounds, which the hint names.";
    WRONG_WINDOW = "MS-0191", "A window that cannot be",
        "Windows are at least five minutes long and belong to aggregations; a feature that takes a column of the newest row has none.";
    WRONG_VIEW = "MS-0192", "A malformed feature view",
        "A view has an entity, a table, a time column and at least one feature.";
    WRONG_ENTITY = "MS-0193", "A malformed entity",
        "An entity has a name and one or several key columns, each named once.";
    UNKNOWN_ENTITY = "MS-0194", "Unknown entity",
        "A view, a dataset or a split names an entity, or a key column of one, that no file of `features/` defines.";
    UNKNOWN_FEATURE = "MS-0195", "Unknown feature",
        "A service or a dataset names a feature, a view, an on-demand feature or a service that no file of `features/` defines.";
    WRONG_SERVICE = "MS-0196", "A malformed list of features",
        "A list of features names `view.feature`, `view.*` or an on-demand feature, each once, and at least one.";
    WRONG_LABELS = "MS-0197", "Malformed labels",
        "Labels come from exactly one of `from`, `sql` and `file`.";
    WRONG_SPLIT = "MS-0198", "A malformed split",
        "The shares of a split add up to 100%. `seed` and `entity` belong to splits by `hash` and `random`, `embargo` to splits by `time`.";
    WRONG_OUTPUT = "MS-0199", "A malformed cut-off or output",
        "`as_known` is `true`, a column of the labels, or an instant; `output` is a path, or `path` with `format`.";
    WRONG_PARTITION = "MS-0271", "Partitions that cannot be",
        "`partition: {by: day, column: ordered_at}` parts the rows of a table by the hour, day, week, month or year of a date or timestamp, or by a value (`by: value`). `zone` says where days begin, `from` which partition is the first. A view and a history have no partitions, and an incremental table has its own.";
    WRONG_PARAMETER = "MS-0272", "A parameter that cannot be",
        "`parameters: {rate: {type: float64, default: 1.0}}` declares a value that the SQL names as `$rate`. Types are `bool`, `int64`, `float64`, `string` and `date`, and the default is a value of the type.";
    WRONG_NEED = "MS-0275", "A need that cannot be",
        "`needs` names tables that this one reads, and of each the checks that keep this one from being built when they halt: by id, as in `range(amount)`, by kind, as in `not_null`, or `none`. Other failures of these tables keep it from being built as before.";
    WRONG_STEPS = "MS-0280", "Steps that cannot go so",
        "`retry` has `attempts` from 1 to 100, a `base` no longer than its `cap`, and in `millstream.yaml` a `budget` as in `60/h`. `timeout` is a time, `set_aside_after` a number of failures. `circuit` of a connection is `off`, or has `failures` from 1 to 100, a time `within`, and a `wait` no longer than its `wait_max`. Nothing of a view runs, so a view has none of them.";
    WRONG_SLA = "MS-0281", "A malformed promise",
        "`sla` has one or several of `fresh_by` (a time of day, perhaps with a time zone: `09:00 Europe/Berlin`), `at_most` and `step_at_most`; `days` belongs to `fresh_by`. Nothing of a view is stored, so nothing can be promised of it.";
    WRONG_PRICE = "MS-0288", "A price that cannot be",
        "`prices` are amounts of 0 or more in one `currency`: `prices: {cpu_hour: 0.04, gb_stored_month: 0.02, gb_read: 0.0, external_call: 0.001, currency: EUR}`. A price that is left out is 0.";
    WRONG_TELEMETRY = "MS-0289", "A receiver that cannot be told",
        "`telemetry.openlineage` names a `url` or a `file`, `telemetry.otlp` an `endpoint`; addresses begin with `http://` or `https://`.";
    WRONG_HOUSEKEEPING = "MS-0292", "Housekeeping that keeps too little",
        "`housekeeping` of `millstream.yaml` keeps old versions of tables for an hour at least, since whoever reads one needs its files, and the history of runs and of served values for a day; its `at_most` is a minute at least.";
}
