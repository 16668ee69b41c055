//! The schemas of path parameters, which are read as text. They describe less than what is
//! accepted: a segment of a path must not climb (`..`), nor change when it is decoded.

use std::borrow::Cow;

use gateway_wire::words::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{PartialSchema, ToSchema};

/// The id or name of a key, or the name of a team.
pub(super) struct Name;

/// `gateway`, `team:NAME` or `key:ID`.
pub(super) struct ScopeName;

impl PartialSchema for Name {
    fn schema() -> Schema {
        text("^[A-Za-z0-9_:@-]{1,50}$")
    }
}

impl ToSchema for Name {
    fn name() -> Cow<'static, str> {
        "Name".into()
    }
}

impl PartialSchema for ScopeName {
    fn schema() -> Schema {
        text("^(gateway|(team|key):[A-Za-z0-9_-]{1,50})$")
    }
}

impl ToSchema for ScopeName {
    fn name() -> Cow<'static, str> {
        "ScopeName".into()
    }
}

fn text(pattern: &str) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .into()
}
