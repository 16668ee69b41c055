//! Prints problems with file, line, caret and hint. Blanks what may be a secret.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use gateway_policy::problem::{Problem, Severity};

use super::redact::redact;

/// The text of all problems, errors first, in the order of the file.
pub fn render(path: &str, source: &str, problems: &[Problem], is_coloured: bool) -> String {
    let renderer = if is_coloured {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| {
        let start = problem.span.as_ref().map_or(0, |span| span.start);
        (problem.severity == Severity::Warning, start)
    });
    let source = redact(source);
    let mut text = String::new();
    for problem in sorted {
        text.push_str(&render_one(&renderer, path, &source, problem));
        text.push_str("\n\n");
    }
    text
}

fn render_one(renderer: &Renderer, path: &str, source: &str, problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = redact(&problem.message);
    let hint = problem.hint.as_deref().map(redact);
    let title = level.primary_title(message.as_str());
    let mut group = match &problem.span {
        Some(span) => title.element(
            Snippet::source(source)
                .path(path)
                .annotation(AnnotationKind::Primary.span(on_one_line(source, span))),
        ),
        // Not about a place in the file, such as a flag.
        None => Group::with_title(title),
    };
    if let Some(hint) = &hint {
        group = group.element(Level::HELP.with_name(Some("hint")).message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// A caret under the start is enough: a span over a whole table would print the table.
fn on_one_line(source: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start.min(source.len());
    let end = span.end.clamp(start, source.len());
    let length = source
        .get(start..end)
        .and_then(|text| text.find('\n'))
        .unwrap_or(end - start);
    start..start + length
}
