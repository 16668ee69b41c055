//! Files that import each other, directly or around.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::Crate;

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Every group of files of which each reaches each other one, with the imports that tie it.
pub(crate) fn circles(parsed: &Crate) -> Vec<String> {
    let mut graph = Graph::new();
    for (from, to) in parsed.imports() {
        let (from, to) = (parsed.file(&from), parsed.file(&to));
        graph.entry(from).or_default().insert(to);
    }
    let reach: Graph = graph
        .keys()
        .map(|file| (file.clone(), reached(&graph, file)))
        .collect();
    let is_around = |a: &String, b: &String| {
        let from_a = reach.get(a).is_some_and(|files| files.contains(b));
        from_a && reach.get(b).is_some_and(|files| files.contains(a))
    };
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for file in graph.keys() {
        let group: Vec<&String> = graph
            .keys()
            .filter(|other| is_around(file, other))
            .collect();
        if group.len() < 2 || !seen.insert(group.clone()) {
            continue;
        }
        let ties = group.iter().flat_map(|from| {
            let targets = graph[*from].iter().filter(|to| group.contains(to));
            targets.map(move |to| format!("  {from} -> {to}"))
        });
        let ties: Vec<String> = ties.collect();
        found.push(format!(
            "{} files import each other\n{}",
            group.len(),
            ties.join("\n")
        ));
    }
    found
}

fn reached(graph: &Graph, start: &String) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flatten() {
            if found.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found
}
