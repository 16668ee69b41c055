use super::*;
use proptest::prelude::*;

fn tool(namespace: Option<&str>, name: &str) -> ToolRef {
    ToolRef {
        kind: ToolKind::Function,
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    }
}

#[test]
fn plain_names_stay_and_namespaces_are_joined() {
    let mut map = ToolMap::default();
    assert_eq!(map.add(tool(None, "exec_command")), "exec_command");
    assert_eq!(map.add(tool(Some("functions"), "exec")), "exec");
    assert_eq!(map.add(tool(Some("mcp.git"), "log")), "mcp_git__log");
    assert_eq!(
        map.chat_name(None, "exec"),
        Some("exec"),
        "the default namespace may be left out"
    );
    assert_eq!(
        map.tool_of("mcp_git__log").namespace.as_deref(),
        Some("mcp.git")
    );
    assert_eq!(map.tool_of("functions.exec").name, "exec");
    assert_eq!(
        map.tool_of("log").namespace.as_deref(),
        Some("mcp.git"),
        "the only tool of that name"
    );
    assert_eq!(*map.tool_of("invented"), tool(None, "invented"));
}

#[test]
fn a_taken_name_gets_a_stable_mark() {
    let mut map = ToolMap::default();
    map.add(tool(None, "a_b"));
    let marked = map.add(tool(None, "a.b"));
    assert_ne!(marked, "a_b");
    assert_eq!(map.tool_of(&marked).name, "a.b");
    let mut again = ToolMap::default();
    again.add(tool(None, "a_b"));
    assert_eq!(again.add(tool(None, "a.b")), marked);
}

proptest! {
    #[test]
    fn every_tool_has_a_valid_unique_name_that_leads_back(
        tools in prop::collection::vec((prop::option::of("[a-c._é]{0,40}"), "[a-c._é]{1,80}"), 0..30)
    ) {
        let mut map = ToolMap::default();
        for (namespace, name) in &tools {
            map.add(tool(namespace.as_deref(), name));
        }
        for (namespace, name) in &tools {
            let chat = map.chat_name(namespace.as_deref(), name).unwrap();
            prop_assert!((1..=64).contains(&chat.len()));
            prop_assert!(chat.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            let found = map.tool_of(chat);
            prop_assert_eq!((&found.namespace, &found.name), (namespace, name));
        }
    }
}
