//! `prices` and `telemetry`: amounts that can be, addresses that can be reached.

use std::path::Path;

use super::Context;
use crate::{
    Located, OpenLineageReceiver, OpenLineageSpec, OtlpSpec, PricesSpec, TelemetrySpec, codes,
    file::{OpenLineageFile, OtlpFile, PricesFile, TelemetryFile},
};

/// The prices; an amount that cannot be is reported, and counts as 0.
pub(super) fn prices(context: &Context<'_>, file: PricesFile) -> PricesSpec {
    let price = |written: Option<Located<f64>>| {
        let Some(written) = written else { return 0.0 };
        if !written.value.is_finite() || written.value < 0.0 {
            let message = format!("`{}` is no price", written.value);
            context.error(codes::WRONG_PRICE, message, written.at, "write 0 or more: `cpu_hour: 0.04`");
            return 0.0;
        }
        written.value
    };
    let currency = file.currency.value.trim().to_owned();
    if currency.is_empty() || currency.len() > 16 || currency.chars().any(char::is_control) {
        let message = format!("`{currency}` is no currency");
        context.error(codes::WRONG_PRICE, message, file.currency.at, "write `currency: EUR`");
    }
    PricesSpec {
        currency,
        cpu_hour: price(file.cpu_hour),
        gb_stored_month: price(file.gb_stored_month),
        gb_read: price(file.gb_read),
        external_call: price(file.external_call),
    }
}

/// The receivers; one that cannot be told anything is reported and left out.
pub(super) fn telemetry(
    context: &Context<'_>,
    file: TelemetryFile,
    project: &str,
    root: &Path,
) -> TelemetrySpec {
    TelemetrySpec {
        openlineage: file.openlineage.and_then(|file| openlineage(context, file, project, root)),
        otlp: file.otlp.and_then(|file| otlp(context, file.value)),
    }
}

fn openlineage(
    context: &Context<'_>,
    file: Located<OpenLineageFile>,
    project: &str,
    root: &Path,
) -> Option<OpenLineageSpec> {
    let hint =
        "write `openlineage: {url: https://lineage.example/api/v1/lineage}`, or `{file: lineage.jsonl}`";
    let at = file.at;
    let OpenLineageFile { url, token, file, namespace } = file.value;
    let to = match (url, file) {
        (Some(url), None) => {
            let token = token.map(|token| token.value);
            OpenLineageReceiver::Url { url: address(context, &url)?, token }
        }
        (None, Some(file)) => {
            if let Some(token) = token {
                let message = "a file takes no token";
                context.error(codes::WRONG_TELEMETRY, message, token.at, "remove `token`, or write a `url`");
            }
            if file.value.trim().is_empty() {
                context.error(codes::WRONG_TELEMETRY, "the file has no name", file.at, hint);
                return None;
            }
            OpenLineageReceiver::File(root.join(file.value.trim()))
        }
        (Some(_), Some(file)) => {
            let message = "events go to a `url` or to a `file`, and both are given";
            context.error(codes::WRONG_TELEMETRY, message, file.at, "remove one of them");
            return None;
        }
        (None, None) => {
            context.error(codes::WRONG_TELEMETRY, "`openlineage` does not say where events go", at, hint);
            return None;
        }
    };
    let namespace = namespace.map_or_else(|| project.to_owned(), |namespace| namespace.value);
    Some(OpenLineageSpec { to, namespace })
}

fn otlp(context: &Context<'_>, file: OtlpFile) -> Option<OtlpSpec> {
    let endpoint = address(context, &file.endpoint)?.trim_end_matches('/').to_owned();
    Some(OtlpSpec { endpoint, token: file.token.map(|token| token.value) })
}

/// An address of HTTP.
fn address(context: &Context<'_>, written: &Located<String>) -> Option<String> {
    let text = written.value.trim();
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_address = host.is_some_and(|host| {
        let name = host.split(['/', '?', '#']).next().unwrap_or_default();
        !name.is_empty()
            && !name.starts_with(':')
            && !text.chars().any(|c| c.is_whitespace() || c.is_control())
    });
    if is_address {
        return Some(text.to_owned());
    }
    let message = format!("`{text}` is no address of HTTP");
    context.error(
        codes::WRONG_TELEMETRY,
        message,
        written.at,
        "write `http://host:port/…` or `https://host/…`",
    );
    None
}
