//! How the files of a crate depend on each other: in one direction, and by names that say what they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    slice,
};

use anyhow::Context;
use syn::{Item, ItemMod, ItemUse, UseTree, Visibility, visit::Visit};

/// A crate, with its top-level modules in order: a module may import those before it.
pub(super) struct Crate {
    pub(super) folder: &'static str,
    pub(super) order: &'static [&'static str],
}

/// One source file, as far as its imports and declarations go. Code for tests is left out.
#[derive(Default)]
struct File {
    /// Paths of this crate that it names, from the crate's root.
    imports: BTreeSet<Vec<String>>,
    types: Vec<String>,
    functions: Vec<String>,
    /// Its child modules that are for tests only.
    for_tests: Vec<String>,
}

/// What breaks the rules in one crate.
pub(super) fn faults(root: &Path, one: &Crate) -> anyhow::Result<Vec<String>> {
    let source = root.join(one.folder).join("src");
    let mut files = BTreeMap::new();
    read_folder(&source, &[], &mut files)?;
    let for_tests: Vec<Vec<String>> = files
        .iter()
        .flat_map(|(module, file)| {
            file.for_tests.iter().map(|child| [module, slice::from_ref(child)].concat())
        })
        .collect();
    files.retain(|module, _| !for_tests.iter().any(|tests| module.starts_with(tests)));
    let mut faults = order(one, &files);
    faults.extend(rings(&files));
    faults.extend(doubles(&files));
    faults.extend(super::words::retired(
        one.folder,
        files.iter().flat_map(|(module, file)| {
            let path = module.join("/");
            let names = file.types.iter().chain(&file.functions).chain(module.last());
            names.map(move |name| (path.clone(), name.clone()))
        }),
    ));
    Ok(faults.into_iter().map(|fault| format!("{}: {fault}", one.folder)).collect())
}

fn read_folder(
    folder: &Path,
    module: &[String],
    files: &mut BTreeMap<Vec<String>, File>,
) -> anyhow::Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?
    {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if stem == "tests" || stem == "bin" {
            continue;
        }
        let mut own = module.to_vec();
        own.push(stem.to_owned());
        if path.is_dir() {
            read_folder(&path, &own, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // The crate's roots import what they publish.
            if module.is_empty() && matches!(stem, "lib" | "main") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let parsed = syn::parse_file(&text)
                .with_context(|| format!("could not parse {}", path.display()))?;
            let mut file = Reader { module: &own, file: File::default() };
            file.visit_file(&parsed);
            files.insert(own.clone(), file.file);
        }
    }
    Ok(())
}

struct Reader<'a> {
    module: &'a [String],
    file: File,
}

impl Reader<'_> {
    /// Takes a path that begins with `crate`, `super` or `self`.
    fn import(&mut self, path: &[String]) {
        let mut rest = path;
        let mut base = match rest.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("super" | "self") => self.module.to_vec(),
            _ => return,
        };
        while let Some(word @ ("crate" | "super" | "self")) = rest.first().map(String::as_str) {
            if word == "super" {
                base.pop();
            }
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        self.file.imports.insert(base);
    }

    fn use_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.use_tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) => self.import(&with(name.ident.to_string())),
            UseTree::Rename(name) => self.import(&with(name.ident.to_string())),
            UseTree::Glob(_) => self.import(before),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.use_tree(tree, before));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            _ => &Vec::new(),
        };
        let for_tests = |attribute: &syn::Attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
        };
        if attributes.iter().any(for_tests) {
            if let Item::Mod(module) = item {
                self.file.for_tests.push(module.ident.to_string());
            }
            return;
        }
        match item {
            Item::Struct(item) => self.file.types.push(item.ident.to_string()),
            Item::Enum(item) => self.file.types.push(item.ident.to_string()),
            Item::Trait(item) => self.file.types.push(item.ident.to_string()),
            Item::Type(item) => self.file.types.push(item.ident.to_string()),
            _ => {}
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.file.functions.push(signature.ident.to_string());
        syn::visit::visit_signature(self, signature);
    }

    // What a module publishes of its children it does not use itself.
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if matches!(item.vis, Visibility::Inherited) {
            self.use_tree(&item.tree, &[]);
        }
    }

    // A module within the file would need its own base for `super`.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if words.len() > 1 {
            self.import(&words);
        }
        syn::visit::visit_path(self, path);
    }
}

/// Imports against the crate's order, and by the names that its root publishes.
fn order(one: &Crate, files: &BTreeMap<Vec<String>, File>) -> Vec<String> {
    let place = |module: &str| one.order.iter().position(|known| *known == module);
    let mut faults = Vec::new();
    let unknown: BTreeSet<_> = files.keys().filter(|path| place(&path[0]).is_none()).collect();
    faults.extend(unknown.iter().map(|path| format!("the order has no module `{}`", path[0])));
    for (module, file) in files {
        for import in &file.imports {
            let Some(target) = import.first() else { continue };
            if target.starts_with(char::is_uppercase) {
                faults.push(format!(
                    "{} imports crate::{target}: name the module that it is in",
                    module.join("::")
                ));
            } else if let (Some(own), Some(other)) = (place(&module[0]), place(target))
                && other > own
            {
                faults.push(format!(
                    "{} imports {}, which is above it",
                    module.join("::"),
                    import.join("::")
                ));
            }
        }
    }
    faults
}

