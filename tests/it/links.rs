//! Every link of the documentation that stays inside the repository leads somewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
    process::Command,
};

/// Files of the repository by their path from its root.
type Files = BTreeMap<PathBuf, String>;

/// The Markdown files that git knows or would add.
fn documents() -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "*.md"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let read = |path: &str| Some((PathBuf::from(path), std::fs::read_to_string(root.join(path)).ok()?));
    listed.lines().filter_map(read).collect()
}

/// The links of all documents that lead nowhere, as `document: target`. `exists` says whether there is a file or folder
/// at a path.
fn broken(documents: &Files, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for (document, text) in documents {
        for target in targets(text) {
            if !leads_somewhere(documents, document, &target, &exists) {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    broken
}

fn leads_somewhere(
    documents: &Files,
    document: &Path,
    target: &str,
    exists: &impl Fn(&Path) -> bool,
) -> bool {
    // Other sites are not asked, because tests use no network. Paths of items and `function()` are checked by rustdoc.
    let item = target.contains("::") || target.ends_with('(');
    if item || target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = (if path.is_empty() { Some(document.to_owned()) } else { joined(document, path) })
    else {
        return false;
    };
    if !exists(&path) {
        return false;
    }
    anchor.is_empty() || documents.get(&path).is_none_or(|text| anchors(text).contains(anchor))
}

/// A path as a document names it, from the repository's root. `None` for what is outside.
fn joined(document: &Path, path: &str) -> Option<PathBuf> {
    let mut joined = document.parent()?.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => joined.push(name),
            Component::ParentDir => joined.pop().then_some(())?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(joined)
}

/// The text without what is code: in fences and between backticks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// The targets of `[text](target)`, `[text](target "title")` and `[label]: target`.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let defined =
        prose.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, target)| target);
    let first =
        |target: &str| target.split_whitespace().next().map(|word| word.trim_matches(['<', '>']).to_owned());
    inline.chain(defined).filter_map(first).collect()
}

/// The anchors of the headings, as GitHub makes them: lower case, without punctuation, with hyphens, the second of a
/// name with `-1`.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut times = BTreeMap::<String, usize>::new();
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if fenced || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = |c: char| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        };
        let name: String = heading.trim().to_lowercase().chars().filter_map(kept).collect();
        let nth = times.entry(name.clone()).or_default();
        anchors.insert(if *nth == 0 { name.clone() } else { format!("{name}-{nth}") });
        *nth += 1;
    }
    anchors
}

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    let documents = documents();
    assert!(documents.contains_key(Path::new("README.md")) && documents.len() >= 7, "{:?}", documents.keys());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let broken = broken(&documents, |path| root.join(path).exists());
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn what_leads_nowhere_is_found() {
    let guide = "\
# Two words, and `code`
## Again
## Again
```text
# not a heading
[not a link](nowhere.md)
```
[ours](#two-words-and-code) [second](#again-1) [code](#not-a-heading) [third](#again-2)
[up](../README.md#top) [up](../README.md#bottom \"title\") [folder](../docs) [out](../../etc)
[`Item`](crate::Item) [`call`](call()) [site](https://example.com/missing) `[code](missing.md)` [absent](absent.md)
[label]: <missing.md>
";
    let documents: Files =
        [("README.md".into(), "# Top\n".into()), ("docs/guide.md".into(), guide.into())].into();
    let there = |path: &Path| documents.contains_key(path) || path == Path::new("docs");
    assert_eq!(
        broken(&documents, there),
        [
            "docs/guide.md: #not-a-heading",
            "docs/guide.md: #again-2",
            "docs/guide.md: ../README.md#bottom",
            "docs/guide.md: ../../etc",
            "docs/guide.md: absent.md",
            "docs/guide.md: missing.md",
        ]
    );
}
