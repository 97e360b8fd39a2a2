//! What the readers accept and what they say of a bad table.

use hodoscope_isolation_forest::{InputFile, Selection, Table, TrainOptions, locate, train};
use tempfile::TempDir;

use crate::data::cloud;

fn selection(columns: &[&str], exclude: &[&str], label: Option<&str>) -> Selection {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Selection {
        columns: owned(columns),
        exclude: owned(exclude),
        label: label.map(str::to_owned),
    }
}

fn read(text: &[u8], selection: &Selection) -> Result<(u64, Vec<String>), String> {
    let reader = Box::new(std::io::Cursor::new(text.to_vec()));
    let mut table =
        Table::stream("rows.csv", reader, selection).map_err(|error| error.to_string())?;
    let trained =
        train(&mut table, &TrainOptions::default(), &()).map_err(|error| error.to_string())?;
    Ok((trained.report.rows, table.features().to_vec()))
}

fn accepts(text: &str, rows: u64, features: &[&str]) {
    let found = read(text.as_bytes(), &Selection::default());
    assert_eq!(
        found,
        Ok((
            rows,
            features.iter().map(|name| (*name).to_owned()).collect()
        )),
        "{text}"
    );
}

fn refuses(text: &str, message: &str) {
    let found = read(text.as_bytes(), &Selection::default()).unwrap_err();
    assert!(found.contains(message), "{text:?}: {found}");
}

#[test]
fn accepts_csv_as_people_write_it() {
    accepts("a,b\n1,2\n3,4\n", 2, &["a", "b"]);
    accepts("a,b\r\n1,2\r\n3,4", 2, &["a", "b"]);
    accepts("\u{feff}a;b\n1;2\n", 1, &["a", "b"]);
    accepts("a\tb\n1\t2\n", 1, &["a", "b"]);
    accepts("a,b\n 1 , 2.5e3 \n\n-3,+4\n", 2, &["a", "b"]);
    accepts(
        "\"a,1\",\"b\nc\"\n\"1\",2\n\"3\",\"\"\n",
        2,
        &["a,1", "b\nc"],
    );
    accepts(
        "a,b\nNaN,null\nNA,\ntrue,False\ninf,-Infinity\n",
        4,
        &["a", "b"],
    );
}

#[test]
fn refuses_csv_with_the_place_and_the_fix() {
    refuses("", "it is empty");
    refuses("1,2\n3,4\n", "a header line is required");
    refuses("a,a\n1,2\n", "two columns are named `a`");
    refuses("a,b\n", "no rows");
    refuses(
        "ts,b\n2014-02-14 14:27:00,2\n",
        "column `ts` holds text (\"2014-02-14 14:27:00\"), not numbers; leave it out with --exclude ts",
    );
    refuses(
        "a,b\n1,2\n3,four\n",
        "line 3, column `b`: \"four\" is not a number",
    );
    refuses("a,b\n1,2\n3\n", "line 3: 1 cells, but the header has 2");
    refuses(
        "a,b\n1,2\n\"3\",4,5\n",
        "line 3: 3 cells, but the header has 2",
    );
    refuses("a\0b\n1\n", "zero bytes");
    let binary = read(&[0xff, 0xfe, b'a', 0, b'\n', 0], &Selection::default()).unwrap_err();
    assert!(binary.contains("not UTF-8"), "{binary}");
}

#[test]
fn a_bad_cell_far_into_a_file_is_named_by_its_line() {
    let mut text = "a,b\n".to_owned();
    for row in 0..300_000 {
        text.push_str(&format!(
            "{row},{}\n",
            if row == 299_990 { "x" } else { "1" }
        ));
    }
    refuses(&text, "line 299992, column `b`: \"x\"");
    let quoted = text.replacen("0,1", "\"0\",1", 1);
    refuses(&quoted, "line 299992, column `b`: \"x\"");
}

