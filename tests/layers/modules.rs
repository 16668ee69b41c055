//! Reads the modules of a crate and which file each of them takes something from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

/// Segments of a module's path below the crate's root; empty for the root itself.
pub(crate) type ModulePath = Vec<String>;

/// What is known of one module.
#[derive(Default)]
struct Module {
    file: PathBuf,
    children: BTreeSet<String>,
    /// Names that are passed on from elsewhere: `pub use a::B;`.
    passed_on: BTreeMap<String, Vec<String>>,
    /// `pub use a::*;`
    passed_on_whole: Vec<Vec<String>>,
    /// Names that are defined here.
    defined: BTreeSet<String>,
    /// Every path that the module names.
    named: BTreeSet<Vec<String>>,
}

/// A crate as a graph of files.
pub(crate) struct Crate {
    modules: BTreeMap<ModulePath, Module>,
    source: PathBuf,
    /// Macros with `#[macro_export]`, which are named from the root.
    macros: BTreeMap<String, ModulePath>,
}

impl Crate {
    /// Reads `src/lib.rs` and every module that it declares, without tests.
    pub(crate) fn read(source: &Path) -> Self {
        let mut read = Self {
            modules: BTreeMap::new(),
            source: source.to_owned(),
            macros: BTreeMap::new(),
        };
        read.read_file(&Vec::new(), &source.join("lib.rs"));
        read
    }

    fn read_file(&mut self, path: &ModulePath, file: &Path) {
        let text = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = file.file_name().and_then(|name| name.to_str());
        let below = match name {
            Some("lib.rs" | "main.rs") => file.parent().expect("a folder").to_owned(),
            _ => file.with_extension(""),
        };
        self.read_items(path, file, &below, &parsed.items);
    }

    fn read_items(&mut self, path: &ModulePath, file: &Path, below: &Path, items: &[Item]) {
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        let mut reader = Reader {
            module: &mut module,
            inner: Vec::new(),
            macros: Vec::new(),
        };
        for item in items {
            reader.visit_item(item);
        }
        let (inner, macros) = (reader.inner, reader.macros);
        for name in macros {
            self.macros.insert(name, path.clone());
        }
        self.modules.insert(path.clone(), module);
        for item in inner {
            let name = item.ident.to_string();
            let child = [path.clone(), vec![name.clone()]].concat();
            match &item.content {
                Some((_, items)) => self.read_items(&child, file, &below.join(&name), items),
                None => self.read_file(&child, &below.join(format!("{name}.rs"))),
            }
        }
    }

    /// Where a path that a module names leads to; `None` when it leaves the crate.
    fn resolve(&self, from: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let (mut at, rest) = match path.first().map(String::as_str)? {
            "crate" => (Vec::new(), path.get(1..)?),
            "self" => (from.clone(), path.get(1..)?),
            "super" => {
                let ups = path.iter().take_while(|word| *word == "super").count();
                let kept = from.len().checked_sub(ups)?;
                (from[..kept].to_vec(), &path[ups..])
            }
            first if self.modules[from].children.contains(first) => (from.clone(), path),
            _ => return None,
        };
        for (index, word) in rest.iter().enumerate() {
            let module = self.modules.get(&at)?;
            if module.children.contains(word) {
                at.push(word.clone());
                continue;
            }
            if depth < 8
                && let Some(target) = self.passed_on(&at, word, depth)
            {
                let tail = rest.get(index + 1..).unwrap_or_default();
                if tail.is_empty() || !self.modules.contains_key(&target) {
                    return Some(target);
                }
                let further = [vec!["self".to_owned()], tail.to_vec()].concat();
                return self.resolve(&target, &further, depth + 1);
            }
            if at.is_empty()
                && let Some(place) = self.macros.get(word)
            {
                return Some(place.clone());
            }
            break;
        }
        Some(at)
    }

