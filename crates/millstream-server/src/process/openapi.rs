//! The OpenAPI document: generated from the endpoints, served, and committed by those who generate references.

use std::sync::OnceLock;

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::{area::areas, feast};

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
    let areas = areas(false).into_iter().map(|area| area.document).chain([feast::document()]);
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
