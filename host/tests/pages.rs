//! The pages that people read: every command in them exists, with its options, and every link leads to a file and a
//! heading that are there.

#![cfg(test)]
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold what others wrote or what was made.
const NOT_OURS: &[&str] = &["target", ".git", "node_modules", ".venv", ".terraform"];

/// A page's path and text.
struct Page {
    path: PathBuf,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    assert!(found.len() > 15, "only {} pages were found", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<Page>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            collect(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Page { path, text });
        }
    }
}

impl Page {
    fn name(&self) -> String {
        let path = self.path.strip_prefix(root()).unwrap();
        path.display().to_string()
    }

    /// Its code: the lines of blocks, with continued ones joined, and the spans of the text.
    fn code(&self) -> Vec<String> {
        let mut code = Vec::new();
        for (at, part) in self.text.split("```").enumerate() {
            if at % 2 == 1 {
                let block = part.replace("\\\n", " ");
                code.extend(block.lines().skip(1).map(str::to_owned));
            } else {
                let spans = part.split('`').skip(1).step_by(2);
                code.extend(spans.map(|span| span.replace('\n', " ")));
            }
        }
        code
    }

    /// Its commands: what a line of code does one after the other, each as words.
    fn commands(&self) -> Vec<Vec<String>> {
        let mut commands = Vec::new();
        for line in self.code() {
            let line = line.split(" #").next().unwrap_or_default();
            let line = line.trim_start_matches("$ ").replace("&&", ";");
            let parts = line.split([';', '|', '&']);
            commands.extend(parts.map(words).filter(|words| !words.is_empty()));
        }
        commands
    }

    /// Where its links to other pages and files lead.
    fn links(&self) -> Vec<String> {
        let links = self.text.split("](").skip(1);
        links
            .filter_map(|rest| rest.split_once(')'))
            .map(|(link, _)| link.to_owned())
            .filter(|link| !link.contains("://"))
            .collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| anchor(line.trim_start_matches('#')))
            .collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        .collect()
}

/// The words of a command up to where its output goes, a placeholder `<…>` as one word, without the brackets around what
/// may be left out.
fn words(command: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = command;
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        plain.push_str(if before.ends_with('@') { "1.0.0" } else { "x" });
        rest = after.split_once('>').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    let words = plain.split('>').next().unwrap_or_default();
    let words = words.split_whitespace();
    words
        .map(|word| word.trim_matches(['[', ']', '"', '\'', '…', ',', '(', ')']))
        .filter(|word| !word.is_empty())
        .skip_while(|word| word.contains('=') && !word.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_of_the_pages_is_one_that_this_executable_has() {
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for page in pages() {
        for command in page.commands() {
            let is_ours = |word: &String| word == "hodoscope" || word.ends_with("/hodoscope");
            if !command.first().is_some_and(is_ours) || command.len() < 2 {
                continue;
            }
            let arguments: Vec<String> = command.into_iter().skip(1).collect();
            if !seen.insert(arguments.clone()) {
                continue;
            }
            // The help of a command is shown when all words before it are known.
            let output = Command::new(env!("CARGO_BIN_EXE_hodoscope"))
                .args(&arguments)
                .arg("--help")
                .output()
                .unwrap();
            if !output.status.success() {
                let told = String::from_utf8_lossy(&output.stderr);
                let told = told.lines().next().unwrap_or_default().to_owned();
                let said = arguments.join(" ");
                faults.push(format!("{}: `hodoscope {said}`: {told}", page.name()));
            }
        }
    }
    assert!(seen.len() > 50, "only {} commands were found", seen.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_word_of_make_and_every_script_of_the_pages_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', ' ', '#', '.']))
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target.trim())
        .collect();
    let mut checked = 0;
    let mut faults = Vec::new();
    for page in pages() {
        for command in page.commands() {
            let Some((program, arguments)) = command.split_first() else {
                continue;
            };
            if program == "make" {
                for word in arguments.iter().filter(|word| !word.contains('=')) {
                    checked += 1;
                    if !targets.contains(word.as_str()) {
                        faults.push(format!("{}: `make {word}`", page.name()));
                    }
                }
            }
            let room = [
                "verify/",
                "terraform/",
                "argocd/",
                "helm/",
                "host/",
                "image/",
            ];
            if arguments.is_empty() || !room.iter().any(|room| program.starts_with(room)) {
                continue;
            }
            checked += 1;
            if !root().join(program).exists() {
                faults.push(format!("{}: `{program}` is no file", page.name()));
            }
        }
    }
    assert!(checked > 10, "only {checked} were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_link_of_the_pages_leads_to_a_file_and_a_heading() {
    let pages = pages();
    let mut checked = 0;
    let mut faults = Vec::new();
    for page in &pages {
        for link in page.links() {
            checked += 1;
            let (target, heading) = link.split_once('#').unwrap_or((&link, ""));
            let path = match target {
                "" => page.path.clone(),
                target => page.path.parent().unwrap().join(target),
            };
            let Ok(path) = path.canonicalize() else {
                faults.push(format!("{}: {link} is no file", page.name()));
                continue;
            };
            let other = pages
                .iter()
                .find(|other| other.path.canonicalize().is_ok_and(|other| other == path));
            let known = |other: &Page| heading.is_empty() || other.anchors().contains(heading);
            if other.is_some_and(|other| !known(other)) {
                faults.push(format!("{}: {link} is no heading", page.name()));
            }
        }
    }
    assert!(checked > 30, "only {checked} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
