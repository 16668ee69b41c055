//! The frame of every page, and the parts that pages are put together from.

use maud::{DOCTYPE, Markup, html};

/// The pages, as the navigation names them.
const PAGES: [(&str, &str); 8] = [
    ("Now", "/dashboard"),
    ("Usage", "/dashboard/usage"),
    ("Sessions", "/dashboard/sessions"),
    ("Exchanges", "/dashboard/exchanges"),
    ("Plan", "/dashboard/plan"),
    ("Models", "/dashboard/models"),
    ("Keys", "/dashboard/keys"),
    ("Health", "/dashboard/health"),
];

/// A whole page. `place`: its path in the navigation.
pub(super) fn page(title: &str, place: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/dashboard" { "codex-gateway" }
                    nav aria-label="Pages" {
                        ul {
                            @for (name, path) in PAGES {
                                li {
                                    a href=(path) aria-current=[(path == place).then_some("page")] {
                                        (name)
                                    }
                                }
                            }
                        }
                    }
                    button #sign-out type="button" .quiet { "Sign out" }
                }
                main #main tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
                p #said role="status" aria-live="polite" {}
            }
        }
    }
}

/// The page that signs in, and nothing else: it holds no data, so everybody may have it.
pub(super) fn sign_in(why: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head("Sign in"))
            body.alone {
                main #main {
                    h1 { "codex-gateway" }
                    @if let Some(why) = why { p.warn { (why) } }
                    p #state role="status" {
                        "Not signed in. Run " code { "codex-gateway dashboard" }
                        " on the gateway's machine and open the link that it prints."
                    }
                    button #sign-in type="button" hidden { "Sign in" }
                    noscript { p { "This page needs JavaScript." } }
                }
            }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · codex-gateway" }
            link rel="icon" href="/dashboard/icon.svg" type="image/svg+xml";
            link rel="stylesheet" href="/dashboard/page.css";
            script src="/dashboard/page.js" defer {}
        }
    }
}

/// One figure: what it is, its value, a remark.
pub(super) fn tile(name: &str, value: &Markup, remark: &Markup) -> Markup {
    html! {
        div.tile {
            dt { (name) }
            dd { (value) }
            dd.remark { (remark) }
        }
    }
}

/// A row of figures.
pub(super) fn tiles(tiles: &[Markup]) -> Markup {
    html! { dl.tiles { @for tile in tiles { (tile) } } }
}

/// Where there is nothing to show: what that means, and what to do next.
pub(super) fn empty(what: &str, next: &Markup) -> Markup {
    html! { div.empty { p { strong { (what) } } p { (next) } } }
}

/// A table that scrolls by itself where it is too wide. `heads`: titles, those of figures with a
/// leading `#`.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    let is_figure = |at: usize| heads.get(at).is_some_and(|head| head.starts_with('#'));
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for (at, head) in heads.iter().enumerate() {
                            th scope="col" .figure[is_figure(at)] {
                                (head.trim_start_matches('#'))
                            }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                td .figure[is_figure(at)] { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A bar that fills up to a share, with a word for those who do not see it.
pub(super) fn meter(percent: f64, label: &str) -> Markup {
    let class = match percent {
        percent if percent >= 100.0 => "meter full",
        percent if percent >= 80.0 => "meter near",
        _ => "meter",
    };
    let width = percent.clamp(0.0, 100.0);
    html! {
        svg class=(class) viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.track width="100" height="6" {}
            rect.fill width=(format!("{width:.1}")) height="6" {}
        }
    }
}

/// A word for a state.
pub(super) fn badge(class: &str, word: &str) -> Markup {
    html! { span.badge.{ (class) } { (word) } }
}
