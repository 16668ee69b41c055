use super::*;

fn path(dotted: &str) -> Vec<String> {
    dotted.split('.').map(str::to_owned).collect()
}

fn set(dotted: &str, value: &str) -> Change {
    Change::Set {
        path: path(dotted),
        value: value.to_owned(),
        was: None,
    }
}

fn table(dotted: &str) -> Change {
    Change::Table {
        path: path(dotted),
        values: vec![
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "\"x\"".to_owned()),
        ],
    }
}

#[test]
fn a_new_root_key_is_the_first_line_that_may_be_one() {
    for (before, after) in [
        ("", "k = 1\n"),
        ("[t]\na = 1\n", "k = 1\n[t]\na = 1\n"),
        ("# mine\nz = 1", "k = 1\n# mine\nz = 1"),
        ("\u{feff}z = 1\r\n", "\u{feff}k = 1\r\nz = 1\r\n"),
        ("#:schema x\nz = 1\n", "#:schema x\nk = 1\nz = 1\n"),
        ("#:schema x", "#:schema x\nk = 1"),
    ] {
        let changes = [set("k", "1")];
        let changed = apply(before, &changes).unwrap();
        assert_eq!(changed, after, "{before:?}");
        assert_eq!(values(&changed).unwrap()["k"].as_integer(), Some(1));
    }
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    for (before, after) in [
        (
            "a=1 # c\nt.k   =  'old'  # why\n",
            "a=1 # c\nt.k   =  2  # why\n",
        ),
        ("[t]\r\nk = \"\"\"a\r\nb\"\"\"\r\n", "[t]\r\nk = 2\r\n"),
        ("t = { k = 'x', z = 1 }\n", "t = { k = 2, z = 1 }\n"),
        ("\u{feff}[t]\nk = []", "\u{feff}[t]\nk = 2"),
        ("[ t ] # here\nz = 1\n", "[ t ] # here\nk = 2\nz = 1\n"),
    ] {
        assert_eq!(apply(before, &[set("t.k", "2")]).unwrap(), after);
    }
}

#[test]
fn a_form_that_cannot_take_the_line_is_refused() {
    for (text, change) in [
        ("t = { a = 1 }\n", table("t.new")),
        ("t.a.b = 1\n", set("t.k", "1")),
        ("t = 1\n", set("t.k", "1")),
        ("[[t]]\na = 1\n", table("t")),
    ] {
        let error = apply(text, std::slice::from_ref(&change)).unwrap_err();
        assert!(matches!(error, EditError::Form(_)), "{text}: {error}");
    }
    for text in ["a = ", "a = 1\na = 2\n", "[t]\n[t]\n", "a = \"half"] {
        let error = apply(text, &[set("k", "1")]).unwrap_err();
        assert!(matches!(error, EditError::Syntax(_)), "{text}: {error}");
    }
}

#[test]
fn what_was_written_goes_again_and_nothing_else_does() {
    let before = "#:schema x\n# c\nk = 'old'\n[t]\nz = 1\n";
    let changes = [
        Change::Set {
            path: path("k"),
            value: "2".to_owned(),
            was: Some("'old'".to_owned()),
        },
        set("new", "true"),
        table("p.q"),
    ];
    let changed = apply(before, &changes).unwrap();
    // Codex writes into the same file.
    let later = changed.clone() + "\n[projects.\"/x\"]\ntrust_level = \"trusted\"\n";
    let undone = undo(&later, &changes).unwrap();
    let expected = before.to_owned() + "\n[projects.\"/x\"]\ntrust_level = \"trusted\"\n";
    assert_eq!(undone.text, expected);
    assert_eq!(undone.left, Vec::<String>::new());
    assert_eq!(undone.done.len(), 5, "{:?}", undone.done);
    assert_eq!(undo(&changed, &changes).unwrap().text, before);
}

#[test]
fn what_was_changed_since_stays_and_is_said() {
    let changes = [set("k", "1"), table("t")];
    let changed = apply("", &changes).unwrap();
    let later = changed
        .replace("k = 1", "k = 7")
        .replace("a = 1\n", "a = 1 # mine\nc = 3\n");
    let undone = undo(&later, &changes).unwrap();
    assert_eq!(undone.text, "k = 7\n\n[t]\nc = 3\n");
    assert_eq!(
        undone.left,
        ["`[t]`: it has other lines", "`k`: it was changed since"]
    );
}
