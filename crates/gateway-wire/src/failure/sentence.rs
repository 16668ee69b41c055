//! Matching a whole message against a template. No regular expressions, no loose substrings.

/// What a template found where the model id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuotedModel {
    /// The id that was sent, or a template that names none.
    Sent,
    /// Another id.
    Other,
}

/// One line, lower case, all quotation marks alike.
pub(super) fn normalised(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for word in message.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        for character in word.chars() {
            line.push(match character {
                '`' | '"' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => '\'',
                other => other.to_ascii_lowercase(),
            });
        }
    }
    line
}

/// Compares a normalised line with a template, in which `{model}` stands for the id, `{slug}` for
/// the id or an internal name made from it, and a final `{any}` for any rest. `None` when the line
/// is another sentence.
pub(super) fn quoted(template: &str, line: &str, sent_model: &str) -> Option<QuotedModel> {
    let template = normalised(template);
    let sent = normalised(sent_model);
    let (before, internal, after) = if let Some((before, after)) = template.split_once("{model}") {
        (before, false, after)
    } else if let Some((before, after)) = template.split_once("{slug}") {
        (before, true, after)
    } else {
        return ends_as(&template, line).then_some(QuotedModel::Sent);
    };
    let rest = line.strip_prefix(before)?;
    if rest
        .strip_prefix(sent.as_str())
        .is_some_and(|rest| !sent.is_empty() && ends_as(after, rest))
    {
        let nothing = NO_MODEL.contains(&sent.as_str());
        return Some(if nothing {
            QuotedModel::Other
        } else {
            QuotedModel::Sent
        });
    }
    // Not our id; is it the sentence all the same? An id holds no space and no quotation mark, and
    // ends in no stop.
    let end = rest.find([' ', '\'']).unwrap_or(rest.len());
    let found = rest.get(..end)?.trim_end_matches('.');
    let tail = rest.strip_prefix(found)?;
    if !ends_as(after, tail) {
        return None;
    }
    let ours = internal && is_internal_slug(found, &sent);
    Some(if ours {
        QuotedModel::Sent
    } else {
        QuotedModel::Other
    })
}

/// What serialisers write where a model id was lost.
const NO_MODEL: [&str; 4] = ["none", "null", "undefined", "nil"];

/// An upstream may name its own build of the model that was asked for: the id, then at least three
/// more parts, not a date.
fn is_internal_slug(found: &str, sent: &str) -> bool {
    let Some(rest) = found
        .strip_prefix(sent)
        .and_then(|rest| rest.strip_prefix('-'))
    else {
        return false;
    };
    let dated = rest
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-');
    rest.split('-').count() >= 3 && !dated
}

/// Whether `rest` is the template's end; the final stop is optional.
fn ends_as(template: &str, rest: &str) -> bool {
    if let Some(start) = template.strip_suffix("{any}") {
        return rest.starts_with(start);
    }
    rest.trim_end_matches('.') == template.trim_end_matches('.')
}

/// Whether a glob of texts and `*` covers the whole line. Linear in the product of both lengths at
/// worst; never recursive.
pub(super) fn glob_matches(glob: &str, line: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}
