//! The codes of this room's messages, with what each means.

use millstream_project::Code;

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $explanation:literal;)*) => {
        $(pub(crate) const $name: &str = $code;)*

        /// Every code of this room, in order.
        pub const CODES: &[Code] =
            &[$(Code { code: $code, title: $title, explanation: $explanation }),*];
    };
}

codes! {
    SYNTAX = "MS-0201", "SQL that does not parse",
        "The statement breaks SQL's grammar at the underlined place. A table's file holds one SELECT (or WITH … SELECT).";
    NOT_A_QUERY = "MS-0202", "not a single query",
        "A table's file and a query hold one statement that only reads: SELECT or WITH. Statements that write are never accepted.";
    UNKNOWN_TABLE = "MS-0203", "unknown table",
        "Tables are named `schema.table`: `bronze.<source>` for what a source lands, the folder and the file's name for a SQL table.";
    UNKNOWN_COLUMN = "MS-0204", "unknown column",
        "No table in reach of the expression has such a column. Names without quotes are read in lower case.";
    AMBIGUOUS_COLUMN = "MS-0205", "ambiguous column",
        "Several tables in the FROM clause have the column: write the table's name or alias before it.";
    UNKNOWN_FUNCTION = "MS-0206", "unknown function",
        "No function has this name. The functions are those of DataFusion.";
    TYPE_MISMATCH = "MS-0207", "types that do not fit",
        "The operator or function does not take values of these types. Cast one side: `cast(x as bigint)`.";
    DUPLICATE_COLUMN = "MS-0208", "duplicate output column",
        "Two columns of the result have the same name (letter case does not count). Rename one with AS.";
    UNNAMED_COLUMN = "MS-0209", "output column without a name",
        "An expression that becomes a column of the table needs a name: `count(*) AS orders`.";
    NOT_STORABLE = "MS-0210", "type that a table cannot store",
        "Delta tables hold booleans, integers, floats, decimals, text, binary, dates, timestamps, lists, structs and maps. Cast the column to one of these.";
    CYCLE = "MS-0211", "tables that read each other in a circle",
        "A table may not read itself, directly or through others. An incremental table needs no reference to itself.";
    RELATIONSHIP_TYPE = "MS-0213", "relationship between types that never agree",
        "The values of the two columns can never be equal, because one holds, say, numbers and the other text.";
    CHECK_EXPRESSION = "MS-0214", "check whose SQL does not plan",
        "The condition of an expression check must be one boolean SQL expression over the columns of the row.";
    RELATIONSHIP = "MS-0215", "relationship to an unknown table or column",
        "A relationship names `schema.table.column` of a table in this project.";
    KEY_COLUMN = "MS-0216", "key or time column that does not exist",
        "The columns that `key`, `time` or `partition` name must be columns of the result.";
    RESERVED_COLUMN = "MS-0217", "reserved column name",
        "A history table adds `valid_from` and `valid_to`; its SELECT may not have columns of these names.";
    TIME_TYPE = "MS-0218", "time column that is no time",
        "The column must be a timestamp or a date. A freshness check needs one too.";
    TIME_TRAVEL = "MS-0219", "time travel where it is not possible",
        "`VERSION AS OF` and `TIMESTAMP AS OF` belong to queries, not to a table's SQL, and need a table that is stored.";
    COLUMN_NAME = "MS-0220", "column name that a table cannot have",
        "Delta column names may not hold spaces or any of `,;{}()=`.";
    PLAN = "MS-0221", "query that cannot be planned",
        "The query engine refuses the statement; the message says why.";
    EXECUTION = "MS-0222", "query that failed while it ran",
        "The statement is correct, but computing it failed, for instance by a value that cannot be cast.";
    MEMORY = "MS-0223", "query that needs more memory",
        "The query needs more memory than the session may use and cannot spill further, or one value of it would take hundreds of megabytes. `--memory` and `memory:` in the environment allow more.";
    TABLE_ACCESS = "MS-0224", "table that cannot be read",
        "The lake could not deliver the table or the version asked for.";
    TEST_TABLE = "MS-0225", "test on an unknown table",
        "A test names a SQL table of the project, and gives rows for tables that this table reads.";
    TEST_ROW = "MS-0226", "test row that does not fit",
        "A row of a test is a mapping from the table's columns to values of their types.";
    TEST_INPUT = "MS-0227", "test input that needs rows",
        "The input cannot be computed in memory from other given rows: give its rows.";
    STATEMENT_SIZE = "MS-0228", "statement that is too large",
        "A statement has at most 1 MiB, 2,000 operators, 1,000 of them in a row (`a + b + …`), 1,000 places that it reads from, 10,000 sets of columns that it groups by and 50,000 parts of its plan, with each name of WITH and each view counted wherever it is used, so that planning takes neither minutes nor the machine's memory. Build a part of it as a table of its own.";
    FEATURE_COLUMN = "MS-0230", "column that a feature view does not have",
        "The entity's keys and `time` must be columns of the view's table, or of the result of its `sql`.";
    FEATURE_EXPRESSION = "MS-0231", "expression of a feature that does not plan",
        "A feature, a condition and an on-demand feature are SQL expressions over one row: no aggregates, window functions or subqueries.";
    FEATURE_TIME = "MS-0232", "event time that is no time",
        "The column of a view's event time must be a timestamp or a date.";
    ENTITY_KEY = "MS-0233", "key of an entity that differs between views",
        "The key columns of an entity must have one type in all its views, or types of which one holds every value of the others, and cannot be nested.";
    FEATURE_TYPE = "MS-0234", "feature that its column's type does not allow",
        "An aggregation takes certain types only: sums need numbers, vectors a fixed length.";
    FEATURE_DEFAULT = "MS-0235", "default that the feature cannot have",
        "The default must be a value of the feature's type.";
    FEATURE_CYCLE = "MS-0236", "on-demand features that use each other in a circle",
        "An on-demand feature may use others, but not itself, directly or through others.";
    UNKNOWN_FEATURE = "MS-0237", "expression over an unknown feature",
        "Features of views are named `view.feature`; a name without a dot is another on-demand feature or a value of the request.";
    REQUEST_TYPE = "MS-0238", "request value whose type is not clear",
        "With none of the types float64, string, timestamp and bool the expression has a meaning. Declare the type under `request`.";
    NOT_REPEATABLE = "MS-0239", "expression that gives another value each time",
        "Features must be the same in training and in serving, so an expression cannot ask for the present time or for chance.";
    LABELS = "MS-0240", "label column that does not fit",
        "Labels need a column for each key of their entities, a time, the columns that are kept, and the request values of on-demand features.";
    LABEL_KEY = "MS-0241", "labels and features whose keys differ in type",
        "Keys are compared by value, so the labels' key columns must have the types of the entity's, or narrower ones.";
    DATASET_COLUMN = "MS-0242", "two columns of a dataset with one name",
        "A dataset has the labels' columns, the features and `split`; each name may occur once.";
    KNOWN_TIME = "MS-0243", "cut-off by a known time that is not there",
        "`as_known` hides rows that came later, so each view needs `_ingested_at` in its table or in the result of its `sql`.";
    PUSHED_ROWS = "MS-0244", "pushed rows that do not fit the view",
        "Pushed rows need the view's keys, its time and the columns that its features use, in their types.";
    VIEW_QUERY = "MS-0245", "query of a view that does not read its table",
        "The `sql` of a view is a query over the table that `from` names.";
    INTEGER_DIVISION = "MS-0246", "division that drops the fraction",
        "In SQL a whole number divided by a whole number is a whole number: 1 / 2 is 0. A feature that is meant as a share needs a cast of one side.";
    PRESENT_TIME = "MS-0247", "table that keeps what the present was",
        "A table that asks for the present time or for chance keeps the answer of its last run, because a run computes a table when its inputs or its SQL changed. A view answers anew each time that it is read; a comparison with a column stays true; `--force` runs the table as often as a schedule says.";
    NOT_APPENDABLE = "MS-0260", "incremental table without a key that would have to change rows",
        "Without a `key` or a `partition` an incremental table only adds rows. Its query must turn each added input row into added output rows: filters and expressions do, aggregates, joins and window functions do not.";
    KEY_UNKNOWN = "MS-0261", "key or time column that the query does not have",
        "The columns by which a table is kept up to date must be columns of its query's result.";
    NOT_A_TIME = "MS-0262", "partition or history by a column that is no time",
        "Touched partitions are found, and states are ordered, by a timestamp or a date.";
    HISTORY_COLUMN = "MS-0263", "column that a history table adds itself",
        "A history table adds `valid_from` and `valid_to`; its query may not have columns of these names.";
    DUPLICATE_KEY = "MS-0264", "key that is not unique",
        "A merge replaces the row of a key, so the query may give one row per key only. A history without a time knows one state of a key, be it in several equal rows.";
    NULL_KEY = "MS-0265", "null in a key",
        "A row without a key can neither be found again nor replaced. A `not_null` check on the column keeps such rows out.";
    CONFLICTING_STATES = "MS-0266", "two states of one key at one instant",
        "A history orders the states of a key by time; two different states that begin at the same instant have no order.";
    FULL_REBUILD = "MS-0267", "changes that cannot be carried over",
        "The changes of the inputs do not tell which rows of the table change. `--full-refresh` builds it as a whole.";
    INCREMENTAL = "MS-0268", "query engine failed while a table was kept up to date",
        "Computing the changed rows failed; the message below says at what.";
    OVERLAPPING_STATES = "MS-0269", "history whose recorded states do not fit a new key",
        "A key has one state at a time. Under the key that the table has now, recorded states of one key hold at the same time, because they were recorded as those of several keys.";
    RETYPED_STATES = "MS-0270", "history whose recorded states do not fit a new type",
        "A history keeps what it recorded, also when a column gets another type. A recorded value has no counterpart in that type.";
    UNKNOWN_PARAMETER = "MS-0273", "parameter that the header does not declare",
        "`$name` in the SQL of a table stands for a value that `parameters` of its header declares with a type and a default.";
    PARTITION_COLUMN = "MS-0274", "column that cannot part a table",
        "Partitions of time are those of a timestamp or a date of the table's own columns; partitions by value those of a text, a whole number, a truth or a date.";
    STREAM_SHAPE = "MS-0280", "SQL that needs all rows in a continuous table",
        "A continuous table is computed from events as they come: what needs rows that have not come (ORDER BY, LIMIT, DISTINCT, UNION, window functions, subqueries in expressions) has no answer at any instant. The hint says what to write instead.";
    STREAM_INPUT = "MS-0281", "continuous table that reads no events",
        "`materialize: stream` reads sources that take events in, and other continuous tables. Tables of the lake are looked up in, by a JOIN on their key.";
    STREAM_TIME = "MS-0282", "continuous table without event time",
        "Windows, joins and whoever reads the table go by the event time: the column that the source's contract names as `time`, or the start of the window. It has to be carried along as it is.";
    STREAM_WINDOW = "MS-0283", "group of events that never ends",
        "Aggregates of a stream are those of windows: read the stream by `tumble`, `hop` or `session` in FROM, and group by `window_start`.";
    STREAM_JOIN = "MS-0284", "join that a continuous table cannot have",
        "Two streams are joined by an equality and a bound of time in ON, INNER, LEFT or RIGHT; a table of the lake by equalities, with the stream on the side that is kept.";
    STREAM_CHANGES = "MS-0285", "expression of a continuous table that gives another value each time",
        "Events are computed again after a restart and in a replay, and have to give the same rows.";
    STREAM_LATENESS = "MS-0286", "allowed lateness that cannot be",
        "With `lateness`, the row of a window is told again when late rows come. So the table is one of a window, has all columns of its GROUP BY, and is neither grouped nor joined by another continuous table.";
    STREAM_CHECK = "MS-0287", "check of a whole table on a continuous one",
        "A continuous table is never finished. Its rows are checked one by one; what needs all of them is checked in a table that reads it.";
    STREAM_DEDUPLICATE = "MS-0288", "duplicates that cannot be found",
        "`deduplicate` names columns of the one stream that the table reads.";
    WINDOW_CALL = "MS-0289", "window function of FROM with wrong arguments",
        "`tumble(<table>, <time>, <length>)`, `hop(<table>, <time>, <hop>, <length>)` and `session(<table>, <time>, <gap>)` take a table, its time column and intervals such as `INTERVAL '10 seconds'`.";
    STREAM_AGGREGATE = "MS-0290", "aggregate that a window of a stream does not have",
        "Windows have count, sum, avg, min, max, and first_value and last_value by the event time, each with FILTER.";
    LOOKUP_KEY = "MS-0291", "lookup in a table whose key is not unique",
        "A continuous table looks a row up by its key; with several rows of one key it would have to make several rows of one event. A `unique` check on the column keeps it so.";
}
