use super::*;
use proptest::prelude::*;

fn frames(chunks: &[&[u8]]) -> (Vec<Frame>, Option<Frame>, Repairs) {
    let mut splitter = Splitter::new(1 << 20);
    let mut out = Vec::new();
    for chunk in chunks {
        splitter
            .push(Bytes::copy_from_slice(chunk), &mut out)
            .unwrap();
    }
    let rest = splitter.finish();
    (out, rest, splitter.repairs())
}

fn raws(text: &[u8]) -> Vec<String> {
    frames(&[text])
        .0
        .into_iter()
        .map(|f| String::from_utf8(f.raw.to_vec()).unwrap())
        .collect()
}

#[test]
fn events_end_at_blank_lines_of_any_kind() {
    for (text, expected) in [
        ("data: a\n\ndata: b\n\n", vec!["data: a\n\n", "data: b\n\n"]),
        (
            "data: a\r\n\r\ndata: b\r\n\r\n",
            vec!["data: a\r\n\r\n", "data: b\r\n\r\n"],
        ),
        ("data: a\r\rdata: b\r\r", vec!["data: a\n\n", "data: b\n\n"]),
        (
            "data: a\r\n\ndata: b\n\r\nx",
            vec!["data: a\r\n\n", "data: b\n\r\n"],
        ),
        (
            "data: a\r\r\ndata: b\n\n",
            vec!["data: a\n\n", "data: b\n\n"],
        ),
        (": c\n\n\ndata: b\n\n", vec![": c\n\n", "\n", "data: b\n\n"]),
        ("\u{feff}data: a\n\n", vec!["data: a\n\n"]),
        ("data: \u{feff}\n\n", vec!["data: \u{feff}\n\n"]),
    ] {
        assert_eq!(raws(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn defects_are_repaired_and_counted() {
    let (out, rest, repairs) = frames(&[
        b"\xEF\xBB",
        b"\xBFdata: a\n\ndata: b\r\rdata: \xF0\x9F",
        b"x\n\ndata: \xC3",
        b"\xA9\n\n",
    ]);
    assert_eq!(
        out.iter().map(|f| f.is_repaired).collect::<Vec<_>>(),
        [true, true, true, false]
    );
    assert_eq!(out[2].raw, "data: \u{fffd}x\n\n");
    assert_eq!(out[3].raw, "data: é\n\n");
    assert_eq!(rest, None);
    assert_eq!(
        repairs,
        Repairs {
            bom: 1,
            lone_cr: 1,
            bad_utf8: 1,
            ..Repairs::default()
        }
    );
}

#[test]
fn an_event_with_lone_carriage_returns_is_not_held_back() {
    let mut splitter = Splitter::new(100);
    let mut out = Vec::new();
    splitter
        .push(Bytes::from_static(b"data: a\r\r"), &mut out)
        .unwrap();
    assert_eq!(out.len(), 1);
    splitter
        .push(Bytes::from_static(b"\ndata: b\r\r"), &mut out)
        .unwrap();
    assert_eq!(
        out.iter().map(|f| f.raw.clone()).collect::<Vec<_>>(),
        ["data: a\n\n", "data: b\n\n"]
    );
    assert_eq!(splitter.finish(), None);
}

#[test]
fn what_is_left_at_the_end_is_handed_out_unless_blank() {
    assert_eq!(frames(&[b"data: a\n\ndata: b"]).1.unwrap().raw, "data: b");
    assert_eq!(
        frames(&[b"data: a\n\ndata: b\r"]).1.unwrap().raw,
        "data: b\n"
    );
    assert_eq!(frames(&[b"data: a\n\n \r\n"]).1, None);
    assert_eq!(frames(&[b"\xEF\xBB"]).1.unwrap().raw, "\u{fffd}");
    assert_eq!(frames(&[b""]).1, None);
}

#[test]
fn an_event_over_the_limit_is_refused_and_holds_no_memory() {
    for chunk in [1, 7, 64] {
        let mut splitter = Splitter::new(20);
        let text = b"data: ok\n\ndata: 0123456789abcdef\n\ndata: ok\n\n";
        let mut out = Vec::new();
        let results: Vec<_> = text
            .chunks(chunk)
            .map(|c| splitter.push(Bytes::copy_from_slice(c), &mut out))
            .collect();
        assert_eq!(results.last(), Some(&Err(EventTooLarge { limit: 20 })));
        assert_eq!(out.len(), 1);
        assert_eq!(splitter.buffered(), 0);
    }
}

#[test]
fn an_event_that_lies_in_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\r\n\r\n");
    let mut out = Vec::new();
    Splitter::new(100).push(chunk.clone(), &mut out).unwrap();
    assert_eq!(out[0].raw.as_ptr(), chunk.as_ptr());
    assert_eq!(out[1].raw.as_ptr(), chunk.slice(9..).as_ptr());
}

#[test]
fn fields_are_read_as_the_standard_says() {
    let frame = |raw: &str| Frame {
        raw: Bytes::copy_from_slice(raw.as_bytes()),
        is_repaired: false,
    };
    for (raw, data, name) in [
        ("event: x\ndata: {}\n\n", Some("{}"), Some("x")),
        ("event:x\ndata:{}\n\n", Some("{}"), Some("x")),
        ("data:  a\r\ndata\r\ndata: b\r\n\r\n", Some(" a\n\nb"), None),
        (": comment\n\n", None, None),
        ("datax: 1\n\n", None, None),
        ("data: é", Some("é"), None),
    ] {
        let frame = frame(raw);
        assert_eq!(frame.data().as_deref(), data.map(str::as_bytes), "{raw:?}");
        assert_eq!(frame.event_name(), name, "{raw:?}");
    }
}

#[test]
fn data_can_be_replaced_without_touching_other_lines() {
    for (raw, expected) in [
        (
            "event: x\ndata: {}\nid: 1\n\n",
            "event: x\ndata: N\nid: 1\n\n",
        ),
        ("data:{}\r\n\r\n", "data:N\r\n\r\n"),
        ("data: {\ndata: }\n\n", "data: N\n\n"),
        ("data\n\n", "data: N\n\n"),
    ] {
        assert_eq!(replace_data(raw.as_bytes(), b"N"), expected);
    }
    assert_eq!(
        replace_data(b"data: x\n\n", b"a\nb"),
        "data: a\ndata: b\n\n"
    );
}

#[test]
fn the_type_is_found_wherever_it_stands() {
    for (data, expected) in [
        (r#"{"type":"a.b","x":1}"#, Some("a.b")),
        (r#" { "x":{"type":"no"}, "type" : "a" }"#, Some("a")),
        (r#"{"type":"a\u002eb"}"#, Some("a.b")),
        (r#"{"x":1}"#, None),
        (r#"{"type":1}"#, None),
        ("[DONE]", None),
        ("", None),
        (r#"{"type":"a"#, None),
    ] {
        assert_eq!(event_type(data.as_bytes()).as_deref(), expected, "{data}");
    }
}

#[test]
fn event_streams_are_told_from_json() {
    for text in [
        "data: {",
        "event: x",
        "\n\n: hi",
        "\u{feff}id: 1",
        "retry: 5",
    ] {
        assert!(looks_like_sse(text.as_bytes()), "{text}");
    }
    for text in ["", "{\"data:\":1}", "<html>", "datum"] {
        assert!(!looks_like_sse(text.as_bytes()), "{text}");
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let bit = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"data: {}".to_vec()),
        Just(b"event: x".to_vec()),
        Just("é漢🦀".as_bytes().to_vec()),
        Just(b"\xEF\xBB\xBF".to_vec()),
        Just(b"\xEF".to_vec()),
        Just(b"\xF0\x9F".to_vec()),
        Just(b": c".to_vec()),
    ];
    prop::collection::vec(bit, 0..24).prop_map(|bits| bits.concat())
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(0);
    cuts.push(bytes.len());
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(text in stream(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        prop_assert_eq!(frames(&cut(&text, &cuts)), frames(&[&text]));
    }

    #[test]
    fn sound_streams_pass_byte_for_byte(events in prop::collection::vec("(event: [a-z]{1,4}\r?\n)?data: ?[a-zé漢{}\" ]{0,20}\r?\n\r?\n", 0..6), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let text = events.concat();
        let (out, rest, repairs) = frames(&cut(text.as_bytes(), &cuts));
        prop_assert_eq!(out.iter().map(|f| String::from_utf8(f.raw.to_vec()).unwrap()).collect::<Vec<_>>(), events);
        prop_assert_eq!(rest, None);
        prop_assert!(repairs.is_empty());
    }
}
