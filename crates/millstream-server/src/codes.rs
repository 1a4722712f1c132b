//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-1201",
        "A body that is no JSON",
        "The body of the request is not JSON; the message says where. `NaN` and `Infinity` are no JSON, send `null`.",
    ),
    (
        "MS-1202",
        "A request that makes no sense",
        "A field or a parameter is missing, unknown, or has a value that is not one of those allowed.",
    ),
    ("MS-1203", "Unknown service", "No feature service has this name, or not in this version."),
    ("MS-1204", "Unknown feature", "No view has this feature, and it is no on-demand feature either."),
    ("MS-1205", "Unknown view", "No feature view and no push source has this name."),
    ("MS-1206", "Unknown dataset", "No dataset has this name, or not in this version."),
    (
        "MS-1207",
        "A value of the wrong type",
        "A value does not fit the type of its column; the message names the column, the row and both types.",
    ),
    ("MS-1208", "Unknown column", "The request has a column that the service or the view does not take."),
    (
        "MS-1209",
        "A column is missing",
        "A key column, a value that on-demand features need, or a column of pushed rows is not in the request.",
    ),
    ("MS-1210", "Columns of different lengths", "All columns of a request describe the same rows."),
    (
        "MS-1211",
        "Too many rows",
        "The request has more rows, or rows times features, than the server takes at once.",
    ),
    ("MS-1212", "Body too large", "The body has more bytes than the server takes at once."),
    ("MS-1213", "Token missing or wrong", "The server has a token, and the request did not carry it."),
    (
        "MS-1214",
        "A foreign page",
        "A browser sent the request for a page of another address. A server without a token answers local programs only.",
    ),
    ("MS-1215", "Too busy", "As many requests as allowed are running; try again in a moment."),
    ("MS-1216", "Body too slow", "The body did not arrive within the server's time for one request."),
    ("MS-1217", "Answer too slow", "The answer was not ready within the server's time for one request."),
    ("MS-1218", "Unknown path", "The server has no such endpoint."),
    ("MS-1219", "Wrong method", "The endpoint exists, for another method."),
    ("MS-1220", "Encoded body", "The body is compressed; send it as it is."),
    ("MS-1221", "Running already", "The views are being materialised; wait until that is done."),
    (
        "MS-1222",
        "Two features of one name",
        "Two features would have the same name in the answer; name each once, or ask Feast's path for full feature names.",
    ),
    ("MS-1223", "A statement that cannot run", "The SQL is wrong, or it would change something."),
    ("MS-1224", "Shutting down", "The server stops and did not finish this request within its time."),
    (
        "MS-1225",
        "A store does not answer",
        "The server cannot reach a store; the same request may succeed later.",
    ),
    ("MS-1226", "A defect", "Something happened that must not happen. Please report it."),
    (
        "MS-1227",
        "The file of a dataset is gone",
        "The file of this version was removed, or replaced by a later build.",
    ),
    (
        "MS-1228",
        "A request without one host",
        "A request of HTTP/1.1 names its server in exactly one header `Host`.",
    ),
    (
        "MS-1240",
        "A token is needed",
        "The address can be reached from other machines; the server does not start without a token.",
    ),
    ("MS-1241", "A weak token", "The token is so short that it could be guessed."),
    ("MS-1242", "Cannot listen", "The address is taken or is not one of this machine."),
    ("MS-1243", "Stopped serving", "The listening socket failed; the cause says why."),
];
