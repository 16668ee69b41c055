//! The periods of budgets, in the operator's time zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

gateway_wire::words! {
    /// For how long a budget lasts before it starts again.
    pub enum Window {
        /// From midnight to midnight.
        Day = "day",
        /// From Monday to Sunday.
        Week = "week",
        /// A calendar month.
        Month = "month",
        /// Without an end.
        Total = "total",
    }
}

/// The days that a window covers at some moment, and when the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// First and last day; `None`: all days.
    pub days: Option<(Date, Date)>,
    /// When the count starts again; `None`: never.
    pub resets_at: Option<Timestamp>,
}

impl Window {
    /// The period that contains a moment, in the operator's time zone.
    pub fn period(self, at: Timestamp, zone: &TimeZone) -> Period {
        let day = at.to_zoned(zone.clone()).date();
        let first = match self {
            Self::Day => day,
            Self::Week => day
                .saturating_sub(Span::new().days(i64::from(day.weekday().to_monday_zero_offset()))),
            Self::Month => day.first_of_month(),
            Self::Total => {
                return Period {
                    days: None,
                    resets_at: None,
                };
            }
        };
        let last = match self {
            Self::Day | Self::Total => day,
            Self::Week => first.saturating_add(Span::new().days(6)),
            Self::Month => day.last_of_month(),
        };
        // The first moment of the next day, which is not midnight where a clock change skips
        // midnight.
        let next = last
            .saturating_add(Span::new().days(1))
            .to_zoned(zone.clone());
        Period {
            days: Some((first, last)),
            resets_at: next.ok().map(|next| next.timestamp()),
        }
    }
}
