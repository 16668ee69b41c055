//! What the description of the admin API says of all endpoints alike: credentials, errors, and that
//! optional parameters may be empty. What is particular to an endpoint is said at its handler.

use serde::Serialize;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{AnyOfBuilder, Components, ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema};

use crate::admin_auth::session_cookie;

/// An error.
#[derive(Serialize, ToSchema)]
struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong. Some codes have further members.
#[derive(Serialize, ToSchema)]
struct ErrorDetail {
    /// What is wrong and what to do about it.
    message: String,
    r#type: String,
    /// One of the codes of docs/errors.md.
    code: String,
    /// The parameter that is not valid.
    param: Option<String>,
}

/// A description without endpoints.
pub(super) fn base() -> OpenApi {
    let mut components = Components::new();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("admin", SecurityScheme::Http(token));
    let session = ApiKey::Cookie(ApiKeyValue::new(session_cookie::NAME));
    components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    let schemas = [
        (ErrorBody::name(), ErrorBody::schema()),
        (ErrorDetail::name(), ErrorDetail::schema()),
    ];
    components
        .schemas
        .extend(schemas.map(|(name, schema)| (name.into_owned(), schema)));
    let either = ["admin", "session"].map(|name| SecurityRequirement::new(name, [""; 0]));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("codex-gateway admin API")
                .version(env!("CARGO_PKG_VERSION"))
                .build(),
        )
        .components(Some(components))
        .security(Some(either))
        .build()
}

/// Puts the endpoints below `prefix`, and adds to each what is the same for all.
pub(super) fn complete(mut openapi: OpenApi, prefix: &str) -> OpenApi {
    let paths = std::mem::take(&mut openapi.paths.paths);
    openapi.paths.paths = paths
        .into_iter()
        .map(|(path, mut item)| {
            operations(&mut item).for_each(complete_operation);
            (format!("{prefix}{path}"), item)
        })
        .collect();
    openapi
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

fn complete_operation(operation: &mut Operation) {
    let schema = Ref::from_schema_name(ErrorBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let error = ResponseBuilder::new()
        .description("An error")
        .content("application/json", content)
        .build();
    for status in ["4XX", "5XX"] {
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_owned(), error.clone().into());
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            allow_empty(parameter);
        }
    }
}

/// An optional parameter that is empty counts as absent, see `query.rs`.
fn allow_empty(parameter: &mut Parameter) {
    let is_optional = matches!(parameter.required, Required::False);
    if !is_optional || !matches!(parameter.parameter_in, ParameterIn::Query) {
        return;
    }
    let empty = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(0));
    parameter.schema = parameter
        .schema
        .take()
        .map(|schema| AnyOfBuilder::new().item(schema).item(empty).into());
}
