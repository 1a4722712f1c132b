//! What can go wrong with a request, one table from kind to status and code, and the shape in which a client sees it.

use std::error::Error;

use axum::http::StatusCode;
use millstream_api::{
    error::{ErrorBody, ErrorDetail},
    ingest::RowFault,
};

use crate::tls::TlsError;

/// The cause below an error, whatever library it came from. It is logged and never sent.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a request was not answered. The kind decides status and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The body is no JSON.
    Malformed,
    /// A field of the body, or a parameter, is missing, unknown or makes no sense.
    Invalid,
    UnknownService,
    UnknownFeature,
    /// No view and no push source of this name.
    UnknownView,
    /// [`ErrorKind::UnknownView`] in the words of Feast's push.
    UnknownPushSource,
    UnknownDataset,
    /// The file of a dataset's version is not there any more.
    DatasetGone,
    /// A value does not fit the type of its column.
    WrongType,
    /// A column is not known.
    UnknownColumn,
    /// A column is missing.
    MissingColumn,
    /// Columns are of different lengths.
    UnevenColumns,
    TooManyRows,
    BodyTooLarge,
    /// The token is missing or wrong.
    Unauthorized,
    /// The request does not say once which server it is for.
    BadHost,
    /// The request came through a browser's page of somebody else.
    ForeignOrigin,
    /// As many requests as allowed are running.
    Busy,
    /// The body did not arrive in time.
    SlowBody,
    /// The answer was not ready in time.
    TimedOut,
    UnknownPath,
    WrongMethod,
    /// The body is compressed or encoded in a way that is not read.
    Encoding,
    /// The same job is running.
    AlreadyRunning,
    /// Two features would have one name in the answer.
    NameCollision,
    /// The statement is wrong, or it would write.
    BadQuery,
    /// The server stops.
    ShuttingDown,
    /// A store did not answer; the same request may succeed later.
    Unavailable,
    /// The principal's scope does not include what is asked for.
    Forbidden,
    UnknownJob,
    UnknownRun,
    /// No source and no table of this name.
    UnknownAsset,
    /// The job was told to end before it was done.
    Cancelled,
    /// A step of a run did not end well.
    RunFailed,
    /// The project was not loaded again: what was loaded before is still at work.
    NotReloaded,
    /// No asset waits for a webhook of this name.
    UnknownTrigger,
    /// A call of a webhook that has a secret is not signed with it.
    BadSignature,
    /// No source of this name.
    UnknownSource,
    /// The source takes no events in, or other ones.
    NotTaking,
    /// Rows of the body are no events.
    BadEvents,
    /// Events have to land before others can be taken.
    Full,
    /// The body is of a type that is not read.
    MediaType,
    /// An event, or their number, is larger than it may be.
    EventTooLarge,
    /// The idempotency key was used for other events.
    KeyReused,
    /// Some events were taken, and others were not.
    PartlyTaken,
    /// A defect of Millstream.
    Internal,
}

impl ErrorKind {
    /// The one table from kind to status and code.
    #[must_use]
    pub fn status_and_code(self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "MS-1201"),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1202"),
            Self::UnknownService => (StatusCode::NOT_FOUND, "MS-1203"),
            Self::UnknownFeature => (StatusCode::NOT_FOUND, "MS-1204"),
            Self::UnknownView | Self::UnknownPushSource => (StatusCode::NOT_FOUND, "MS-1205"),
            Self::UnknownDataset => (StatusCode::NOT_FOUND, "MS-1206"),
            Self::DatasetGone => (StatusCode::GONE, "MS-1227"),
            Self::WrongType => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1207"),
            Self::UnknownColumn => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1208"),
            Self::MissingColumn => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1209"),
            Self::UnevenColumns => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1210"),
            Self::TooManyRows => (StatusCode::PAYLOAD_TOO_LARGE, "MS-1211"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "MS-1212"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "MS-1213"),
            Self::BadHost => (StatusCode::BAD_REQUEST, "MS-1228"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "MS-1214"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "MS-1215"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "MS-1216"),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "MS-1217"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "MS-1218"),
            Self::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "MS-1219"),
            Self::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "MS-1220"),
            Self::AlreadyRunning => (StatusCode::CONFLICT, "MS-1221"),
            Self::NameCollision => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1222"),
            Self::BadQuery => (StatusCode::BAD_REQUEST, "MS-1223"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "MS-1224"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "MS-1225"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "MS-1229"),
            Self::UnknownJob => (StatusCode::NOT_FOUND, "MS-1230"),
            Self::UnknownRun => (StatusCode::NOT_FOUND, "MS-1231"),
            Self::UnknownAsset => (StatusCode::NOT_FOUND, "MS-1232"),
            Self::Cancelled => (StatusCode::CONFLICT, "MS-1233"),
            Self::RunFailed => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1234"),
            Self::NotReloaded => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1235"),
            Self::UnknownTrigger => (StatusCode::NOT_FOUND, "MS-1236"),
            Self::BadSignature => (StatusCode::UNAUTHORIZED, "MS-1245"),
            Self::UnknownSource => (StatusCode::NOT_FOUND, "MS-1250"),
            Self::NotTaking => (StatusCode::CONFLICT, "MS-1251"),
            Self::BadEvents => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1252"),
            Self::Full => (StatusCode::TOO_MANY_REQUESTS, "MS-1253"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "MS-1254"),
            Self::EventTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "MS-1256"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "MS-1257"),
            Self::PartlyTaken => (StatusCode::SERVICE_UNAVAILABLE, "MS-1258"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "MS-1226"),
        }
    }

    /// What a client can do when the error itself knows nothing better.
    fn hint(self) -> Option<&'static str> {
        match self {
            Self::UnknownService => Some("`GET /v1/features/services` lists the services and their versions"),
            Self::UnknownFeature | Self::UnknownView | Self::UnknownPushSource => {
                Some("`GET /v1/features/views` lists the views and their features")
            }
            Self::UnknownDataset => Some("`GET /v1/datasets` lists the datasets and their versions"),
            Self::UnknownJob => Some("`GET /v1/jobs` lists the jobs; a server that starts anew knows none"),
            Self::UnknownRun => Some("`GET /v1/runs` lists the runs"),
            Self::UnknownTrigger => Some("give an asset a trigger `webhook` of this name"),
            Self::UnknownAsset => Some("`GET /v1/assets` lists the assets"),
            Self::NotReloaded => Some("`millstream check` shows what is wrong with the project"),
            Self::Forbidden => {
                Some("use a token with this scope; `serve --tokens` says which token has which")
            }
            Self::RunFailed => Some("`GET /v1/runs/{id}` has every step"),
            Self::BadSignature => Some(
                "sign the body as it is sent with HMAC-SHA256 and the secret: `X-Hub-Signature-256: sha256=<hex>`, or \
                 `X-Millstream-Signature: t=<seconds since 1970>,v1=<hex>` of the seconds, a point and the body",
            ),
            Self::Unauthorized => Some("send the header `Authorization: Bearer <token>`"),
            Self::Busy | Self::ShuttingDown | Self::Unavailable => Some("try again in a moment"),
            Self::MediaType => Some(
                "send `application/json`, `application/x-ndjson` or `application/vnd.apache.arrow.stream`",
            ),
            Self::TooManyRows | Self::BodyTooLarge => Some("split the request into smaller ones"),
            Self::UnknownPath => Some("`GET /v1/openapi.json` describes every endpoint"),
            Self::Internal => Some("this is a defect; the server's log says more, please report it"),
            _ => None,
        }
    }
}

