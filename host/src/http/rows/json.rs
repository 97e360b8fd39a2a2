//! Rows as JSON, `{"rows": [{"f0": 1, …}, …]}` or `{"columns": […], "rows": [[1, …], …]}`, read in one pass straight into
//! a flat list of values. No tree is built: reading numbers is what bounds the speed of large batches (PERFORMANCE.md B).
//! The grammar is strict JSON; it has no recursion, so depth cannot hurt.

use hodoscope_engine::Batch;

use super::{duplicate, permute};
use crate::columns::Columns;
use crate::http::problem::{Code, Problem};

/// Reads a whole body.
pub(crate) fn parse(body: &[u8], columns: &Columns) -> Result<Batch, Problem> {
    let mut reader = Reader::new(body, columns);
    let mut values = None;
    let mut order = None;
    reader.expect(b'{', "the body is an object, `{\"rows\": […]}`")?;
    if !reader.take(b'}') {
        loop {
            let key = reader.string()?;
            reader.expect(b':', "a colon follows a key")?;
            match key.as_str() {
                "rows" if values.is_none() => values = Some(reader.rows()?),
                "columns" if order.is_none() => order = Some(reader.columns()?),
                "rows" | "columns" => {
                    let error = format!("`{key}` stands twice in the body");
                    return Err(Problem::new(Code::DuplicateKey, error));
                }
                _ => return Err(unknown_key(&key)),
            }
            if !reader.take(b',') {
                reader.expect(b'}', "a comma or the end of the object follows a value")?;
                break;
            }
        }
    }
    reader.end()?;
    let mut values = values.ok_or_else(|| {
        Problem::new(
            Code::Malformed,
            "the body has no `rows`; send {\"rows\": [{\"<feature>\": <number>, …}]}",
        )
    })?;
    if let Some(order) = order {
        if reader.named {
            return Err(Problem::new(
                Code::Malformed,
                "`columns` belongs to rows that are arrays; these rows are objects, leave it out",
            ));
        }
        permute(&mut values, &order);
    }
    columns.batch(values)
}

fn unknown_key(key: &str) -> Problem {
    let key: String = key.chars().take(100).collect();
    let error = format!("unknown key `{key}` in the body; known are `rows` and `columns`");
    Problem::new(Code::UnknownKey, error)
}

