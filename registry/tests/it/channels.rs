//! Channel folders as kubelets and editors leave them.

use std::fs;
use std::path::Path;

use hodoscope_registry::channels::{ChannelError, edit, read_folder};
use hodoscope_release::{DetectorName, Digest, Pin};

fn name(text: &str) -> DetectorName {
    text.parse().unwrap()
}

fn pin(version: &str) -> Pin {
    Pin {
        version: version.parse().unwrap(),
        digest: Digest::of(version.as_bytes()),
    }
}

fn promote(folder: &Path, detector: &str, version: &str) {
    let detector = name(detector);
    edit(folder, &detector, |document| {
        document.promote(&detector, pin(version));
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_edited_folder_reads_back() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("channels/local");
    promote(&folder, "pump", "1.0.0");
    promote(&folder, "pump", "1.1.0");
    promote(&folder, "valve", "2.0.0");
    let document = read_folder(&folder).unwrap();
    assert_eq!(document.detectors[&name("pump")].active, pin("1.1.0"));
    assert_eq!(
        document.detectors[&name("pump")].previous,
        Some(pin("1.0.0"))
    );
    assert_eq!(document.detectors[&name("valve")].active, pin("2.0.0"));
    let text = fs::read_to_string(folder.join("pump.yaml")).unwrap();
    let digests = ["1.1.0", "1.0.0"].map(|version| Digest::of(version.as_bytes()));
    assert_eq!(
        text,
        format!(
            "# Owned by `hodoscope promote`, `rollback` and `retire`; comments and layout are not kept.\n\
             detectors:\n  pump:\n    active:\n      version: \"1.1.0\"\n      digest: {}\n    previous:\n      \
             version: \"1.0.0\"\n      digest: {}\n",
            digests[0], digests[1]
        )
    );
}

#[test]
fn tells_an_absent_channel_from_a_broken_one() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("none");
    assert!(matches!(
        read_folder(&folder),
        Err(ChannelError::NoFolder { .. })
    ));
    fs::create_dir(&folder).unwrap();
    assert!(matches!(
        read_folder(&folder),
        Err(ChannelError::NoDocument { .. })
    ));
    fs::write(folder.join("pump.yaml"), "").unwrap();
    assert!(matches!(
        read_folder(&folder),
        Err(ChannelError::Empty { .. })
    ));
}

const SOUND: &str = "detectors:\n  pump:\n    active:\n      version: 1.0.0\n      digest: sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";

/// Writes `text` to `file` in a fresh folder and gives the error's text, with the folder's name left out.
fn refusal(file: &str, text: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(file), text).unwrap();
    let error = read_folder(home.path()).unwrap_err().to_string();
    error.replace(&format!("{}/", home.path().display()), "")
}

#[test]
fn names_the_file_and_the_line_of_what_it_refuses() {
    let with = |more: &str| format!("{SOUND}{more}");
    let cases = [
        (
            "pump.yaml",
            with("    actve: {}\n"),
            "pump.yaml:6: unknown field `actve`",
        ),
        (
            "pump.yaml",
            SOUND.replace("sha256:ba", "sha256:xx"),
            "is not a digest",
        ),
        ("pump.yaml", SOUND.replace("1.0.0", "1.0"), "pump.yaml:4"),
        (
            "pump.yaml",
            SOUND.replace("pump", "Pump"),
            "`Pump` is not a name",
        ),
        (
            "pump.yaml",
            with("  pump:\n    retired: true\n"),
            "pump.yaml:6",
        ),
        (
            "pump.yaml",
            SOUND.replace("    active", "\tactive"),
            "pump.yaml:3",
        ),
        ("pump.yaml", SOUND.trim_end().to_owned(), "half written"),
        ("pump.yaml", "# nothing yet\n".to_owned(), "pump.yaml"),
        ("pump.yaml", "detectors:\n".to_owned(), "pump.yaml"),
        ("pump.yaml", "- a\n".to_owned(), "pump.yaml:1"),
        ("pump.yml", SOUND.to_owned(), "name it `<detector>.yaml`"),
        ("pump.json", "{}".to_owned(), "name it `<detector>.yaml`"),
        ("_channel.yaml", "nme: a\n".to_owned(), "_channel.yaml:1"),
        ("channel.json", "\n".to_owned(), "channel.json is empty"),
        (
            "channel.json",
            "{\"detectors\":\n{}".to_owned(),
            "channel.json:2: EOF",
        ),
        (
            "channel.json",
            "{\"detectors\":{},\n\"extra\":1}".to_owned(),
            "channel.json:2: unknown field `extra`",
        ),
        (
            "channel.json",
            "{\"detectors\":{}} {}".to_owned(),
            "channel.json:1: trailing",
        ),
    ];
    for (file, text, expected) in cases {
        let error = refusal(file, &text);
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let twice = "{\"detectors\":{\"a\":{\"active\":PIN},\n\"a\":{\"active\":PIN}}}"
        .replace("PIN", &serde_json::to_string(&pin("1.0.0")).unwrap());
    assert_eq!(
        refusal("channel.json", &twice),
        "channel.json:2: detector `a` is named twice"
    );
    let percent = SOUND.lines().skip(3).collect::<Vec<_>>().join("\n");
    let canary = format!("{SOUND}    canary:\n{percent}\n      percent: 101\n");
    assert_eq!(
        refusal("pump.yaml", &canary),
        "pump.yaml: canary of `pump` has percent 101; use 0 to 100"
    );
}

#[test]
fn refuses_a_detector_in_two_files_and_both_layouts_and_too_much() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.yaml"), SOUND).unwrap();
    fs::write(home.path().join("b.yaml"), SOUND).unwrap();
    let error = read_folder(home.path()).unwrap_err();
    assert!(matches!(error, ChannelError::Duplicate { .. }), "{error}");
    fs::write(home.path().join("channel.json"), "{\"detectors\":{}}").unwrap();
    let error = read_folder(home.path()).unwrap_err();
    assert!(matches!(error, ChannelError::BothLayouts { .. }), "{error}");
    fs::remove_file(home.path().join("channel.json")).unwrap();
    fs::write(
        home.path().join("b.yaml"),
        format!("#{}\n", "x".repeat(1 << 20)),
    )
    .unwrap();
    let error = read_folder(home.path()).unwrap_err();
    assert!(matches!(error, ChannelError::TooLarge { .. }), "{error}");
}

