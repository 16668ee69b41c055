//! `docs/errors.md` has the rows of the one table of errors, in its order.

use codex_gateway::error::ErrorCode;

const PAGE: &str = include_str!("../../../../docs/errors.md");

#[test]
fn the_table_of_errors_is_the_programs_own() {
    let documented: Vec<String> = PAGE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).skip(1).take(4).collect();
            cells.join(" ")
        })
        .collect();
    let real: Vec<String> = ErrorCode::ALL
        .into_iter()
        .map(|code| {
            let row = code.row();
            let later = row
                .retry_after
                .map_or_else(String::new, |seconds| format!("{seconds} s"));
            format!(
                "`{}` {} `{}` {later}",
                row.code,
                row.status.as_u16(),
                row.kind
            )
        })
        .collect();
    assert_eq!(documented, real);
}

#[test]
fn every_row_says_when_and_what_a_person_sees() {
    for line in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        assert!(
            cells.len() == 6 && cells[4].len() > 10 && cells[5].len() > 3,
            "{line}"
        );
    }
}