/// A cursor over the text, and what it learned about the rows.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    columns: &'a Columns,
    /// The detector's column of each key, in the order in which the last row had them: what the next row is likely to do.
    order: Vec<usize>,
    named: bool,
    row: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], columns: &'a Columns) -> Self {
        Self {
            bytes,
            at: 0,
            columns,
            order: (0..columns.len()).collect(),
            named: false,
            row: 0,
        }
    }

    /// Goes on with another text, as the next line of NDJSON; rows keep counting.
    pub(super) fn turn_to(&mut self, bytes: &'a [u8]) {
        self.bytes = bytes;
        self.at = 0;
    }

    fn rows(&mut self) -> Result<Vec<f64>, Problem> {
        // A number and its comma take two bytes at least; most take far more, so this rarely grows.
        let likely = self.bytes.len().saturating_sub(self.at) / 12;
        let mut values = Vec::with_capacity(likely.max(self.columns.len()));
        self.expect(b'[', "`rows` is an array of rows")?;
        if self.take(b']') {
            return Ok(values);
        }
        loop {
            self.one_row(&mut values)?;
            if !self.take(b',') {
                self.expect(b']', "a comma or the end of `rows` follows a row")?;
                return Ok(values);
            }
        }
    }

    /// Reads one row of either shape and appends its values.
    pub(super) fn one_row(&mut self, values: &mut Vec<f64>) -> Result<(), Problem> {
        match self.peek() {
            Some(b'{') => self.object(values)?,
            Some(b'[') => self.array(values)?,
            _ => return Err(self.wrong("a row is an object with named values, or an array")),
        }
        self.row += 1;
        Ok(())
    }

    fn array(&mut self, values: &mut Vec<f64>) -> Result<(), Problem> {
        if self.named {
            return Err(self.wrong("rows before this one are objects; use one shape for all"));
        }
        let before = values.len();
        self.at += 1;
        if !self.take(b']') {
            loop {
                let column = values.len() - before;
                values.push(self.value(column)?);
                if !self.take(b',') {
                    self.expect(b']', "a comma or the end of the row follows a value")?;
                    break;
                }
            }
        }
        let found = values.len() - before;
        match found == self.columns.len() {
            true => Ok(()),
            false => Err(self.columns.wrong_width(found, Some(self.row))),
        }
    }

    fn object(&mut self, values: &mut Vec<f64>) -> Result<(), Problem> {
        if !self.named && self.row > 0 {
            return Err(self.wrong("rows before this one are arrays; use one shape for all"));
        }
        self.named = true;
        let start = values.len();
        values.resize(start + self.columns.len(), f64::NAN);
        let slots = values.get_mut(start..).unwrap_or_default();
        let begin = self.at;
        match self.expected_object(slots) {
            Some(()) => Ok(()),
            None => {
                self.at = begin;
                self.any_object(slots)
            }
        }
    }

    /// Reads an object whose keys stand in the order of the row before. `None`: it is not of that kind, or not valid.
    fn expected_object(&mut self, slots: &mut [f64]) -> Option<()> {
        self.at += 1;
        let count = self.order.len();
        for i in 0..count {
            let column = *self.order.get(i)?;
            self.space();
            let quoted = self.columns.quoted(column)?;
            self.bytes.get(self.at..)?.strip_prefix(quoted)?;
            self.at += quoted.len();
            if !self.take(b':') {
                return None;
            }
            *slots.get_mut(column)? = self.number_or_null()?;
            let end = if i + 1 == count { b'}' } else { b',' };
            if !self.take(end) {
                return None;
            }
        }
        Some(())
    }

    /// Reads an object with its keys in any order, and says exactly what is wrong with it.
    fn any_object(&mut self, slots: &mut [f64]) -> Result<(), Problem> {
        self.at += 1;
        let mut seen = vec![false; slots.len()];
        let mut order = Vec::with_capacity(slots.len());
        if !self.take(b'}') {
            loop {
                let key = self.string()?;
                self.expect(b':', "a colon follows a key")?;
                let column = self.columns.find(&key);
                let column = column.ok_or_else(|| self.columns.unknown(&key, Some(self.row)))?;
                let value = self.value(column)?;
                match (seen.get_mut(column), slots.get_mut(column)) {
                    (Some(seen), Some(slot)) if !*seen => {
                        *seen = true;
                        *slot = value;
                    }
                    _ => return Err(duplicate(&key, Some(self.row))),
                }
                order.push(column);
                if !self.take(b',') {
                    self.expect(b'}', "a comma or the end of the row follows a value")?;
                    break;
                }
            }
        }
        if order.len() < slots.len() {
            return Err(self.columns.missing(&seen, Some(self.row)));
        }
        self.order = order;
        Ok(())
    }

    fn columns(&mut self) -> Result<Vec<usize>, Problem> {
        let mut names = Vec::new();
        self.expect(b'[', "`columns` is an array of names")?;
        if !self.take(b']') {
            loop {
                names.push(self.string()?);
                if !self.take(b',') {
                    self.expect(b']', "a comma or the end of `columns` follows a name")?;
                    break;
                }
            }
        }
        self.columns.order(names.iter().map(String::as_str))
    }

    /// A number, or null for a missing value; anything else is a problem that names the row and the feature.
    fn value(&mut self, column: usize) -> Result<f64, Problem> {
        self.space();
        if let Some(value) = self.number_or_null() {
            return Ok(value);
        }
        let found = match self.peek() {
            Some(b'"') => "a text",
            Some(b't' | b'f') => "true or false",
            Some(b'[' | b'{') => {
                let error = format!(
                    "row {} holds an array or object where a number belongs",
                    self.row
                );
                return Err(Problem::new(Code::TooDeep, error).with("row", self.row));
            }
            Some(b'-' | b'0'..=b'9') if self.overflows() => "beyond the range of a double",
            _ => return Err(self.wrong("a number or null belongs here")),
        };
        Err(self.columns.not_a_number(found, self.row, column))
    }

    fn number_or_null(&mut self) -> Option<f64> {
        self.space();
        let rest = self.bytes.get(self.at..)?;
        if rest.starts_with(b"null") {
            self.at += 4;
            return Some(f64::NAN);
        }
        let (value, length) = number(rest).filter(|(value, _)| value.is_finite())?;
        self.at += length;
        Some(value)
    }

    /// Whether the number here is valid but too large, such as `1e999`.
    fn overflows(&self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        number(rest).is_some_and(|(value, _)| value.is_infinite())
    }

    fn string(&mut self) -> Result<String, Problem> {
        self.expect(b'"', "a name in quotes belongs here")?;
        let start = self.at - 1;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                None => return Err(self.wrong("a text has no end")),
                Some(b'"') if !escaped => break,
                Some(byte) => escaped = *byte == b'\\' && !escaped,
            }
            self.at += 1;
        }
        self.at += 1;
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        serde_json::from_slice(text).map_err(|_| self.wrong("a text is not valid JSON"))
    }

    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, rule: &str) -> Result<(), Problem> {
        match self.take(byte) {
            true => Ok(()),
            false => Err(self.wrong(rule)),
        }
    }

    pub(super) fn end(&mut self) -> Result<(), Problem> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("nothing may follow the end")),
        }
    }

    fn wrong(&self, rule: &str) -> Problem {
        let found = match self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.utf8_chunks().next())
        {
            None => "the end".to_owned(),
            Some(chunk) => match chunk.valid().chars().next() {
                Some(c) => format!("`{}`", c.escape_default()),
                None => "bytes that are not UTF-8".to_owned(),
            },
        };
        let error = format!("malformed JSON at byte {}: {rule}; found {found}", self.at);
        Problem::new(Code::Malformed, error).with("byte", self.at)
    }
}

