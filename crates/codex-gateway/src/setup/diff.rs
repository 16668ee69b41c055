//! The lines in which two texts differ, as a person reads them.

/// Most pairs of lines that are compared; beyond it, everything in between counts as changed.
const MOST_PAIRS: usize = 16 << 20;

/// The changed lines alone, each with `-` or `+`, under the number of the first of them. Nothing of
/// the rest is shown: it may hold credentials.
pub fn changed_lines(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old.iter().rev().zip(new.iter().rev());
    let tail = tail.take_while(|(a, b)| a == b).count();
    let tail = tail.min(old.len().min(new.len()) - head);
    let middle = |lines: &[&'_ str]| -> Vec<String> {
        let end = lines.len() - tail;
        lines
            .get(head..end)
            .unwrap_or_default()
            .iter()
            .map(|line| (*line).to_owned())
            .collect()
    };
    let (old, new) = (middle(&old), middle(&new));
    let mut text = String::new();
    let mut is_open = false;
    let mut line = head;
    for step in steps(&old, &new) {
        let (sign, content) = match &step {
            LineStep::Same => {
                is_open = false;
                line += 1;
                continue;
            }
            LineStep::Removed(content) => ('-', content),
            LineStep::Added(content) => ('+', content),
        };
        if !is_open {
            text.extend(["@@ line ", &(line + 1).to_string(), " @@\n"]);
            is_open = true;
        }
        text.extend([String::from(sign).as_str(), content, "\n"]);
        if sign == '+' {
            line += 1;
        }
    }
    text
}

enum LineStep<'l> {
    Same,
    Removed(&'l str),
    Added(&'l str),
}

/// From one text to the other by the longest common subsequence of lines.
fn steps<'l>(old: &'l [String], new: &'l [String]) -> Vec<LineStep<'l>> {
    let removed = |line: &'l String| LineStep::Removed(line);
    let added = |line: &'l String| LineStep::Added(line);
    if old.len().saturating_mul(new.len()) > MOST_PAIRS {
        return old
            .iter()
            .map(removed)
            .chain(new.iter().map(added))
            .collect();
    }
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, left) in old.iter().enumerate().rev() {
        for (j, right) in new.iter().enumerate().rev() {
            let value = if left == right {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = value;
            }
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(left), Some(right)) if left == right => {
                found.push(LineStep::Same);
                (i, j) = (i + 1, j + 1);
            }
            (Some(left), right)
                if right.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) =>
            {
                found.push(removed(left));
                i += 1;
            }
            (_, Some(right)) => {
                found.push(added(right));
                j += 1;
            }
            (_, None) => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_lines_are_shown_with_their_numbers() {
        let old = "a\nsecret\nb\nc\n";
        let new = "x\na\nsecret\nB\nc\n\n[t]\nk = 1\n";
        let expected = "@@ line 1 @@\n+x\n@@ line 4 @@\n-b\n+B\n@@ line 6 @@\n+\n+[t]\n+k = 1\n";
        assert_eq!(changed_lines(old, new), expected);
        assert_eq!(changed_lines(old, old), "");
        assert_eq!(changed_lines("", "a\n"), "@@ line 1 @@\n+a\n");
        assert_eq!(changed_lines("a\n", ""), "@@ line 1 @@\n-a\n");
    }
}