    /// The module in which a name that `at` passes on is defined.
    fn passed_on(&self, at: &ModulePath, word: &str, depth: usize) -> Option<ModulePath> {
        let module = self.modules.get(at)?;
        if let Some(path) = module.passed_on.get(word) {
            return self.resolve(at, path, depth + 1);
        }
        if module.defined.contains(word) {
            return None;
        }
        module.passed_on_whole.iter().find_map(|path| {
            let target = self.resolve(at, path, depth + 1)?;
            let whole = self.modules.get(&target)?;
            if whole.defined.contains(word) {
                return Some(target);
            }
            self.passed_on(&target, word, depth + 1)
        })
    }

    /// Which module takes something from which other one.
    pub(crate) fn imports(&self) -> BTreeSet<(ModulePath, ModulePath)> {
        let mut found = BTreeSet::new();
        for (from, module) in &self.modules {
            for path in &module.named {
                if let Some(to) = self.resolve(from, path, 0)
                    && self
                        .modules
                        .get(&to)
                        .is_some_and(|to| to.file != module.file)
                {
                    found.insert((from.clone(), to));
                }
            }
        }
        found
    }

    /// Whether the crate's root declares this module.
    pub(crate) fn has_module(&self, name: &str) -> bool {
        self.modules[&Vec::new()].children.contains(name)
    }

    /// The file of a module, below the crate's source folder.
    pub(crate) fn file(&self, module: &ModulePath) -> String {
        let file = &self.modules[module].file;
        file.strip_prefix(&self.source)
            .unwrap_or(file)
            .display()
            .to_string()
    }
}

/// Gathers what one module names, and the modules that it declares.
struct Reader<'a> {
    module: &'a mut Module,
    inner: Vec<ItemMod>,
    macros: Vec<String>,
}

impl Reader<'_> {
    fn name_use(&mut self, tree: &UseTree, before: &[String], is_passed_on: bool) {
        let with = |word: String| [before.to_vec(), vec![word]].concat();
        match tree {
            UseTree::Path(path) => {
                self.name_use(&path.tree, &with(path.ident.to_string()), is_passed_on);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.name_use(tree, before, is_passed_on);
                }
            }
            UseTree::Name(name) => {
                let word = name.ident.to_string();
                let (path, shown) = if word == "self" {
                    (before.to_vec(), before.last().cloned().unwrap_or_default())
                } else {
                    (with(word.clone()), word)
                };
                self.name_path(path, &shown, is_passed_on);
            }
            UseTree::Rename(rename) => {
                let path = with(rename.ident.to_string());
                self.name_path(path, &rename.rename.to_string(), is_passed_on);
            }
            UseTree::Glob(_) => {
                if is_passed_on {
                    self.module.passed_on_whole.push(before.to_vec());
                }
                self.module.named.insert(before.to_vec());
            }
        }
    }

    fn name_path(&mut self, path: Vec<String>, shown: &str, is_passed_on: bool) {
        if is_passed_on {
            self.module.passed_on.insert(shown.to_owned(), path.clone());
        }
        self.module.named.insert(path);
    }

    /// Paths inside macros, which the parser leaves as tokens.
    fn name_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_path(&mut path);
                    }
                    colons = 0;
                    path.push(ident.to_string());
                }
                TokenTree::Group(group) => {
                    self.end_path(&mut path);
                    colons = 0;
                    self.name_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end_path(&mut path);
                    colons = 0;
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<String>) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.module.named.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        if let Some(name) = defined(item) {
            self.module.defined.insert(name);
        }
        if let Item::Macro(item) = item
            && let Some(name) = &item.ident
            && item
                .attrs
                .iter()
                .any(|it| it.path().is_ident("macro_export"))
        {
            self.macros.push(name.to_string());
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.children.insert(item.ident.to_string());
        self.inner.push(item.clone());
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_passed_on = !matches!(item.vis, Visibility::Inherited);
        self.name_use(&item.tree, &[], is_passed_on);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        if words.len() > 1 && path.leading_colon.is_none() {
            self.module.named.insert(words);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let words: Vec<String> = item
            .path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        self.module.named.insert(words);
        self.name_tokens(item.tokens.clone());
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::Type(it) => &it.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg")
            && it
                .parse_args::<syn::Ident>()
                .is_ok_and(|word| word == "test")
    })
}