#[test]
fn a_file_with_the_channel_s_name_holds_no_detector_and_keeps_the_channel() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("_channel.yaml"), "name: production\n").unwrap();
    assert!(read_folder(home.path()).unwrap().detectors.is_empty());
    fs::write(home.path().join("pump.yaml"), SOUND).unwrap();
    assert_eq!(read_folder(home.path()).unwrap().detectors.len(), 1);
}

#[test]
fn ignores_what_editors_leave() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("pump.yaml"), SOUND).unwrap();
    for litter in [
        ".pump.yaml.swp",
        "pump.yaml~",
        "#pump.yaml#",
        "4913",
        ".#pump.yaml",
        "README.md",
        ".lock",
        "pump.yaml.bak",
    ] {
        fs::write(home.path().join(litter), "litter").unwrap();
    }
    fs::create_dir(home.path().join("old.yaml")).unwrap();
    assert_eq!(read_folder(home.path()).unwrap().detectors.len(), 1);
}

/// Cut anywhere, a document is refused, or says less than the whole; it never says something else.
#[test]
fn a_half_written_document_never_says_something_else() {
    let home = tempfile::tempdir().unwrap();
    let whole = "detectors:\n  pump:\n    active: {version: 1.0.0, digest: DIGEST}\n    previous:\n      version: 0.9.0\n      digest: DIGEST\n    canary: {version: 1.1.0, digest: DIGEST, percent: 25}\n"
        .replace("DIGEST", &Digest::of(b"abc").to_string());
    let file = home.path().join("pump.yaml");
    fs::write(&file, &whole).unwrap();
    let wanted = read_folder(home.path()).unwrap().detectors[&name("pump")].clone();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let Ok(document) = read_folder(home.path()) else {
            continue;
        };
        let part = &document.detectors[&name("pump")];
        assert_eq!(part.active, wanted.active, "cut at {length}");
        assert!(
            part.previous.is_none() || part.previous == wanted.previous,
            "cut at {length}"
        );
        assert!(
            part.canary.is_none() || part.canary == wanted.canary,
            "cut at {length}"
        );
    }
    let json = serde_json::to_string(&read_sound()).unwrap();
    fs::remove_file(&file).unwrap();
    for length in 0..json.len() {
        fs::write(home.path().join("channel.json"), &json[..length]).unwrap();
        assert!(read_folder(home.path()).is_err(), "cut at {length}");
    }
}

fn read_sound() -> hodoscope_release::ChannelDocument {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("pump.yaml"), SOUND).unwrap();
    read_folder(home.path()).unwrap()
}

