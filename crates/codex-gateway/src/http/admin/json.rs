//! JSON bodies of `/api`, in requests and answers. Does not check what they say.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use axum_extra::headers::{ContentType, HeaderMapExt as _};
use http::{HeaderMap, StatusCode};
use mime::Mime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ErrorCode, GatewayError};

/// A `T` as a JSON body. In a request it must be sent as `application/json`: a web page can send a
/// form to any host without a preflight request, but not JSON.
pub(super) struct Json<T>(pub(super) T);

/// The body of an endpoint that takes no data: `{}`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

/// A list.
#[derive(Serialize, ToSchema)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
}

/// The change was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    /// Always true.
    ok: bool,
}

impl Done {
    pub(super) const OK: Json<Self> = Json(Self { ok: true });
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = GatewayError;

    async fn from_request(request: Request, state: &S) -> Result<Self, GatewayError> {
        check_content_type(request.headers())?;
        // Reads up to axum's default limit of 2 MiB.
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| unread(&rejection))?;
        parse(&body).map(Self)
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), GatewayError> {
    let content_type: Option<ContentType> = headers.typed_get();
    let is_json = |mime: Mime| mime.essence_str() == mime::APPLICATION_JSON.essence_str();
    if content_type.map(Mime::from).is_some_and(is_json) {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::UnsupportedMediaType,
        "send the body as `content-type: application/json`",
    ))
}

fn unread(rejection: &BytesRejection) -> GatewayError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return GatewayError::new(ErrorCode::BodyTooLarge, "the body is larger than 2 MiB");
    }
    GatewayError::new(ErrorCode::InvalidRequest, "the body could not be read")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, GatewayError> {
    serde_json::from_slice(body).map_err(|error| {
        GatewayError::new(
            ErrorCode::InvalidRequest,
            format!("the body is not valid here: {error}; see /api/openapi.json"),
        )
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::administration::spec::KeySpec;

    async fn read(content_type: Option<&str>, body: String) -> Result<(), ErrorCode> {
        let mut request = Request::new(Body::from(body));
        if let Some(content_type) = content_type {
            let headers = request.headers_mut();
            headers.insert("content-type", content_type.parse().unwrap());
        }
        let read = Json::<KeySpec>::from_request(request, &()).await;
        read.map(|_| ()).map_err(|error| error.code)
    }

    #[tokio::test]
    async fn only_json_is_read() {
        let good = || r#"{"name":"x"}"#.to_owned();
        for content_type in [
            None,
            Some("text/plain"),
            Some("application/x-json"),
            Some(""),
        ] {
            let code = read(content_type, good()).await;
            assert_eq!(
                code,
                Err(ErrorCode::UnsupportedMediaType),
                "{content_type:?}"
            );
        }
        for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(read(Some(content_type), good()).await, Ok(()));
        }
        for bad in ["", "[]", "{}", r#"{"name":"x","nmae":1}"#] {
            let code = read(Some("application/json"), bad.to_owned()).await;
            assert_eq!(code, Err(ErrorCode::InvalidRequest), "{bad}");
        }
        let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(3 << 20));
        let code = read(Some("application/json"), large).await;
        assert_eq!(code, Err(ErrorCode::BodyTooLarge));
    }
}
