//! Checks before publishing: the version, the packages, the workflows.

use std::fs;
use std::process::Command;

use libtest_mimic::Trial;

use crate::common::{Need, output, repository, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("versions_agree", &[], versions_agree),
        trial(
            "a_tag_needs_the_address_and_a_finished_changelog",
            &[],
            a_tag_needs_the_address_and_a_changelog,
        ),
        trial("the_documents_install_the_python_package", &[], the_documents_install_the_python_package),
        trial("the_package_has_what_it_needs_and_no_test_data", &[], the_package_has_what_it_needs),
        trial("workflows_are_accepted", &[Need::Program("actionlint")], workflows_are_accepted),
        trial("the_citation_is_valid", &[Need::Program("cffconvert")], the_citation_is_valid),
    ]
}

fn versions_agree() {
    let check = |tag: &str| {
        let mut check = Command::new(repository("scripts/check-release.sh"));
        check.arg(tag).output().unwrap()
    };
    let version = format!("version={}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(check("").stdout).unwrap(), version);
    let refused = check("v0.0.1");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("the tag is v0.0.1"));
    let notes = output(Command::new(repository("scripts/release-notes.sh")).arg(env!("CARGO_PKG_VERSION")));
    assert!(notes.contains("`holistic`"), "{notes}");
}

/// The first step of docs/publishing.md, and what is refused before it or after half of it.
fn a_tag_needs_the_address_and_a_changelog() {
    const CHANGELOG: &str = "CHANGELOG.md";
    let folder = tempfile::tempdir().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    fs::create_dir(folder.path().join("scripts")).unwrap();
    for file in ["Cargo.toml", "CITATION.cff", CHANGELOG, "scripts/check-release.sh"] {
        fs::copy(repository(file), folder.path().join(file)).unwrap();
    }
    let text = fs::read_to_string(folder.path().join(CHANGELOG)).unwrap();
    let section = text.find(&format!("## {version}, ")).expect("check-release.sh wants it");
    let finished = format!("# Changelog\n\n## Unreleased\n\n{}", &text[section..]);
    fs::write(folder.path().join(CHANGELOG), &finished).unwrap();
    let check = || {
        let mut check = Command::new(folder.path().join("scripts/check-release.sh"));
        let output = check.arg(format!("v{version}")).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let replace = |command: &str| output(Command::new("sh").args(["-c", command]).current_dir(folder.path()));

    let page = fs::read_to_string(repository("docs/publishing.md")).unwrap();
    let command = page.lines().map(str::trim).find(|line| line.starts_with("sed -i ")).unwrap();
    if fs::read_to_string(folder.path().join("Cargo.toml")).unwrap().contains("github.com/OWNER/") {
        assert!(check().1.contains("is not filled in"), "{:?}", check());
        replace(command.strip_suffix(" CITATION.cff").unwrap());
        assert!(check().1.contains("disagree"), "{:?}", check());
    }
    replace(command);
    assert_eq!(check(), (true, String::new()));

    let unfinished = finished.replace("## Unreleased\n", "## Unreleased\n\n* Something new.\n");
    fs::write(folder.path().join(CHANGELOG), unfinished).unwrap();
    assert!(check().1.contains("has changes under"), "{:?}", check());
}

/// What a newcomer types first must not install a stranger's package.
fn the_documents_install_the_python_package() {
    let project = fs::read_to_string(repository("crates/oppose-python/pyproject.toml")).unwrap();
    let name = project.lines().find_map(|line| line.strip_prefix("name = ")).unwrap().trim_matches('"');
    for page in ["README.md", "docs/python.md", "crates/oppose-python/README.md"] {
        let text = fs::read_to_string(repository(page)).unwrap();
        assert!(text.contains(&format!("```sh\npip install {name}\n")), "{page}");
    }
    let install = ["README.md", "docs", "src", "crates", "CHANGELOG.md"];
    let mut search = Command::new("git");
    search.args(["grep", "-hoE", "pip install( --[a-z-]+)* oppose[a-z-]*"]).args(install);
    for command in output(search.current_dir(repository(""))).lines() {
        assert!(command.ends_with(&format!(" {name}")), "{command}");
    }
}

fn the_package_has_what_it_needs() {
    let mut list = Command::new(env!("CARGO"));
    list.args(["package", "--list", "--allow-dirty", "--offline", "--package", "oppose"]);
    let files = output(list.current_dir(repository("")));
    let files: Vec<&str> = files.lines().collect();
    for needed in
        ["src/main.rs", "build.rs", "ffi/openpose_shim.h", "ffi/version.rs", "docs/troubleshooting.md"]
    {
        assert!(files.contains(&needed), "{needed} is not in the package");
    }
    assert!(
        !files.iter().any(
            |file| file.starts_with("tests/") || file.starts_with(".") && *file != ".cargo_vcs_info.json"
        )
    );
    // Cargo generates some of the files, which therefore do not exist here.
    let sizes = files.iter().filter_map(|file| fs::metadata(repository(file)).ok()).map(|found| found.len());
    let bytes: u64 = sizes.sum();
    assert!(bytes < 3_000_000, "{bytes} bytes");
}

fn workflows_are_accepted() {
    output(Command::new("actionlint").current_dir(repository("")));
}

fn the_citation_is_valid() {
    output(Command::new("cffconvert").args(["--validate", "-i"]).arg(repository("CITATION.cff")));
}