/// Files that import each other, directly or by way of others.
fn rings(files: &BTreeMap<Vec<String>, File>) -> Vec<String> {
    let edges: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> = files
        .iter()
        .map(|(module, file)| {
            let targets = file.imports.iter().filter_map(|path| {
                let file = (1..=path.len()).rev().find_map(|length| {
                    files.get_key_value(&path[..length]).map(|(found, _)| found)
                });
                file.filter(|found| *found != module)
            });
            (module, targets.collect())
        })
        .collect();
    // Few enough files for the plain way: who can be reached from whom.
    let reached = |from: &Vec<String>| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<_> = edges[from].iter().copied().collect();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(edges[module].iter().copied());
            }
        }
        seen
    };
    let all: BTreeMap<_, _> = edges.keys().map(|module| (*module, reached(module))).collect();
    let mut rings = BTreeSet::new();
    for (module, reach) in &all {
        if reach.contains(module) {
            let ring: Vec<_> = reach
                .iter()
                .filter(|other| all[**other].contains(module))
                .map(|other| other.join("::"))
                .collect();
            rings.insert(ring);
        }
    }
    rings.iter().map(|ring| format!("a ring of imports: {}", ring.join(", "))).collect()
}

/// Types of one name in several files.
fn doubles(files: &BTreeMap<Vec<String>, File>) -> Vec<String> {
    /// One of each for every tool.
    const SAME_FOR_ALL: [&str; 3] = ["Args", "Output", "Tool"];
    let mut declared: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (module, file) in files {
        for name in &file.types {
            declared.entry(name).or_default().insert(module.join("::"));
        }
    }
    declared
        .into_iter()
        .filter(|(name, places)| places.len() > 1 && !SAME_FOR_ALL.contains(name))
        .map(|(name, places)| {
            let places: Vec<_> = places.into_iter().collect();
            format!("type {name} is declared in {}: one name for one thing", places.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files by their modules, with these contents.
    fn files(sources: &[(&str, &str)]) -> BTreeMap<Vec<String>, File> {
        let read = |(module, source): &(&str, &str)| {
            let module: Vec<String> = module.split("::").map(str::to_owned).collect();
            let mut reader = Reader { module: &module, file: File::default() };
            reader.visit_file(&syn::parse_file(source).unwrap());
            let file = reader.file;
            (module, file)
        };
        sources.iter().map(read).collect()
    }

    const TWO: Crate = Crate { folder: "x", order: &["low", "high"] };

    #[test]
    fn an_import_of_a_higher_module_is_found_however_it_is_written() {
        for source in [
            "use crate::high::A;",
            "use crate::{high::A, low::B};",
            "use super::high;",
            "fn f() { crate::high::g(); }",
            "fn f(_: super::high::A) {}",
        ] {
            let found = order(&TWO, &files(&[("low", source), ("high", "use crate::low::B;")]));
            assert_eq!(found.len(), 1, "{source}: {found:?}");
        }
    }

    #[test]
    fn imports_downwards_of_other_crates_and_in_tests_are_fine() {
        for source in [
            "use crate::low::B;",
            "use serde::high::A;",
            "use self::child::C;",
            "#[cfg(test)] mod tests { use crate::above::X; }",
        ] {
            let found = order(&TWO, &files(&[("high", source), ("low", "")]));
            assert!(found.is_empty(), "{source}: {found:?}");
        }
    }

    #[test]
    fn an_import_by_the_crates_root_is_found() {
        assert_eq!(order(&TWO, &files(&[("low", "use crate::Thing;")])).len(), 1);
    }

    #[test]
    fn a_module_that_the_order_lacks_is_found() {
        assert_eq!(order(&TWO, &files(&[("other", "")])).len(), 1);
    }

    #[test]
    fn a_ring_of_files_is_found_once_and_a_facade_is_none() {
        let ring =
            [("a", "use crate::b::X;"), ("b", "use crate::c::X;"), ("c", "use super::a::X;")];
        assert_eq!(rings(&files(&ring)), ["a ring of imports: a, b, c"]);
        let facade = [("a", "pub use self::b::X;"), ("a::b", "use super::Y;")];
        assert!(rings(&files(&facade)).is_empty());
    }

    #[test]
    fn a_type_that_two_files_declare_is_found() {
        let two = [
            ("a", "struct Run;"),
            ("b", "enum Run {}"),
            ("c", "struct Args;"),
            ("d", "struct Args;"),
        ];
        assert_eq!(doubles(&files(&two)).len(), 1);
    }
}
