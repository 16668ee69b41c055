//! What a hostile colleague tries who has a gateway key of their own.

mod meaning;
mod ownership;
mod reflection;
