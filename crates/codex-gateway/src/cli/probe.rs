//! One request to a gateway on behalf of a person, without any credential.

use std::time::Duration;

/// Asks and gives the start of a good answer.
///
/// # Errors
/// What went wrong, for a person.
pub(super) fn get(url: &str, timeout: Duration) -> Result<String, String> {
    // The only way to fail is that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            // The certificate names the gateway as clients call it, and not this address. Nothing
            // secret is sent, and the answer is one word.
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .build()
            .map_err(|error| error.to_string())?;
        let response = client.get(url).send().await.map_err(|error| {
            let cause = std::iter::successors(std::error::Error::source(&error), |e| e.source());
            let cause = cause
                .last()
                .map_or_else(|| error.to_string(), ToString::to_string);
            if error.is_timeout() {
                format!("no answer within {} s", timeout.as_secs())
            } else {
                format!("{cause}; is the gateway running with this configuration?")
            }
        })?;
        let status = response.status();
        let text = response.text().await.map_err(|error| error.to_string())?;
        let text: String = text.trim().chars().take(200).collect();
        if status.is_success() {
            Ok(text)
        } else {
            Err(format!("{}: {text}", status.as_u16()))
        }
    })
}
