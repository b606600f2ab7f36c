//! Whose types stand in our public interface: a new major version of those crates is one of ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use syn::{
    Fields, ImplItem, Item, ItemImpl, Signature, TraitItem, Type, UseTree, Visibility,
    visit::{self, Visit},
};

use super::{sources, workspace};

/// Each crate that users build, and the others' crates whose types and traits it shows, in their order.
const SHOWN: [(&str, &[&str]); 9] = [
    ("ml-connector-core", &["bytes", "futures_util", "http", "rust_decimal", "serde", "serde_json", "url"]),
    ("ml-connector-sql", &["deadpool_postgres"]),
    ("ml-connector-zoho", &["url"]),
    ("ml-connector-freshbooks", &["url"]),
    ("ml-connector-exact", &["url"]),
    ("ml-connector-bc", &[]),
    ("ml-connector-slack", &["url"]),
    ("ml-connector-databricks", &[]),
    ("ml-connector-console", &["http"]),
];

#[test]
fn public_interfaces_show_the_types_of_few_other_crates() {
    let differ = SHOWN.iter().filter_map(|(name, shown)| {
        let found = shown_by(name);
        let is_as_expected = found.keys().eq(shown.iter());
        (!is_as_expected).then_some((name, found))
    });
    let differ: BTreeMap<_, _> = differ.collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

/// The crates that a crate shows, with an item for each.
fn shown_by(name: &str) -> BTreeMap<String, String> {
    let manifest = fs::read_to_string(workspace().join(name).join("Cargo.toml")).unwrap();
    let dependencies = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let dependencies = dependencies.take_while(|line| !line.starts_with('['));
    let others: BTreeSet<String> = dependencies
        .filter_map(|line| line.split(['.', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#') && !name.starts_with("ml-connector"))
        .map(|name| name.replace('-', "_"))
        .collect();
    let mut found = BTreeMap::new();
    for path in sources(&workspace().join(name).join("src")) {
        let code = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
        // A module of ours may be called like another crate.
        let modules = code.items.iter().filter_map(|item| match item {
            Item::Mod(item) => Some(item.ident.to_string()),
            _ => None,
        });
        let modules: BTreeSet<String> = modules.collect();
        let others = others.difference(&modules).cloned().collect();
        let mut reader =
            Reader { others: &others, names: BTreeMap::new(), found: &mut found, item: String::new() };
        for item in &code.items {
            if let Item::Use(item) = item {
                reader.import(&item.tree, None);
            }
        }
        code.items.iter().for_each(|item| reader.item(item));
    }
    found
}

struct Reader<'a> {
    others: &'a BTreeSet<String>,
    /// Names in this file, with the crate that they come from.
    names: BTreeMap<String, String>,
    found: &'a mut BTreeMap<String, String>,
    /// What is looked at.
    item: String,
}

impl Reader<'_> {
    fn import(&mut self, tree: &UseTree, from: Option<&str>) {
        let known = |name: &syn::Ident| {
            from.map(ToOwned::to_owned).or_else(|| self.others.get(&name.to_string()).cloned())
        };
        match tree {
            UseTree::Path(path) => {
                let from = known(&path.ident).unwrap_or_else(|| "ours".to_owned());
                self.import(&path.tree, Some(&from));
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, from)),
            UseTree::Name(name) => {
                let of = known(&name.ident);
                self.names.extend(of.map(|of| (name.ident.to_string(), of)));
            }
            UseTree::Rename(name) => {
                let of = known(&name.ident);
                self.names.extend(of.map(|of| (name.rename.to_string(), of)));
            }
            UseTree::Glob(_) => {}
        }
    }

    /// Whatever is `pub` can be reached: a lint of the workspace sees to that.
    fn item(&mut self, item: &Item) {
        match item {
            Item::Fn(item) if is_public(&item.vis) => self.signature(&item.sig),
            Item::Struct(item) if is_public(&item.vis) => {
                self.item = item.ident.to_string();
                self.visit_generics(&item.generics);
                self.fields(&item.fields, false);
            }
            Item::Enum(item) if is_public(&item.vis) => {
                self.item = item.ident.to_string();
                item.variants.iter().for_each(|variant| self.fields(&variant.fields, true));
            }
            Item::Trait(item) if is_public(&item.vis) => {
                self.item = item.ident.to_string();
                item.supertraits.iter().for_each(|bound| self.visit_type_param_bound(bound));
                for method in &item.items {
                    match method {
                        TraitItem::Fn(method) => self.signature(&method.sig),
                        TraitItem::Type(of) => {
                            of.bounds.iter().for_each(|bound| self.visit_type_param_bound(bound));
                        }
                        _ => {}
                    }
                }
            }
            Item::Type(item) if is_public(&item.vis) => self.visit_type(&item.ty),
            Item::Const(item) if is_public(&item.vis) => self.visit_type(&item.ty),
            Item::Use(item) if is_public(&item.vis) => self.export(&item.tree),
            Item::Impl(item) => self.block(item),
            _ => {}
        }
    }

    /// An export of another's item shows its crate.
    fn export(&mut self, tree: &UseTree) {
        if let UseTree::Path(path) = tree
            && let Some(of) = self.others.get(&path.ident.to_string())
        {
            self.found.insert(of.clone(), "an export".to_owned());
        }
    }

    fn block(&mut self, block: &ItemImpl) {
        if let Type::Path(of) = &*block.self_ty {
            self.item = of.path.segments.last().unwrap().ident.to_string();
        }
        for item in &block.items {
            match item {
                ImplItem::Fn(item) if is_public(&item.vis) => self.signature(&item.sig),
                ImplItem::Const(item) if is_public(&item.vis) => self.visit_type(&item.ty),
                _ => {}
            }
        }
    }

    fn signature(&mut self, signature: &Signature) {
        let of = std::mem::take(&mut self.item);
        self.item = format!("{of}::{}", signature.ident);
        self.visit_generics(&signature.generics);
        signature.inputs.iter().for_each(|input| self.visit_fn_arg(input));
        self.visit_return_type(&signature.output);
        self.item = of;
    }

    fn fields(&mut self, fields: &Fields, of_enum: bool) {
        for field in fields.iter().filter(|field| of_enum || is_public(&field.vis)) {
            self.visit_type(&field.ty);
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let first = path.segments[0].ident.to_string();
        let of =
            self.names.get(&first).or_else(|| self.others.get(&first).filter(|_| path.segments.len() > 1));
        if let Some(of) = of.filter(|of| *of != "ours") {
            self.found.entry(of.clone()).or_insert_with(|| self.item.clone());
        }
        visit::visit_path(self, path);
    }
}