/// The JSON number at the start of `text` and its length. Infinite if it is out of range.
pub(crate) fn number(text: &[u8]) -> Option<(f64, usize)> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0', b'0'..=b'9', ..] => return None,
        [b'0'..=b'9', ..] => {}
        _ => return None,
    }
    let whole = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let mut after = digits.get(whole..).unwrap_or_default().iter();
    if after.next() == Some(&b'.') && !after.next().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    fast_float2::parse_partial::<f64, _>(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns::new(["a".to_owned(), "b\"c".to_owned()])
    }

    fn check(body: &str) -> Result<Vec<f64>, &'static str> {
        parse(body.as_bytes(), &columns())
            .map(|batch| batch.values)
            .map_err(|problem| problem.code.as_str())
    }

    #[test]
    fn reads_named_rows_in_any_order_and_arrays_with_columns_before_or_after() {
        for body in [
            r#"{"rows":[{"a":1,"b\"c":-2.5e1},{"a":3,"b\"c":4}]}"#,
            r#" { "rows" : [ { "b\"c" : -25 , "a" : 1.0 } , { "b\u0022c" : 4, "a" : 3 } ] } "#,
            r#"{"rows":[[1,-25],[3,4]]}"#,
            r#"{"columns":["b\"c","a"],"rows":[[-25,1],[4,3]]}"#,
            r#"{"rows":[[-25,1],[4,3]],"columns":["b\"c","a"]}"#,
        ] {
            assert_eq!(check(body), Ok(vec![1.0, -25.0, 3.0, 4.0]), "{body}");
        }
    }

    #[test]
    fn reads_null_as_missing() {
        let values = check(r#"{"rows":[{"a":null,"b\"c":1}]}"#).unwrap();
        assert!(values[0].is_nan() && values[1] == 1.0);
    }

    #[test]
    fn names_what_is_wrong() {
        let table = [
            ("", "malformed"),
            ("[]", "malformed"),
            ("{}", "malformed"),
            (r#"{"rows":[]}"#, "empty_batch"),
            (r#"{"rows":[[1,2]]"#, "malformed"),
            (r#"{"rows":[[1,2]]}x"#, "malformed"),
            (r#"{"rows":[[1,2]],"rows":[[1,2]]}"#, "duplicate_key"),
            (r#"{"rows":[[1,2]],"explian":true}"#, "unknown_key"),
            (r#"{"rows":[[1]]}"#, "wrong_width"),
            (r#"{"rows":[[1,2,3]]}"#, "wrong_width"),
            (r#"{"rows":[[]]}"#, "wrong_width"),
            (r#"{"rows":[{"a":1}]}"#, "missing_feature"),
            (r#"{"rows":[{}]}"#, "missing_feature"),
            (r#"{"rows":[{"a":1,"b\"c":2,"d":3}]}"#, "unknown_feature"),
            (r#"{"rows":[{"a":1,"b\"c":2,"a":3}]}"#, "duplicate_feature"),
            (r#"{"rows":[{"a":"1","b\"c":2}]}"#, "not_a_number"),
            (r#"{"rows":[{"a":true,"b\"c":2}]}"#, "not_a_number"),
            (r#"{"rows":[{"a":1e999,"b\"c":2}]}"#, "not_a_number"),
            (r#"{"rows":[{"a":NaN,"b\"c":2}]}"#, "malformed"),
            (r#"{"rows":[{"a":01,"b\"c":2}]}"#, "malformed"),
            (r#"{"rows":[{"a":1.,"b\"c":2}]}"#, "malformed"),
            (r#"{"rows":[{"a":.5,"b\"c":2}]}"#, "malformed"),
            (r#"{"rows":[{"a":+1,"b\"c":2}]}"#, "malformed"),
            (r#"{"rows":[{"a":1e,"b\"c":2}]}"#, "malformed"),
            (r#"{"rows":[{"a":infinity,"b\"c":2}]}"#, "malformed"),
            (r#"{"rows":[{"a":1,"b\"c":2,}]}"#, "malformed"),
            (r#"{"rows":[[1,2],]}"#, "malformed"),
            (r#"{"rows":[[1,2],{"a":1,"b\"c":2}]}"#, "malformed"),
            (r#"{"rows":[{"a":1,"b\"c":2},[1,2]]}"#, "malformed"),
            (r#"{"rows":[[[1],2]]}"#, "too_deep"),
            (r#"{"rows":[1,2]}"#, "malformed"),
            (
                r#"{"rows":[{"a":1,"b\"c":2}],"columns":["a","b\"c"]}"#,
                "malformed",
            ),
            (r#"{"rows":[[1,2]],"columns":["a"]}"#, "missing_feature"),
            (
                r#"{"rows":[[1,2]],"columns":["a","a"]}"#,
                "duplicate_feature",
            ),
            (r#"{"rows":[[1,2]],"columns":["a","x"]}"#, "unknown_feature"),
            ("{\"rows\":[{\"a", "malformed"),
            ("{\"rows\":[{\"a\\", "malformed"),
        ];
        for (body, code) in table {
            assert_eq!(check(body), Err(code), "{body}");
        }
        let deep = format!("{{\"rows\":{}", "[".repeat(1_000_000));
        assert_eq!(check(&deep), Err("too_deep"));
        assert_eq!(check(&"[".repeat(1_000_000)), Err("malformed"));
    }

    #[test]
    fn reads_numbers_as_serde_json_does() {
        let mut state = 1_u64;
        let alphabet = b"0123456789.eE+-";
        let fixed = [
            "0",
            "-0",
            "1e5",
            "1E-5",
            "5e-324",
            "1.7976931348623157e308",
            "0.1",
            "123456789012345678901234567890",
        ];
        let random = std::iter::repeat_with(|| {
            let mut byte = || {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 33) as usize
            };
            let length = byte() % 8;
            (0..length)
                .map(|_| alphabet[byte() % alphabet.len()] as char)
                .collect::<String>()
        });
        for text in fixed
            .into_iter()
            .map(str::to_owned)
            .chain(random.take(200_000))
        {
            let theirs = serde_json::from_str::<f64>(&text).ok();
            let ours = number(text.as_bytes())
                .filter(|(value, length)| *length == text.len() && value.is_finite())
                .map(|(value, _)| value);
            assert_eq!(ours.map(f64::to_bits), theirs.map(f64::to_bits), "{text}");
        }
    }

    #[test]
    fn never_panics_on_a_cut_or_bent_body() {
        let body = r#"{"columns":["a","b\"c"],"rows":[[1.5e3,null],[-2,0.25]]}"#.as_bytes();
        for end in 0..body.len() {
            assert!(parse(&body[..end], &columns()).is_err());
            for byte in [0, b'"', b'{', b']', 0xff, b'\\'] {
                let mut bent = body.to_vec();
                bent[end] = byte;
                let _ = parse(&bent, &columns());
            }
        }
    }
}
