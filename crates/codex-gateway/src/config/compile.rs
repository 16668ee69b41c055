//! From the file as written to checked values, section by section. Reports every problem; reads the
//! secrets and files that the configuration names.

use std::path::Path;
use std::sync::Arc;

use gateway_policy::problem::Problem;
use gateway_policy::{ModelId, Policy, PolicyInput};

use super::file::ConfigFile;
use super::network;
use super::sections::{admin, catalog, log, models, prices, server, storage, upstreams};
use super::settings::Settings;
use super::source::{Context, Overrides, data_dir};

/// Checks everything; `base` is the directory that paths are relative to. `None` when the policy
/// could not be compiled.
pub fn compile(
    file: ConfigFile,
    overrides: &Overrides,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let context = Context { overrides, base };
    let server = server::compile(&file.server, context, problems);
    let share = network::share_keys(
        server.listen,
        &server::listen_written_in(&file.server, context),
        server.require_gateway_key,
        file.routes.gateway_key.is_some(),
        problems,
    );
    let admin = admin::compile(&file.admin, server.listen, context, problems);
    let storage = storage::compile(&file.storage, problems);
    let log = log::compile(&file.log);
    let models = models::compile(&file.models, problems);
    let credentials = upstreams::credentials(&file.upstreams, context, problems);
    upstreams::check_base_urls(&file.upstreams, &server, admin.listen, problems);
    let prices = prices::compile(&file.prices, context, problems)?;
    let (catalog, known) = catalog::compile(&file.catalog, context, problems)?;
    let (policy, found) = Policy::compile(&PolicyInput {
        upstreams: file.upstreams,
        routes: file.routes,
        rules: file.rules,
        fallback: file.fallback,
        patterns: file.error_patterns,
        encrypted_reasoning: models.encrypted_reasoning,
        catalog: Arc::new(known),
        known_models: prices
            .table
            .rows()
            .filter_map(|row| ModelId::new(&row.model).ok())
            .collect(),
    });
    problems.extend(found);
    Some(Settings {
        data_dir: data_dir(overrides),
        server,
        admin,
        storage,
        catalog,
        log,
        models,
        prices,
        policy: policy?,
        credentials,
        share,
    })
}
