//! Schemas of fields of the parent module's types that attributes cannot describe. They describe no
//! more than what is accepted.

use gateway_wire::words::Schema;
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

/// Words without control characters, with single spaces between them.
const NAME: &str = r"^[^\s\x00-\x1f\x7f-\x9f]+( [^\s\x00-\x1f\x7f-\x9f]+)*$";
/// A part of the globs over model ids: no sets.
const GLOB: &str = "^[A-Za-z0-9._:/*?-]{1,100}$";

/// The name of a key, an owner or a team.
pub(crate) fn name() -> Object {
    named(Type::String.into())
}

/// The same, or null.
pub(crate) fn optional_name() -> Object {
    named([Type::String, Type::Null].into_iter().collect())
}

fn named(schema_type: SchemaType) -> Object {
    ObjectBuilder::new()
        .schema_type(schema_type)
        .pattern(Some(NAME))
        .max_length(Some(super::MAX_NAME))
        .build()
}

/// A list of globs.
pub(crate) fn globs() -> Schema {
    let glob = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(GLOB));
    ArrayBuilder::new().items(glob).into()
}
