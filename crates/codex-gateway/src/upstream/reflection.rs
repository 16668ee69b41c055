//! Keeps the gateway's own credential out of what clients, logs and the ledger see of an upstream's
//! answer, where the upstream repeats it.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue};

use crate::secret::reflected::{HidingStream, ReflectedSecrets};
use crate::upstream::client::ReplyBody;

/// An answer's body without these secrets.
pub fn hide_in_body(body: ReplyBody, secrets: Option<&ReflectedSecrets>) -> ReplyBody {
    let Some(secrets) = secrets else {
        return body;
    };
    let hiding = Some((HidingStream::new(secrets.clone()), body));
    ReplyBody::from_stream(stream::unfold(hiding, |hiding| async move {
        let (mut hiding, mut body) = hiding?;
        loop {
            match body.next().await {
                Some(Ok(piece)) => {
                    let safe = hiding.push(piece);
                    // All of it may be the beginning of a secret.
                    if !safe.is_empty() {
                        return Some((Ok(safe), Some((hiding, body))));
                    }
                }
                Some(Err(error)) => return Some((Err(error), Some((hiding, body)))),
                None => {
                    let rest: Bytes = hiding.finish();
                    return (!rest.is_empty()).then_some((Ok(rest), None));
                }
            }
        }
    }))
}

/// An answer's headers without these secrets.
pub fn hide_in_headers(headers: &mut HeaderMap, secrets: Option<&ReflectedSecrets>) {
    let Some(secrets) = secrets else { return };
    for value in headers.values_mut() {
        if let Some(hidden) = secrets.hidden(value.as_bytes())
            && let Ok(hidden) = HeaderValue::from_bytes(&hidden)
        {
            *value = hidden;
        }
    }
}
