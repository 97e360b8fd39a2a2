//! Takes settings out of their layers one by one, remembers what was wrong, and at the end names what nobody asked for.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::{ConfigError, Origin, Secret, Shown, Sources};

/// Whether a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// An address that may hold a user and a password, which are not shown.
    Address,
    Secret,
}

/// The settings read so far, and what was wrong.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    shown: Vec<Shown>,
    errors: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self {
            sources,
            shown: Vec::new(),
            errors: sources.errors().to_vec(),
        }
    }

    /// Ends reading: all settings, or all errors.
    pub(super) fn finish(mut self) -> Result<Vec<Shown>, ConfigError> {
        let known: BTreeSet<&str> = self.shown.iter().map(|shown| shown.key).collect();
        for (key, place) in self.sources.keys() {
            if !known.contains(key) {
                let hint = nearest(key, &known)
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_else(|| "; `hodoscope config` lists the settings".to_owned());
                self.errors.push(format!("{place}: no such setting{hint}"));
            }
        }
        match self.errors.is_empty() {
            true => Ok(self.shown),
            false => Err(ConfigError(self.errors)),
        }
    }

    /// A value with a default. A value that does not parse is remembered as an error and the default stands in.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        default: &str,
        kind: Kind,
        about: &'static str,
    ) -> T
    where
        T: FromStr<Err: Display>,
    {
        let text = self.take(key, Some(default), kind, about);
        self.parse(key, text.as_deref().unwrap_or(default), kind)
            .or_else(|| T::from_str(default).ok())
            .unwrap_or_else(|| unreachable_default(key))
    }

    pub(super) fn text(&mut self, key: &'static str, default: &str, about: &'static str) -> String {
        self.value(key, default, Kind::Plain, about)
    }

    pub(super) fn path(
        &mut self,
        key: &'static str,
        default: PathBuf,
        about: &'static str,
    ) -> PathBuf {
        PathBuf::from(self.text(key, &default.display().to_string(), about))
    }

    pub(super) fn maybe(&mut self, key: &'static str, about: &'static str) -> Option<String> {
        self.take(key, None, Kind::Plain, about)
    }

    /// A value that need not be there.
    pub(super) fn maybe_value<T>(&mut self, key: &'static str, about: &'static str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.take(key, None, Kind::Plain, about)?;
        self.parse(key, &text, Kind::Plain)
    }

    pub(super) fn secret(&mut self, key: &'static str, about: &'static str) -> Option<Secret> {
        self.take(key, None, Kind::Secret, about).map(Secret)
    }

    /// An address, checked by `check` if it was given to us: one in a name that we share with other programs may be meant
    /// for them. An empty text is none, so that a shared name can be switched off.
    pub(super) fn address<E: Display>(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<(), E>,
        about: &'static str,
    ) -> Option<Secret> {
        let text = self.take(key, None, Kind::Address, about)?;
        let shared = self
            .sources
            .find(key)
            .is_some_and(|(_, origin)| origin == Origin::Shared);
        if text.is_empty() {
            return None;
        }
        if let Err(error) = check(&text)
            && !shared
        {
            self.wrong(key, error);
        }
        Some(Secret(text))
    }

    pub(super) fn positive<T>(&mut self, key: &'static str, default: T, about: &'static str) -> T
    where
        T: FromStr<Err: Display> + Display + PartialOrd + From<u8> + Copy,
    {
        let value: T = self.value(key, &default.to_string(), Kind::Plain, about);
        if value < T::from(1) {
            self.wrong(key, "must be at least 1");
        }
        value
    }

    pub(super) fn maybe_positive(
        &mut self,
        key: &'static str,
        about: &'static str,
    ) -> Option<usize> {
        let text = self.take(key, None, Kind::Plain, about)?;
        let value: usize = self.parse(key, &text, Kind::Plain)?;
        if value == 0 {
            self.wrong(key, "must be at least 1");
        }
        Some(value)
    }

    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        default: u32,
        about: &'static str,
    ) -> Duration {
        Duration::from_secs(self.positive(key, default, about).into())
    }

    pub(super) fn one_of(
        &mut self,
        key: &'static str,
        choices: &'static [&'static str],
        about: &'static str,
    ) -> &'static str {
        let default = choices.first().copied().unwrap_or_default();
        let text = self.text(key, default, about);
        match choices.iter().find(|choice| **choice == text) {
            Some(choice) => choice,
            None => {
                self.wrong(
                    key,
                    format_args!("`{text}` is none of {}", choices.join(", ")),
                );
                default
            }
        }
    }

    /// Values between commas (an array in TOML).
    pub(super) fn list<T>(&mut self, key: &'static str, about: &'static str) -> BTreeSet<T>
    where
        T: FromStr<Err: Display> + Ord,
    {
        let text = self
            .take(key, Some(""), Kind::Plain, about)
            .unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .filter_map(|part| self.parse(key, part, Kind::Plain))
            .collect()
    }

    fn take(
        &mut self,
        key: &'static str,
        default: Option<&str>,
        kind: Kind,
        about: &'static str,
    ) -> Option<String> {
        let found = self.sources.find(key);
        let origin = found.map_or(Origin::Default, |(_, origin)| origin);
        let value = found.map(|(text, _)| text).or(default);
        self.shown.push(Shown {
            key,
            value: match (kind, value) {
                (_, None) => "(not set)".to_owned(),
                (Kind::Secret, Some(_)) => "(secret)".to_owned(),
                (Kind::Address, Some(text)) => without_user(text),
                (Kind::Plain, Some(text)) => text.to_owned(),
            },
            origin,
            about,
        });
        value.map(str::to_owned)
    }

    fn parse<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
        text: &str,
        kind: Kind,
    ) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                match kind {
                    Kind::Plain => self.wrong(key, format_args!("`{text}`: {error}")),
                    Kind::Secret | Kind::Address => self.wrong(key, error),
                }
                None
            }
        }
    }

    fn wrong(&mut self, key: &'static str, what: impl Display) {
        let place = self.sources.place(key);
        self.errors.push(format!("{place}: {what}"));
    }
}

#[expect(
    clippy::panic,
    reason = "a default that does not parse is a bug that every test of config meets"
)]
fn unreachable_default<T>(key: &str) -> T {
    panic!("the default of `{key}` does not parse")
}

/// An address without `user:password@`.
fn without_user(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}{path}")
}

/// The known key that differs least, if it is near.
fn nearest<'k>(key: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    let near = known
        .iter()
        .map(|known| (distance(key, known), *known))
        .min()?;
    (near.0 <= 1 + key.len() / 4).then_some(near.1)
}

/// How many letters to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let next = (diagonal + usize::from(x != y))
                .min(left + 1)
                .min(*cell + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
    }
    row.last().copied().unwrap_or(a.len())
}
