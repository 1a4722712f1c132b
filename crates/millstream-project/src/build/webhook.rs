//! `webhooks` of `millstream.yaml`: the secrets with which callers sign.

use std::collections::BTreeMap;

use millstream_types::Secret;

use super::{Context, feature::identifier};
use crate::{WebhookSpec, codes, decode::Entries, file::WebhookFile};

/// Fewer characters than this can be guessed.
const SECRET_CHARS_MIN: usize = 16;

pub(super) fn webhooks(
    context: &Context<'_>,
    written: &Entries<WebhookFile>,
) -> BTreeMap<String, WebhookSpec> {
    let mut webhooks = BTreeMap::new();
    for (name, file) in &written.0 {
        let found = file.secret.chars().count();
        if found < SECRET_CHARS_MIN {
            let message = format!(
                "the secret of the webhook `{name}` has {found} characters, at least {SECRET_CHARS_MIN} are needed"
            );
            let hint = "use a long random text, such as `openssl rand -hex 32` prints";
            context.error(codes::WRONG_WEBHOOK, message, file.secret.at, hint);
        } else if identifier(context, "webhook", name) {
            let secret = Secret::new(file.secret.value.clone());
            webhooks.insert(name.value.clone(), WebhookSpec { at: name.at, secret });
        }
    }
    webhooks
}
