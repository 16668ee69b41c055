//! How a metric is declared: once, as a row of the table in `metrics.rs`, from which the metric is
//! registered, started and checked against the documentation.

use prometheus::core::{AtomicF64, Collector, GenericCounterVec};
use prometheus::{
    Error, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// The name without the prefix.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub help: &'static str,
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// A type of metric that the table can hold.
pub(super) trait Kind: Collector + Clone + Sized + 'static {
    const WORD: &'static str;

    fn build(declaration: &Declaration) -> Result<Self, Error>;

    /// Makes the series with these label values exist, at zero.
    fn start(&self, values: &[&str]);

    fn register(declaration: &Declaration, registry: &Registry) -> Result<Self, Error> {
        let metric = Self::build(declaration)?;
        registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn options(declaration: &Declaration) -> Opts {
    Opts::new(declaration.name, declaration.help.trim())
}

fn histogram_options(declaration: &Declaration) -> HistogramOpts {
    HistogramOpts::from(options(declaration)).buckets(declaration.buckets.to_vec())
}

/// A counter of something that is not whole, such as money.
pub type DecimalCounterVec = GenericCounterVec<AtomicF64>;

macro_rules! labelled {
    ($($kind:ty, $word:literal, $options:ident;)+) => {
        $(impl Kind for $kind {
            const WORD: &'static str = $word;

            fn build(declaration: &Declaration) -> Result<Self, Error> {
                Self::new($options(declaration), declaration.labels)
            }

            fn start(&self, values: &[&str]) {
                self.with_label_values(values);
            }
        })+
    };
}

labelled! {
    IntCounterVec, "counter", options;
    DecimalCounterVec, "counter", options;
    IntGaugeVec, "gauge", options;
    GaugeVec, "gauge", options;
    HistogramVec, "histogram", histogram_options;
}

macro_rules! unlabelled {
    ($($kind:ty, $word:literal, $options:ident;)+) => {
        $(impl Kind for $kind {
            const WORD: &'static str = $word;

            fn build(declaration: &Declaration) -> Result<Self, Error> {
                Self::with_opts($options(declaration))
            }

            /// Exists from the start.
            fn start(&self, _: &[&str]) {}
        })+
    };
}

unlabelled! {
    IntCounter, "counter", options;
    IntGauge, "gauge", options;
    Histogram, "histogram", histogram_options;
}

/// Defines `Metrics` from rows
/// `/// help` `field: Type = "name" ["label", …] [, buckets BOUNDS] [, at_zero VALUES];`.
///
/// `at_zero` lists values of the only label whose series exist from the start: a rate sees the first
/// event only when the series was there before it.
macro_rules! metrics {
    ($(
        $(#[doc = $help:literal])+
        $field:ident: $kind:ty = $name:literal $labels:tt
            $(, buckets $buckets:expr)? $(, at_zero $zero:expr)?;
    )+) => {
        /// Every metric of the process.
        pub struct Metrics {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        impl Metrics {
            /// The table.
            pub const DECLARED: &'static [Declaration] = &[
                $(row!($kind, $name, concat!($($help),+), $labels $(, $buckets)?)),+
            ];

            fn register(registry: Registry) -> Result<Self, Error> {
                $(
                    let row = row!($kind, $name, concat!($($help),+), $labels $(, $buckets)?);
                    let $field = <$kind as Kind>::register(&row, &registry)?;
                    $(for value in $zero {
                        $field.start(&[value]);
                    })?
                )+
                Ok(Self { registry, $($field),+ })
            }

            /// Makes every metric exist, with `value` as the value of every label.
            #[cfg(test)]
            fn start_all(&self, value: &str) {
                let mut table = Self::DECLARED.iter();
                $(
                    let labels = table.next().unwrap().labels.len();
                    self.$field.start(&vec![value; labels]);
                )+
            }
        }
    };
}

macro_rules! row {
    ($kind:ty, $name:literal, $help:expr, $labels:tt) => {
        row!($kind, $name, $help, $labels, &[])
    };
    ($kind:ty, $name:literal, $help:expr, $labels:tt, $buckets:expr) => {
        Declaration {
            name: $name,
            kind: <$kind as Kind>::WORD,
            help: $help,
            labels: &$labels,
            buckets: $buckets,
        }
    };
}
pub(super) use {metrics, row};
