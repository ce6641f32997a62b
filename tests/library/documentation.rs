//! The documentation agrees with the program.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use std::fs;
use std::path::{Path, PathBuf};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap()
}

/// Appends the text of all source files.
fn append_sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            append_sources(&path, text);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The sources, with each string on one line, as the program prints it.
fn sources() -> String {
    let mut text = String::new();
    append_sources(&repository("src"), &mut text);
    append_sources(&repository("crates"), &mut text);
    let mut joined = String::new();
    for (index, part) in text.split("\\\n").enumerate() {
        joined.push_str(if index > 0 { part.trim_start() } else { part });
    }
    joined
}

#[test]
fn messages_on_the_troubleshooting_page_exist() {
    let (page, sources) = (read("docs/troubleshooting.md"), sources());
    let messages = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let mut count = 0;
    for (message, advice) in messages {
        count += 1;
        assert!(advice.len() > 10, "{message}: no advice");
        for part in message.split('…').map(str::trim).filter(|part| !part.is_empty()) {
            assert!(sources.contains(part), "{message}\nnot in the sources: {part}");
        }
    }
    assert!(count > 40, "{count} messages");
}

/// The targets of links to pages and pictures exist.
#[test]
fn targets_of_links_exist() {
    let pages = ["README.md", "GLOSSARY.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];
    let mut pages: Vec<PathBuf> = pages.map(PathBuf::from).to_vec();
    let docs = fs::read_dir(repository("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    pages.extend(docs.map(|name| Path::new("docs").join(name)));
    pages.retain(|page| page.extension().is_some_and(|suffix| suffix == "md"));
    for page in pages {
        let text = read(page.to_str().unwrap());
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets.filter(|(target, _)| !target.contains("://")) {
            let file = target.split('#').next().unwrap_or_default();
            let path = repository("").join(&page).with_file_name(file);
            assert!(file.is_empty() || path.exists(), "{}: {target} does not exist", page.display());
        }
    }
}

/// Cargo does not discover tests here, so one that is not listed would never run.
#[test]
fn every_test_file_belongs_to_a_program() {
    let manifest = read("Cargo.toml");
    for entry in fs::read_dir(repository("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|suffix| suffix == "rs") {
            assert!(manifest.contains(&format!("\"tests/{name}.rs\"")), "{name} is not in Cargo.toml");
        }
        let Ok(main) = fs::read_to_string(path.join("main.rs")) else { continue };
        assert!(manifest.contains(&format!("\"tests/{name}/main.rs\"")), "{name} is not in Cargo.toml");
        for module in fs::read_dir(&path).unwrap() {
            let module = module.unwrap().path();
            if module.extension().is_none_or(|suffix| suffix != "rs") {
                continue;
            }
            // Modules shared by others have no tests.
            let has_trials = fs::read_to_string(&module).is_ok_and(|text| text.contains("pub fn trials()"));
            let module = module.file_stem().unwrap().to_str().unwrap();
            let is_named = module == "main" || main.contains(&format!("\nmod {module};"));
            assert!(is_named, "{module} is not in the main.rs of {name}");
            let is_run = name == "library" || !has_trials || main.contains(&format!("{module}::trials()"));
            assert!(is_run, "main of {name} does not run {module}");
        }
    }
}