/// What the kubelet does (atomic_writer.go): a dated folder, a link beside, one rename, the old folder deleted.
fn kubelet_writes(volume: &Path, turn: usize, files: &[(&str, String)]) {
    let dated = format!("..2026_11_24_{turn}");
    fs::create_dir(volume.join(&dated)).unwrap();
    for (file, text) in files {
        fs::write(volume.join(&dated).join(file), text).unwrap();
    }
    let old = fs::read_link(volume.join("..data")).ok();
    std::os::unix::fs::symlink(&dated, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    for (file, _) in files {
        if fs::symlink_metadata(volume.join(file)).is_err() {
            std::os::unix::fs::symlink(Path::new("..data").join(file), volume.join(file)).unwrap();
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(volume.join(old)).unwrap();
    }
}

#[test]
fn reads_a_kubelet_s_volume_while_it_is_swapped_and_never_a_mixed_set() {
    let volume = tempfile::tempdir().unwrap();
    let file = |detector: &str, turn: usize| {
        let text = SOUND
            .replace("pump", detector)
            .replace("1.0.0", &format!("{turn}.0.0"));
        (
            if detector == "pump" {
                "pump.yaml"
            } else {
                "valve.yaml"
            },
            text,
        )
    };
    let write = |turn| {
        kubelet_writes(
            volume.path(),
            turn,
            &[file("pump", turn), file("valve", turn)],
        )
    };
    write(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..=100).for_each(write));
        while !writer.is_finished() {
            let document = read_folder(volume.path()).unwrap();
            let versions: Vec<_> = document
                .detectors
                .values()
                .map(|wanted| wanted.active.version.major)
                .collect();
            assert_eq!(versions.len(), 2);
            assert_eq!(versions[0], versions[1]);
        }
    });
    assert_eq!(
        read_folder(volume.path()).unwrap().detectors[&name("pump")]
            .active
            .version
            .major,
        100
    );
}

#[test]
fn reads_one_delivered_document_and_does_not_edit_it() {
    let volume = tempfile::tempdir().unwrap();
    let text = serde_json::to_string(&read_sound()).unwrap();
    kubelet_writes(volume.path(), 0, &[("channel.json", text)]);
    assert_eq!(read_folder(volume.path()).unwrap(), read_sound());
    let error = edit(volume.path(), &name("pump"), |_| Ok(())).unwrap_err();
    assert!(matches!(error, ChannelError::Delivered { .. }), "{error}");
    // Deleted and made anew, as `kubectl delete` and `apply` do.
    fs::remove_file(volume.path().join("..data")).unwrap();
    assert!(read_folder(volume.path()).is_err());
    kubelet_writes(
        volume.path(),
        1,
        &[(
            "channel.json",
            serde_json::to_string(&read_sound()).unwrap(),
        )],
    );
    assert_eq!(read_folder(volume.path()).unwrap(), read_sound());
}

#[test]
fn an_edit_keeps_other_people_s_files_and_says_which_file_is_in_the_way() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("all.yaml"), SOUND).unwrap();
    promote(home.path(), "valve", "1.0.0");
    assert_eq!(
        fs::read_to_string(home.path().join("all.yaml")).unwrap(),
        SOUND
    );
    let error = edit(home.path(), &name("pump"), |_| Ok(()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("all.yaml") && error.contains("move it to pump.yaml"),
        "{error}"
    );
    fs::rename(
        home.path().join("all.yaml"),
        home.path().join("valves.yaml"),
    )
    .unwrap();
    fs::write(home.path().join("pipe.yaml"), SOUND).unwrap();
    assert!(edit(home.path(), &name("pipe"), |_| Ok(())).is_err());
}

#[test]
fn a_refused_change_writes_nothing() {
    let home = tempfile::tempdir().unwrap();
    promote(home.path(), "pump", "1.0.0");
    let before = fs::read(home.path().join("pump.yaml")).unwrap();
    let error = edit(home.path(), &name("pump"), |document| {
        document.rollback(&name("pump"))
    })
    .unwrap_err();
    assert!(
        error.to_string().contains("nothing to roll back to"),
        "{error}"
    );
    assert_eq!(fs::read(home.path().join("pump.yaml")).unwrap(), before);
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        2,
        "the file and the lock"
    );
}

#[test]
fn edits_at_once_are_all_kept() {
    let home = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let folder = home.path();
            scope.spawn(move || {
                for turn in 0..10 {
                    promote(folder, "pump", &format!("{thread}.{turn}.0"));
                    promote(folder, &format!("own-{thread}"), &format!("1.{turn}.0"));
                }
            });
        }
    });
    let document = read_folder(home.path()).unwrap();
    assert_eq!(document.detectors.len(), 9);
    for thread in 0..8 {
        let wanted = &document.detectors[&name(&format!("own-{thread}"))];
        assert_eq!(
            (wanted.active.clone(), wanted.previous.clone()),
            (pin("1.9.0"), Some(pin("1.8.0")))
        );
    }
}
