//! Upstreams as the process reaches them: the client, the headers that are forwarded, the decoding
//! of responses.

pub mod client;
pub mod failure;
pub mod headers;
pub mod reflection;
pub mod response_decoding;
pub mod segmented_body;
