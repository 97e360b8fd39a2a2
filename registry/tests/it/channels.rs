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
