//! The OpenAPI document: generated from the endpoints, served, and committed by those who generate references.

use std::{collections::BTreeMap, sync::OnceLock};

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{
    area::areas,
    feast,
    features::{PushTarget, Status, ValueInfo},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Millstream",
        description = "Features, datasets and queries of a Millstream project; and, under the tag `feast`, the paths that \
                       clients of Feast call. Columns go both ways: a request has a list of values for each key column, an \
                       answer has one for each feature."
    ),
    modifiers(&BearerToken),
    security(("token" = []), ())
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Where the server has a token"));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

/// The document, indented, with a line feed at its end.
#[must_use]
pub fn openapi_json() -> String {
    let areas = areas().into_iter().map(|area| area.document).chain([feast::document()]);
    let document = areas.fold(Document::openapi(), utoipa::openapi::OpenApi::merge_from);
    // The document is made of names and texts, which always have a form in JSON.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "server", responses((status = 200, description = "OpenAPI")))]
pub(super) async fn serve() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let mut response = TEXT.get_or_init(openapi_json).as_str().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ReadBody {
    /// A service, with a version as in `churn_v1@3` if it is not to be the newest. Excludes `features`.
    #[schema(example = "churn_v1", min_length = 1)]
    service: Option<String>,
    /// `view.feature`, `view.*`, or the name of an on-demand feature.
    #[schema(min_items = 1)]
    features: Option<Vec<String>>,
    /// Values of every key column.
    #[schema(example = json!({"customer_id": [1, 2]}))]
    entities: BTreeMap<String, Vec<Value>>,
    /// Values that on-demand features take.
    request: Option<BTreeMap<String, Vec<Value>>>,
    /// RFC 3339; now if left out.
    at: Option<String>,
    /// `full` or `none`.
    metadata: Option<String>,
    /// A dataset's version whose fitted encodings are applied.
    encoding: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ReadAnswer {
    /// Left out for a list of features.
    service: Option<String>,
    version: Option<u32>,
    rows: u64,
    columns: BTreeMap<String, ReadColumn>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ReadColumn {
    values: Vec<Value>,
    statuses: Vec<Status>,
    /// RFC 3339, or null.
    event_times: Vec<Option<String>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PushBody {
    rows: BTreeMap<String, Vec<Value>>,
    /// `online` if left out.
    to: Option<PushTarget>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QueryAnswer {
    columns: Vec<ValueInfo>,
    rows: Vec<BTreeMap<String, Value>>,
    truncated: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeastReadBody {
    entities: BTreeMap<String, Vec<Value>>,
    #[schema(min_length = 1)]
    feature_service: Option<String>,
    /// `view:feature`.
    #[schema(min_items = 1)]
    features: Option<Vec<String>>,
    full_feature_names: Option<bool>,
    include_feature_view_version_metadata: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeastReadAnswer {
    results: Vec<FeastColumn>,
    metadata: FeastMetadata,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeastColumn {
    values: Vec<Value>,
    statuses: Vec<String>,
    event_timestamps: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeastMetadata {
    feature_names: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeastPushBody {
    #[schema(min_length = 1)]
    push_source_name: String,
    df: BTreeMap<String, Vec<Value>>,
    /// `online`, `offline` or `online_and_offline`.
    to: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeastWriteBody {
    #[schema(min_length = 1)]
    feature_view_name: String,
    df: BTreeMap<String, Vec<Value>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeastMaterializeBody {
    start_ts: Option<String>,
    end_ts: Option<String>,
    feature_views: Option<Vec<String>>,
    disable_event_timestamp: Option<bool>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FeastMaterializeIncrementalBody {
    end_ts: String,
    feature_views: Option<Vec<String>>,
}
