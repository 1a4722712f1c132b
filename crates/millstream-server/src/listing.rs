//! How many of the newest things an endpoint lists.

use axum::extract::{Query, rejection::QueryRejection};
use serde::Deserialize;

use crate::error::{ApiError, ErrorKind};

/// The number that is listed when the request does not name one.
const LISTED: usize = 50;
const LISTED_MAX: usize = 1_000;

/// The part of a request's query that says how many are listed.
#[derive(Debug, Deserialize)]
pub(crate) struct ListingQuery {
    limit: Option<usize>,
}

/// How many the request asks for, within the bound.
pub(crate) fn listed(query: Result<Query<ListingQuery>, QueryRejection>) -> Result<usize, ApiError> {
    let Query(query) =
        query.map_err(|error| ApiError::new(ErrorKind::Invalid, error.body_text()).with_field("limit"))?;
    Ok(query.limit.unwrap_or(LISTED).min(LISTED_MAX))
}
