use super::*;

#[derive(Deserialize)]
struct File {
    words: StringList,
}

#[test]
fn one_word_or_many_each_with_its_place() {
    for (text, expected) in [
        ("words = \"a\"", vec![("a", "\"a\"")]),
        ("words = [ \"a\", 'b' ]", vec![("a", "\"a\""), ("b", "'b'")]),
        ("words = []", vec![]),
    ] {
        let file: File = toml::from_str(text).unwrap();
        let found: Vec<(&str, &str)> = file
            .words
            .iter()
            .map(|word| (word.get_ref().as_str(), text.get(word.span()).unwrap()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn anything_else_is_an_error_that_says_what_is_wanted() {
    for text in ["words = 1", "words = [1]", "words = { a = 1 }"] {
        let error = toml::from_str::<File>(text).err().unwrap().to_string();
        assert!(error.contains("string"), "{error}");
    }
}