#[test]
fn columns_are_chosen_by_name() {
    let text = b"a,b,c,label\n1,2,3,0\n4,5,6,1\n";
    let chosen = |columns: &[&str], exclude: &[&str], label| {
        read(text, &selection(columns, exclude, label)).map(|(_, names)| names.join(","))
    };
    assert_eq!(chosen(&[], &["b"], Some("label")), Ok("a,c".to_owned()));
    assert_eq!(chosen(&["c", "a"], &[], None), Ok("c,a".to_owned()));
    let refused = chosen(&[], &[], Some("lable")).unwrap_err();
    assert_eq!(
        refused,
        "rows.csv: no column `lable`; the columns are a, b, c, label"
    );
    assert!(
        chosen(&[], &["a", "b", "c"], Some("label"))
            .unwrap_err()
            .contains("no feature columns are left")
    );
    let odd = read(b"a,label\n1,normal\n", &selection(&[], &[], Some("label"))).unwrap_err();
    assert!(
        odd.contains("a label is 0 (normal) or 1 (anomaly)"),
        "{odd}"
    );
}

#[test]
fn files_of_a_folder_must_agree_and_may_order_their_columns_freely() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.csv", "x,y\n1,2\n");
    write("b.csv", "y,x\n4,3\n");
    write("notes.txt", "not a table");
    write(".hidden.csv", "z\n1\n");
    let open = || {
        let files = locate(&folder.path().display().to_string()).unwrap();
        Table::open(&files, &Selection::default()).map_err(|error| error.to_string())
    };
    let mut table = open().unwrap();
    assert_eq!(
        train(&mut table, &TrainOptions::default(), &())
            .unwrap()
            .report
            .rows,
        2
    );
    cloud(1, 10, 2, 0).parquet(&folder.path().join("c.parquet"), 10);
    let refused = open().err().unwrap();
    assert!(
        refused.contains("c.parquet: column `x` is missing here"),
        "{refused}"
    );
    write("c.parquet", "x,y,z\n1,2,3\n");
    let refused = open().err().unwrap();
    assert!(
        refused.contains("column `z` is present here and missing in"),
        "{refused}"
    );
}

#[test]
fn patterns_and_empty_folders() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().display().to_string();
    assert!(
        locate(&root)
            .unwrap_err()
            .to_string()
            .contains("no table found")
    );
    for name in ["2.csv", "1.csv", "3.txt"] {
        std::fs::write(folder.path().join(name), "a\n1\n").unwrap();
    }
    let found = locate(&format!("{root}/*.csv")).unwrap();
    assert_eq!(
        found
            .iter()
            .map(|file| file.name.rsplit('/').next().unwrap())
            .collect::<Vec<_>>(),
        ["1.csv", "2.csv"]
    );
    assert!(locate(&format!("{root}/*.parquet")).is_err());
    let absent = Table::open(
        &locate(&format!("{root}/absent.csv")).unwrap(),
        &Selection::default(),
    );
    assert!(
        absent
            .err()
            .unwrap()
            .to_string()
            .contains("absent.csv: No such file")
    );
}

#[test]
fn damaged_parquet_is_refused_by_its_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rows.parquet");
    cloud(1, 1_000, 3, 10).parquet(&path, 400);
    let whole = std::fs::read(&path).unwrap();
    let file = [InputFile {
        path: path.clone(),
        name: "rows.parquet".to_owned(),
    }];
    for cut in [4, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let refused = Table::open(&file, &Selection::default())
            .err()
            .unwrap()
            .to_string();
        assert!(refused.starts_with("rows.parquet: "), "{refused}");
    }
    for start in (4..whole.len() - 100).step_by(97) {
        let mut torn = whole.clone();
        torn[start..start + 60].fill(0x55);
        std::fs::write(&path, &torn).unwrap();
        // Damage to plain numbers makes other numbers: what matters is that nothing panics, and that an error names the file.
        let read = Table::open(&file, &Selection::default())
            .map_err(|error| error.to_string())
            .and_then(|mut table| {
                train(&mut table, &TrainOptions::default(), &())
                    .map(|_| ())
                    .map_err(|error| error.to_string())
            });
        if let Err(refused) = read {
            assert!(refused.starts_with("rows.parquet: "), "{start}: {refused}");
        }
    }
}
