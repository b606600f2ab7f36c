//! The README's table of guarantees is made from the tests that prove them: `// Proves: stored, limits.` above a test puts it into
//! these rows. `UPDATE_README=1 cargo test -p ml-connector-tests --test it guarantees` writes the table.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ml_connector_core::engine::Settings;

use super::workspace;

/// What holds, in the order of the table, by the word that tests say.
const GENERAL: [(&str, &str); 19] = [
    ("stored", "A webhook is stored before it is answered, and survives kills and power failures"),
    ("refused", "What cannot be stored is asked for again"),
    ("nothing_lost", "Nothing is lost, doubled or overtaken, whatever goes wrong"),
    ("posted_once", "A message is posted once, also when its answer is lost or a paused process wakes"),
    ("decided_once", "A document is approved or posted once, as it was shown, and every click is answered"),
    ("order", "Changes of one record reach one channel in their order"),
    (
        "duplicates",
        "A webhook that comes again is told once. Where it has a number of its own (Slack, Business Central) it is known for as \
         long as its entry is kept, {days} days unless the host says otherwise; elsewhere its record has not changed",
    ),
    ("hosts", "Several hosts settle everything once"),
    ("limits", "Limits are kept, also after a kill"),
    ("outages", "An outage kills nothing and is told once"),
    ("no_writes", "A log that takes no writes stops reads and sends"),
    ("fair", "A system that hangs delays no other"),
    ("baseline", "A new connection tells nothing about the past"),
    ("clock", "A clock that is hours off loses nothing"),
    ("ahead", "A clock that was ahead stops nothing"),
    ("tokens", "Refresh tokens survive kills"),
    ("tables", "Tables equal the books"),
    ("chain", "A row that was changed, removed, added or moved behind the log's back is found"),
    ("secrets", "No secret and no record in logs, errors or `Debug`; none in an encrypted store"),
];
/// What holds for single systems.
const EACH: [(&str, &str); 3] = [
    (
        "source",
        "every behavior that the suite asks of a source, from refused tokens to forged and repeated webhooks",
    ),
    ("sink", "every behavior that the suite asks of a sink, from refused tokens to answers that get lost"),
    ("limits", "its limits are kept"),
];
const SYSTEMS: [(&str, &str, &[&str]); 6] = [
    ("zoho", "Zoho Books", &["source", "limits"]),
    ("freshbooks", "FreshBooks", &["source", "limits"]),
    ("exact", "Exact Online", &["source", "limits"]),
    ("bc", "Business Central", &["source", "sink", "limits"]),
    ("slack", "Slack", &["sink", "limits"]),
    ("databricks", "Databricks", &["sink", "limits"]),
];

const HEAD: &str = "| what holds | the tests that fail without it |\n|---|---|\n";
const BEFORE: &str = "### Which tests prove it\n\n";
const AFTER: &str = "\n## License";

#[test]
fn the_readme_promises_what_tests_prove() {
    let (path, table) = (workspace().join("README.md"), table(&proofs()));
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEFORE).unwrap();
    let (promised, after) = rest.split_once(AFTER).unwrap();
    if promised != table && std::env::var_os("UPDATE_README").is_some() {
        fs::write(path, [before, BEFORE, &table, AFTER, after].concat()).unwrap();
        return;
    }
    assert!(promised == table, "the README's table is not what tests prove, which is:\n{table}");
}

/// Every row, with the tests of which each is named after its file.
fn table(proofs: &BTreeMap<String, Vec<(String, String)>>) -> String {
    let days = Settings::default().retention.expect("a default").as_secs() / (24 * 3600);
    let general = GENERAL.map(|(id, what)| (id.to_owned(), what.replace("{days}", &days.to_string())));
    let each = SYSTEMS.iter().flat_map(|(system, name, holds)| {
        let each = EACH.iter().filter(|(id, _)| holds.contains(id));
        each.map(move |(id, what)| (format!("{id}_of_{system}"), format!("{name}: {what}")))
    });
    let rows: Vec<(String, String)> = general.into_iter().chain(each).collect();
    let unknown: Vec<&String> = proofs.keys().filter(|id| rows.iter().all(|(row, _)| row != *id)).collect();
    assert!(unknown.is_empty(), "tests prove what is no row: {unknown:?}");
    let mut table = HEAD.to_owned();
    for (id, what) in rows {
        let tests = proofs.get(&id).unwrap_or_else(|| panic!("no test proves {id}: {what}"));
        let (mut file, mut shown) = ("", Vec::new());
        for (of, name) in tests {
            shown.push(if of == file { format!("`{name}`") } else { format!("`{of}` `{name}`") });
            file = of;
        }
        table += &format!("| {what} | {} |\n", shown.join(", "));
    }
    table
}

/// What each test of the workspace says that it proves: file and name, whole systems first.
fn proofs() -> BTreeMap<String, Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(workspace()).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        if name == "tests" || name.starts_with("ml-connector-") {
            files.extend(every_source(&folder));
        }
    }
    let named = |path: &Path| path.strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned();
    files.sort_by_key(|path| (!named(path).starts_with("tests/"), path.clone()));
    let mut proofs: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for path in files {
        let code = fs::read_to_string(&path).unwrap();
        let mut lines = code.lines().map(str::trim);
        while let Some(line) = lines.next() {
            let Some(ids) = line.strip_prefix("// Proves: ") else { continue };
            let (mut is_test, mut is_ignored) = (false, false);
            let name = loop {
                let line =
                    lines.next().unwrap_or_else(|| panic!("{}: {ids} stands above no test", path.display()));
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                is_ignored |= line.starts_with("#[ignore");
                if let Some((_, function)) = line.split_once("fn ") {
                    break function.split_once('(').unwrap().0;
                }
            };
            assert!(is_test && !is_ignored, "{}: {name} is no test that runs", path.display());
            for id in ids.trim_end_matches('.').split(", ") {
                proofs.entry(id.to_owned()).or_default().push((named(&path), name.to_owned()));
            }
        }
    }
    proofs
}

/// Rust files below a folder, tests among them.
fn every_source(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { every_source(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}
