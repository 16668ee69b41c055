//! What is said about one model: every statement with its source and date. Decides nothing.
//!
//! To add a kind of statement, add one line to the list at `statements!`; it is then read from the
//! data file and collected in [`ModelEntry`].

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_wire::WireApi;
use gateway_wire::words::Schema;
use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::{PartialSchema, ToSchema};

use super::statement_schema;
use crate::auth_route::AuthRoute;
use crate::model_id::ModelId;

/// A document or file that says something about models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SourceDocument {
    /// The short name used in the data file.
    #[schema(value_type = String)]
    pub id: Arc<str>,
    /// What it is.
    pub title: String,
    /// When it said so: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[schema(value_type = String)]
    pub date: Arc<str>,
}

/// One thing that one source says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatedValue<T> {
    /// What it says.
    pub value: T,
    /// The short name of the source.
    pub source: Arc<str>,
    /// When it said so.
    pub date: Arc<str>,
}

/// Everything said about one thing, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Sourced<T>(Vec<DatedValue<T>>);

impl<T> Default for Sourced<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Sourced<T> {
    /// What holds at present.
    pub fn current(&self) -> Option<&T> {
        self.latest().map(|statement| &statement.value)
    }

    /// The statement that holds at present.
    pub fn latest(&self) -> Option<&DatedValue<T>> {
        self.0.first()
    }

    /// All statements, the newest first.
    pub fn statements(&self) -> &[DatedValue<T>] {
        &self.0
    }

    /// Whether there is no statement.
    pub fn is_silent(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a statement as the newest one.
    fn add(&mut self, source: &SourceDocument, value: Option<&T>)
    where
        T: Clone,
    {
        if let Some(value) = value {
            let statement = DatedValue {
                value: value.clone(),
                source: Arc::clone(&source.id),
                date: Arc::clone(&source.date),
            };
            self.0.insert(0, statement);
        }
    }

    /// Adds the date and the short name of each statement's source.
    fn cite<'a>(&'a self, found: &mut Vec<(&'a str, &'a str)>) {
        let cited = self.0.iter();
        found.extend(cited.map(|statement| (&*statement.date, &*statement.source)));
    }
}

gateway_wire::words! {
    /// The lifecycle of a model, as a source sees it.
    pub enum LifecycleStatus {
        /// First choice of its source.
        Recommended = "recommended",
        /// On offer, without a preference.
        Current = "current",
        /// Still offered beside the recommended ones.
        Alternative = "alternative",
        /// A preview, with limits.
        Preview = "preview",
        /// An older generation that is still offered.
        Older = "older",
        /// Has a named successor.
        Succeeded = "succeeded",
        /// Kept for existing users.
        Legacy = "legacy",
        /// Made for one purpose and not offered in pickers.
        Special = "special",
    }
}

gateway_wire::words! {
    /// Whether the client's own catalogue lists a model in its picker.
    pub enum Picker {
        /// Listed.
        List = "list",
        /// Usable, but not listed.
        Hide = "hide",
    }
}

/// A price that a document prints, in USD per million tokens, as printed. Never used for counting;
/// see the price table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrintedPrice {
    /// Input.
    pub input: String,
    /// Cached input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<String>,
    /// Output.
    pub output: String,
}

statement_schema::plain! { LifecycleStatus, Picker, PrintedPrice }

