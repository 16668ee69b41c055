//! How a request is authenticated upstream. Chooses a configured upstream; never authorises
//! anybody.

gateway_wire::words! {
    /// The auth route of a request (contract: "Auth routes").
    pub enum AuthRoute {
        /// A ChatGPT sign-in: the caller's token passes through.
        Chatgpt = "chatgpt",
        /// The caller's own API key passes through.
        ApiKey = "api_key",
        /// A key this gateway issued; the upstream's own credential is used.
        GatewayKey = "gateway_key",
        /// No credential at all.
        Anonymous = "anonymous",
    }
}
