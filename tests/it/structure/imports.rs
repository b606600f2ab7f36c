//! Which files of a crate import which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{
    Attribute, Item, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

use super::sources;

/// A module by its path from the crate's root; the root itself is empty.
type Module = Vec<String>;
/// Which files and folders of a folder import which others.
pub(super) type Edges = BTreeMap<String, BTreeSet<String>>;

/// The modules of a crate that are files, and what each names of the others.
pub(super) struct Imports {
    files: BTreeMap<Module, File>,
}

/// What a file defines and names.
#[derive(Default)]
struct File {
    /// Names of the items it defines.
    items: BTreeSet<String>,
    /// Names that it exports of other modules, with their paths there.
    exports: BTreeMap<String, Module>,
    /// Modules of which it exports everything.
    globs: Vec<Module>,
    /// Paths that it uses, from the root.
    uses: Vec<Module>,
}

impl Imports {
    /// Reads the sources of a crate. Code of tests is left out.
    pub(super) fn read(root: &Path) -> Self {
        let paths = sources(root);
        let modules: BTreeSet<Module> = paths.iter().map(|path| module(root, path)).collect();
        let files = paths.iter().map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let code = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut reader = Reader { module: module(root, path), modules: &modules, file: File::default() };
            reader.visit_file(&code);
            (reader.module, reader.file)
        });
        Self { files: files.collect() }
    }

    /// Every folder with what its files and folders import of each other, by the folder's path.
    pub(super) fn folders(&self) -> BTreeMap<String, Edges> {
        let mut found: BTreeMap<String, Edges> = BTreeMap::new();
        for module in self.files.keys() {
            for other in self.of(module) {
                let depth = module.iter().zip(&other).take_while(|(one, other)| one == other).count();
                if let (Some(from), Some(to)) = (module.get(depth), other.get(depth)) {
                    let edges = found.entry(module[..depth].join("/")).or_default();
                    edges.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        found
    }

    /// The modules that a file imports.
    fn of(&self, module: &Module) -> BTreeSet<Module> {
        let uses = &self.files[module].uses;
        uses.iter().map(|path| self.defining(path)).filter(|other| other != module).collect()
    }

    /// The file that defines what a path names: exports are followed.
    fn defining(&self, path: &[String]) -> Module {
        let mut at = Module::new();
        for (i, name) in path.iter().enumerate() {
            let file = &self.files[&at];
            let child = [at.clone(), vec![name.clone()]].concat();
            // A function may have the name of a module beside it.
            let is_item = i + 1 == path.len() && file.items.contains(name);
            if self.files.contains_key(&child) && !is_item {
                at = child;
            } else if let Some(export) = file.exports.get(name).filter(|export| **export != path) {
                return self.defining(&[export, &path[i + 1..]].concat());
            } else {
                let of_glob = file
                    .globs
                    .iter()
                    .find(|glob| self.files.get(*glob).is_some_and(|file| file.items.contains(name)));
                return of_glob.cloned().unwrap_or(at);
            }
        }
        at
    }
}

/// `a::b` for `a/b.rs` and `a/b/mod.rs`.
fn module(root: &Path, path: &Path) -> Module {
    let below = path.strip_prefix(root).unwrap().with_extension("");
    let mut module: Module = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

struct Reader<'a> {
    module: Module,
    modules: &'a BTreeSet<Module>,
    file: File,
}

impl Reader<'_> {
    /// A path from the root; `None` if it leads out of the crate.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ => {
                let child = [self.module.clone(), vec![first.clone()]].concat();
                return self.modules.contains(&child).then(|| [child, rest.to_vec()].concat());
            }
        };
        for name in rest {
            if name == "super" {
                base.pop()?;
            } else {
                base.push(name.clone());
            }
        }
        Some(base)
    }

    fn import(&mut self, tree: &UseTree, before: &[String], is_export: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        let (path, alias) = match tree {
            UseTree::Path(path) => return self.import(&path.tree, &with(&path.ident), is_export),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, before, is_export));
            }
            UseTree::Glob(_) => {
                let Some(path) = self.absolute(before) else { return };
                if is_export {
                    self.file.globs.push(path.clone());
                }
                return self.file.uses.push(path);
            }
            UseTree::Name(name) if name.ident == "self" => (before.to_vec(), None),
            UseTree::Name(name) => (with(&name.ident), None),
            UseTree::Rename(name) if name.ident == "self" => (before.to_vec(), Some(&name.rename)),
            UseTree::Rename(name) => (with(&name.ident), Some(&name.rename)),
        };
        let Some(path) = self.absolute(&path) else { return };
        if is_export {
            let name = alias.map(ToString::to_string).or_else(|| path.last().cloned());
            self.file.exports.extend(name.map(|name| (name, path.clone())));
        }
        self.file.uses.push(path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name): (&[Attribute], _) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Mod(item) => (&item.attrs, None),
            Item::Impl(item) => (&item.attrs, None),
            Item::Use(item) => (&item.attrs, None),
            _ => (&[], None),
        };
        let is_test = attributes.iter().any(|attribute| {
            matches!(&attribute.meta, syn::Meta::List(list)
                if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
        });
        if !is_test {
            self.file.items.extend(name.map(ToString::to_string));
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.file.uses.extend(self.absolute(&names));
        }
        visit::visit_path(self, path);
    }
}