/// The kinds of statement, each with the key of the data file where it has another name there.
macro_rules! statements {
    ($( $(#[doc = $doc:literal])* $name:ident $(($key:literal))?: $value:ty, )+) => {
        /// `[[model.says]]`: what one source says about one model. Everything but the source may
        /// be left out.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct StatementSpec {
            /// The short name of the source.
            pub source: Spanned<String>,
            /// What the source says about one auth route.
            #[serde(default)]
            pub routes: BTreeMap<AuthRoute, bool>,
            $( $(#[doc = $doc])* $(#[serde(rename = $key)])? pub $name: Option<$value>, )+
        }

        /// What is said about one model.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        pub struct ModelEntry {
            /// Its id.
            pub id: ModelId,
            /// What is said about each auth route.
            pub routes: BTreeMap<AuthRoute, Sourced<bool>>,
            $( $(#[doc = $doc])* pub $name: Sourced<$value>, )+
        }

        impl PartialSchema for ModelEntry {
            fn schema() -> Schema {
                ObjectBuilder::new()
                    .description(Some("What is said about one model."))
                    .property("id", ModelId::schema())
                    .required("id")
                    .property("routes", statement_schema::by_route())
                    .required("routes")
                    $(
                        .property(
                            stringify!($name),
                            statement_schema::sourced::<$value>(concat!($($doc),*).trim()),
                        )
                        .required(stringify!($name))
                    )+
                    .into()
            }
        }

        impl ToSchema for ModelEntry {}

        impl ModelEntry {
            /// A model about which nothing is said yet.
            pub(super) fn new(id: ModelId) -> Self {
                Self {
                    id,
                    routes: BTreeMap::new(),
                    $( $name: Sourced::default(), )+
                }
            }

            /// Adds what a source says, as the newest statements.
            pub(super) fn add(&mut self, source: &SourceDocument, said: &StatementSpec) {
                for (route, usable) in &said.routes {
                    self.routes.entry(*route).or_default().add(source, Some(usable));
                }
                $( self.$name.add(source, said.$name.as_ref()); )+
            }

            /// The short names of the sources that say anything about it, the newest first.
            pub fn sources(&self) -> Vec<&str> {
                let mut found: Vec<(&str, &str)> = Vec::new();
                self.routes.values().for_each(|said| said.cite(&mut found));
                $( self.$name.cite(&mut found); )+
                found.sort_by(|(a_date, a), (b_date, b)| b_date.cmp(a_date).then(a.cmp(b)));
                found.dedup();
                found.into_iter().map(|(_, source)| source).collect()
            }
        }
    };
}

statements! {
    /// Its name in pickers.
    name: String,
    /// What it is.
    about: String,
    /// Capability, 1 to 5.
    capability: u8,
    /// Speed, 1 to 5.
    speed: u8,
    /// Offered in the CLI and SDK.
    cli: bool,
    /// Offered in the app and the IDE extension.
    app: bool,
    /// Used by cloud tasks, which choose their own model.
    cloud: bool,
    /// Usable with ChatGPT credits.
    credits: bool,
    /// Usable with an API key.
    api: bool,
    /// ChatGPT plans that include it; silent means no statement. A claim about a plan never rejects
    /// anything.
    plans: Vec<String>,
    /// Its lifecycle status.
    standing: LifecycleStatus,
    /// The model that follows it.
    successor: ModelId,
    /// Whether the id is an alias whose target changes.
    floating: bool,
    /// The endpoints on which it answers.
    endpoints: Vec<WireApi>,
    /// Context window in tokens, as used by default.
    context: u64,
    /// Largest context window in tokens that can be asked for.
    max_context: u64,
    /// Whether it is asked in the Responses-Lite shape.
    lite: bool,
    /// How the client offers its tools.
    tool_mode: String,
    /// Reasoning efforts it takes, the least first.
    efforts: Vec<String>,
    /// The effort used when none is asked for.
    default_effort: String,
    /// Text verbosities it takes.
    verbosities: Vec<String>,
    /// Whether it takes images.
    images: bool,
    /// Whether the client's own catalogue lists it.
    picker: Picker,
    /// Its place in the client's picker; the lowest is the default model.
    priority: u32,
    /// The day after which the API stops serving it.
    retires: String,
    /// Prices that documents print.
    prices ("price"): PrintedPrice,
    /// Any other remark.
    remarks ("remark"): String,
}

impl ModelEntry {
    /// Whether it answers on the Responses API only.
    pub fn is_responses_only(&self) -> bool {
        self.endpoints
            .current()
            .is_some_and(|endpoints| !endpoints.contains(&WireApi::Chat))
    }

    /// The most input tokens that any source grants, older ones included: too large a figure costs
    /// one refusal by the upstream, too small a one would stop work that could go on.
    pub fn window(&self) -> Option<u64> {
        let said = self
            .max_context
            .statements()
            .iter()
            .chain(self.context.statements());
        said.map(|statement| statement.value).max()
    }

    /// Whether it is asked as Responses-Lite, which holds only for models whose source says so: most
    /// are older than that shape.
    pub fn is_lite(&self) -> bool {
        self.lite.current() == Some(&true)
    }

    /// What holds about this route: the route's own statement, else API access for the routes that
    /// use an API key.
    pub fn usable_on(&self, route: AuthRoute) -> Option<bool> {
        let said = self.routes.get(&route).and_then(Sourced::current).copied();
        match route {
            AuthRoute::ApiKey | AuthRoute::GatewayKey => {
                said.or_else(|| self.api.current().copied())
            }
            AuthRoute::Chatgpt => said.or_else(|| self.cli.current().copied()),
            AuthRoute::Anonymous => said,
        }
    }
}
