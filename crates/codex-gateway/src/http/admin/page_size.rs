//! How many items an answer lists.

use std::borrow::Cow;

use gateway_ledger::MAX_PAGE;
use gateway_wire::words::Schema;
use serde::Deserialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{PartialSchema, ToSchema};

/// A number from 1 to [`MAX_PAGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PageSize(u32);

impl PageSize {
    pub(super) const fn get(self) -> u32 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<String> for PageSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let size = text.parse().ok();
        size.filter(|size| (1..=MAX_PAGE).contains(size))
            .map(Self)
            .ok_or_else(|| format!("a number from 1 to {MAX_PAGE}"))
    }
}

impl PartialSchema for PageSize {
    fn schema() -> Schema {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(MAX_PAGE))
            .default(Some(Self::default().0.into()))
            .into()
    }
}

impl ToSchema for PageSize {
    fn name() -> Cow<'static, str> {
        "PageSize".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_at_least_one_item_and_at_most_the_maximum() {
        let read = |text: &str| PageSize::try_from(text.to_owned()).map(PageSize::get);
        assert_eq!(read("1"), Ok(1));
        assert_eq!(read("7"), Ok(7));
        assert_eq!(read("1000"), Ok(1000));
        for wrong in ["0", "1001", "x", "-1", "1.5", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
