//! Lays rows out in columns for a terminal. Measures characters, not bytes; never cuts anything
//! off.

/// On which side a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows under a head.
pub(super) struct Table {
    head: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(head: Vec<(String, Side)>) -> Self {
        Self {
            head,
            rows: Vec::new(),
        }
    }

    /// A table with these columns, all aligned left.
    pub(super) fn left(titles: &[&str]) -> Self {
        let column = |title: &&str| ((*title).to_owned(), Side::Left);
        Self::new(titles.iter().map(column).collect())
    }

    /// Adds a row; cells that are missing are empty. Clients and upstreams choose some of the
    /// texts, so control characters, which a terminal would obey, are made visible.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        let shown = cells.into_iter().map(|cell| {
            if cell.chars().any(char::is_control) {
                cell.replace(char::is_control, "\u{fffd}")
            } else {
                cell
            }
        });
        self.rows.push(shown.collect());
    }

    /// The text: head, a rule, rows.
    pub(super) fn render(&self) -> String {
        let widths: Vec<usize> = self
            .head
            .iter()
            .enumerate()
            .map(|(column, (title, _))| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .chain([title])
                    .map(|text| width(text))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let titles: Vec<String> = self.head.iter().map(|(title, _)| title.clone()).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        [&titles, &rule]
            .into_iter()
            .chain(&self.rows)
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, ((_, side), wanted)) in self.head.iter().zip(widths).enumerate() {
            let text = row.get(column).map_or("", String::as_str);
            let pad = " ".repeat(wanted.saturating_sub(width(text)));
            match side {
                Side::Left => line.extend([text, &pad]),
                Side::Right => line.extend([pad.as_str(), text]),
            }
            line.push_str("  ");
        }
        format!("{}\n", line.trim_end())
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(vec![
            ("model".to_owned(), Side::Left),
            ("n".to_owned(), Side::Right),
            ("x".to_owned(), Side::Left),
        ]);
        table.row(vec!["gpt-5.5".to_owned(), "7".to_owned(), "é".to_owned()]);
        table.row(vec!["a\u{1b}".to_owned(), "1200".to_owned()]);
        let expected =
            "model       n  x\n-------  ----  -\ngpt-5.5     7  é\na\u{fffd}       1200\n";
        assert_eq!(table.render(), expected);
    }
}
