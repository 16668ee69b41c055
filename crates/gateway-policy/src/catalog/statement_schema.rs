//! Statements in a description of an API: what each can say, with its source and date.

use gateway_wire::WireApi;
use gateway_wire::words::Schema;
use utoipa::PartialSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder};

use crate::auth_route::AuthRoute;
use crate::model_id::ModelId;

/// What a statement can say.
pub(super) trait StatementValue {
    /// Its schema.
    fn value_schema() -> Schema;
}

/// Values whose own schema is what a statement says.
macro_rules! plain {
    ($($value:ty),+ $(,)?) => {$(
        impl $crate::catalog::statement_schema::StatementValue for $value {
            fn value_schema() -> gateway_wire::words::Schema {
                <$value>::schema()
            }
        }
    )+};
}
pub(super) use plain;

plain! {
    bool,
    u8,
    u32,
    u64,
    String,
    ModelId,
    WireApi,
}

impl<T: StatementValue> StatementValue for Vec<T> {
    fn value_schema() -> Schema {
        ArrayBuilder::new().items(T::value_schema()).into()
    }
}

/// All statements about one thing, the newest first.
pub(super) fn sourced<T: StatementValue>(description: &str) -> ArrayBuilder {
    let statement = ObjectBuilder::new()
        .property("value", T::value_schema())
        .required("value")
        .property("source", String::schema())
        .required("source")
        .property("date", String::schema())
        .required("date");
    ArrayBuilder::new()
        .description(Some(description))
        .items(statement)
}

/// What is said about each auth route.
pub(super) fn by_route() -> ObjectBuilder {
    let description = "What is said about each auth route.";
    ObjectBuilder::new()
        .description(Some(description))
        .property_names(Some(AuthRoute::schema()))
        .additional_properties(Some(sourced::<bool>(description)))
}