/// An error that a client sees.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    hint: Option<String>,
    field: Option<String>,
    rows: Vec<RowFault>,
    #[source]
    cause: Option<Cause>,
}

impl ApiError {
    /// The message says what happened in words of the request; it must not hold secrets.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (_, code) = kind.status_and_code();
        let hint = kind.hint().map(str::to_owned);
        Self { kind, code, message: message.into(), hint, field: None, rows: Vec::new(), cause: None }
    }

    /// The same error as another kind, with the code that it has.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same error as another kind, with that kind's code.
    #[must_use]
    pub(crate) fn into_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self.code = kind.status_and_code().1;
        self
    }

    /// A code of another room, more precise than the kind's.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// What the client can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The field of the request that is at fault, as a path such as `entities.customer_id`.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The rows of the request that are at fault.
    #[must_use]
    pub fn with_rows(mut self, rows: Vec<RowFault>) -> Self {
        self.rows = rows;
        self
    }

    /// The cause, for the log only.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.status_and_code().0
    }

    /// The body of a response on Millstream's own paths.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        ErrorBody { error: self.detail() }
    }

    /// What a client is told.
    #[must_use]
    pub fn detail(&self) -> ErrorDetail {
        ErrorDetail {
            code: self.code,
            message: self.message.clone(),
            hint: self.hint.clone(),
            field: self.field.clone(),
            rows: self.rows.clone(),
        }
    }

    /// Writes a server-side failure with all its causes to the log; a client's mistake is the client's affair.
    pub(crate) fn log(&self) {
        if !self.status().is_server_error() || matches!(self.kind, ErrorKind::Busy | ErrorKind::ShuttingDown)
        {
            return;
        }
        // Nothing has failed where another process does the work.
        if self.kind == ErrorKind::Unavailable && self.source().is_none() {
            return tracing::debug!(code = self.code, "{}", self.message);
        }
        let mut causes = String::new();
        let mut next = self.source();
        while let Some(cause) = next {
            causes.push_str("; caused by: ");
            causes.push_str(&cause.to_string());
            next = cause.source();
        }
        tracing::error!(code = self.code, "{}{causes}", self.message);
    }
}

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Only this machine may use a server without a token.
    #[error("{address} can be reached from other machines, and the server has no token")]
    TokenNeeded { address: std::net::SocketAddr },
    /// What everybody may read has to stay on this machine.
    #[error("{address} can be reached from other machines, and figures are to be open without a token")]
    OpenMetrics { address: std::net::SocketAddr },
    /// The token is too short to keep anybody out.
    #[error("the token of `{name}` has {found} characters, at least {needed} are needed")]
    WeakToken { name: String, found: usize, needed: usize },
    /// Nobody could tell whose a request was.
    #[error("two tokens have the name `{name}`")]
    TwoTokens { name: String },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {address}")]
    Bind {
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    /// The listening socket failed.
    #[error("the server stopped serving")]
    Serve {
        #[source]
        source: std::io::Error,
    },
}

impl ServerError {
    /// Stable code for people and for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenNeeded { .. } => "MS-1240",
            Self::OpenMetrics { .. } => "MS-1255",
            Self::WeakToken { .. } => "MS-1241",
            Self::Bind { .. } => "MS-1242",
            Self::Serve { .. } => "MS-1243",
            Self::TwoTokens { .. } => "MS-1244",
            Self::Tls(_) => "MS-1275",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TokenNeeded { .. } => "set a token, or listen on 127.0.0.1",
            Self::OpenMetrics { .. } => "leave out `--open-metrics`, or listen on 127.0.0.1",
            Self::WeakToken { .. } => "use a long random text, such as `openssl rand -hex 32` prints",
            Self::Bind { .. } => "choose another port, or port 0 for a free one",
            Self::TwoTokens { .. } => {
                "give each token a name of its own; `admin` is that of MILLSTREAM_TOKEN"
            }
            Self::Tls(error) => error.hint(),
            Self::Serve { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
