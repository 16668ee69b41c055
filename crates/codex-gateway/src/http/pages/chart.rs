//! Stacked bars as SVG. Colours are placeholders that the style sheet replaces by the theme's; each
//! bar says its figures on hover and on focus.

use maud::{Markup, PreEscaped, html};
use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::drawing::IntoDrawingArea as _;
use plotters::element::Rectangle;
use plotters::style::{Color as _, IntoFont as _, RGBColor, TextStyle};

use crate::http::pages::format::{count, usd};

/// Most series that have a colour of their own; what is smaller is summed up as `other`.
pub(super) const MOST_SERIES: usize = 6;

/// What bars measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// USD × 10⁻⁹.
    Money,
    /// Tokens or requests.
    Count,
}

impl Unit {
    fn word(self, value: i64) -> String {
        match self {
            Self::Money => usd(value),
            Self::Count => count(value),
        }
    }
}

/// One series: its name and a figure for each bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) name: String,
    /// Which of the theme's colours it has, the same in every chart of a page.
    pub(super) colour: usize,
    pub(super) values: Vec<i64>,
}

impl Series {
    fn value(&self, bar: usize) -> i64 {
        self.values.get(bar).copied().unwrap_or(0)
    }
}

/// What a chart shows.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) unit: Unit,
    /// What each bar is about, such as a day.
    pub(super) bars: Vec<String>,
    pub(super) series: Vec<Series>,
}

/// Two sizes, of which the style sheet shows one, so that texts are legible on a phone too.
const SIZES: [(&str, u32, u32); 2] = [("wide", 960, 260), ("narrow", 380, 240)];
const GRID: RGBColor = RGBColor(2, 0, 0);
const TEXT: RGBColor = RGBColor(3, 0, 0);

/// The placeholder of a series' colour.
fn colour(index: usize) -> RGBColor {
    RGBColor(1, 0, u8::try_from(index).unwrap_or(u8::MAX))
}

impl Chart {
    /// Without the series that have nothing here.
    pub(super) fn of_filled(mut self) -> Self {
        self.series
            .retain(|series| series.values.iter().any(|value| *value != 0));
        self
    }

    /// The figure with its legend and the line that repeats what is pointed at.
    pub(super) fn render(&self) -> Markup {
        if self.series.is_empty() {
            return html! {};
        }
        html! {
            figure.chart {
                figcaption { (self.title) }
                ul.legend {
                    @for series in &self.series {
                        li { span.swatch.{ "s" (series.colour) } {} (series.name) }
                    }
                }
                @for (class, width, height) in SIZES {
                    div.{ (class) } { (PreEscaped(self.svg(width, height))) }
                }
                p.tip aria-live="polite" { (self.hint()) }
            }
        }
    }

    fn hint(&self) -> &'static str {
        if self.bars.len() > 1 {
            "Point at a bar, or move to it with Tab."
        } else {
            ""
        }
    }

    fn total(&self, bar: usize) -> i64 {
        self.series.iter().map(|series| series.value(bar)).sum()
    }

    /// What a bar says.
    fn told(&self, bar: usize) -> String {
        let label = self.bars.get(bar).map(String::as_str).unwrap_or_default();
        let mut parts = vec![format!("{label}: {}", self.unit.word(self.total(bar)))];
        let mut series: Vec<_> = self.series.iter().collect();
        series.retain(|series| series.value(bar) != 0);
        if series.len() > 1 {
            let of =
                |series: &&Series| format!("{} {}", series.name, self.unit.word(series.value(bar)));
            parts.extend(series.iter().map(of));
        }
        parts.join(" · ")
    }

    /// An empty text where the library cannot draw, which it can for every size above.
    fn svg(&self, width: u32, height: u32) -> String {
        let mut drawn = String::new();
        let Some((left, right)) = self.draw(&mut drawn, width, height) else {
            return String::new();
        };
        let bars = self.bars.len().max(1);
        let step = f64::from(right - left) / as_f64(bars);
        let hits = html! {
            @for bar in 0..self.bars.len() {
                @let told = self.told(bar);
                rect.hit
                    x=(format!("{:.1}", f64::from(left) + step * as_f64(bar)))
                    y="0" width=(format!("{step:.1}")) height=(height)
                    tabindex="0" role="img" aria-label=(told) { title { (told) } }
            }
        };
        let head = format!(
            "<svg role=\"group\" aria-label=\"{}\" ",
            html! { (self.title) }.0
        );
        drawn
            .replacen("<svg ", &head, 1)
            .replace("</svg>", &format!("{}</svg>", hits.0))
    }

    /// Draws axes and bars; where the bars begin and end, in pixels.
    fn draw(&self, into: &mut String, width: u32, height: u32) -> Option<(i32, i32)> {
        let area = SVGBackend::with_string(into, (width, height)).into_drawing_area();
        let bars = self.bars.len();
        let most = (0..bars)
            .map(|bar| self.total(bar))
            .max()
            .unwrap_or(0)
            .max(1);
        let style: TextStyle<'_> = ("sans-serif", 12).into_font().color(&TEXT);
        let mut chart = ChartBuilder::on(&area)
            .margin_top(8)
            .margin_right(8)
            .x_label_area_size(24)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..as_f64(bars.max(1)), 0.0..value(most) * 1.05)
            .ok()?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .axis_style(GRID.mix(0.0))
            .set_all_tick_mark_size(0)
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(GRID)
            .y_labels(5)
            .x_labels(0)
            .y_label_style(style.clone())
            .y_label_formatter(&|at| self.unit.word(whole(*at)))
            .draw()
            .ok()?;
        for bar in 0..bars {
            let mut below = 0;
            for series in &self.series {
                let above = below + series.value(bar);
                let (from, to) = (as_f64(bar) + 0.12, as_f64(bar) + 0.88);
                let corners = [(from, value(below)), (to, value(above))];
                let shape = Rectangle::new(corners, colour(series.colour).filled());
                chart.draw_series(std::iter::once(shape)).ok()?;
                below = above;
            }
        }
        let (xs, ys) = chart.plotting_area().get_pixel_range();
        self.label_bars(&area, &style, width, (xs.start, xs.end, ys.end))?;
        drop(chart);
        area.present().ok()?;
        Some((xs.start, xs.end))
    }

    /// As many labels below the bars as fit.
    fn label_bars(
        &self,
        area: &plotters::drawing::DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        style: &TextStyle<'_>,
        width: u32,
        (left, right, bottom): (i32, i32, i32),
    ) -> Option<()> {
        let fits = usize::try_from(width / 76).unwrap_or(1).max(1);
        let every = self.bars.len().div_ceil(fits).max(1);
        let step = f64::from(right - left) / as_f64(self.bars.len().max(1));
        for (bar, label) in self.bars.iter().enumerate().step_by(every) {
            let middle = f64::from(left) + step * (as_f64(bar) + 0.5);
            // Letters of this size are about 6 pixels wide.
            let half = as_f64(label.chars().count()) * 3.2;
            let x = whole_i32((middle - half).max(0.0));
            area.draw_text(label, style, (x, bottom + 8)).ok()?;
        }
        Some(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a position in a picture")]
fn as_f64(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "a height in a picture")]
fn value(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a label of an axis")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[expect(clippy::cast_possible_truncation, reason = "a position in a picture")]
fn whole_i32(number: f64) -> i32 {
    number.round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: Vec<Series>) -> Chart {
        Chart {
            title: "Spend & more".to_owned(),
            unit: Unit::Money,
            bars: vec!["Nov 26".to_owned(), "Nov 27".to_owned()],
            series,
        }
    }

    fn series(name: &str, values: [i64; 2]) -> Series {
        Series {
            name: name.to_owned(),
            colour: 0,
            values: values.to_vec(),
        }
    }

    #[test]
    fn every_bar_says_its_figures_and_nothing_of_a_name_is_markup() {
        let chart = chart(vec![
            series("a<b>", [2_000_000_000, 0]),
            series("c", [1_000_000_000, 0]),
        ]);
        let drawn = chart.render().0;
        assert!(
            drawn.contains("Nov 26: $3.00 · a&lt;b&gt; $2.00 · c $1.00"),
            "{drawn}"
        );
        assert!(drawn.contains("Nov 27: $0"), "{drawn}");
        assert!(
            !drawn.contains("<b>") && drawn.contains("Spend &amp; more"),
            "{drawn}"
        );
        assert_eq!(drawn.matches("<svg").count(), 2);
        assert_eq!(drawn.matches("class=\"hit\"").count(), 4);
    }

    #[test]
    fn nothing_to_show_is_no_chart() {
        assert_eq!(chart(vec![series("a", [0, 0])]).of_filled().render().0, "");
    }
}
