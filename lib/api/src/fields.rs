//! Reads the fields of a JSON object one by one. So an error names every bad field, and not only the first one.

use crate::errors::{Code, Detail, DetailCode, Problem, Result};
use leasehold_core::json_problem;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, ops::RangeInclusive, str::FromStr, time::Duration};

/// The fields of an object that have not been read yet, and the problems of the fields that have been read.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    prefix: String,
    left: BTreeMap<String, Box<RawValue>>,
    bad: Vec<Detail>,
}

impl Fields {
    /// Reads the body of a request.
    pub(crate) fn of_body(text: &str) -> Result<Self> {
        match serde_json::from_str(text) {
            Ok(left) => Ok(Self { prefix: String::new(), left, bad: Vec::new() }),
            Err(error) => Err(not_an_object(text, &error)),
        }
    }

    /// Reads an element of an array in the body.
    pub(crate) fn of_element(pointer: String, text: &RawValue) -> Self {
        match serde_json::from_str(text.get()) {
            Ok(left) => Self { prefix: pointer, left, bad: Vec::new() },
            Err(_) => {
                let bad = vec![Detail::new(&pointer, DetailCode::Invalid, "must be an object")];
                Self { prefix: pointer, left: BTreeMap::new(), bad }
            }
        }
    }

    /// A field that is bad.
    pub(crate) fn refuse(&mut self, name: &str, code: DetailCode, message: impl Into<String>) {
        self.bad.push(Detail::new(format!("{}/{name}", self.prefix), code, message));
    }

    /// Whether the field is present, also with the value `null`.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// The text of a field, as it came. `null` counts as missing.
    pub(crate) fn raw(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.left.remove(name).filter(|value| value.get() != "null")
    }

    /// A field of a type of JSON.
    pub(crate) fn value<T: DeserializeOwned>(&mut self, name: &str, wanted: &str) -> Option<T> {
        let raw = self.raw(name)?;
        match serde_json::from_str(raw.get()) {
            Ok(value) => Some(value),
            Err(_) => {
                self.refuse(name, DetailCode::Invalid, format!("must be {wanted}"));
                None
            }
        }
    }

    /// A required field.
    pub(crate) fn required<T: DeserializeOwned>(&mut self, name: &str, wanted: &str) -> Option<T> {
        let is_there = self.left.get(name).is_some_and(|value| value.get() != "null");
        if !is_there {
            self.left.remove(name);
            self.refuse(name, DetailCode::Required, format!("is required; it must be {wanted}"));
            return None;
        }
        self.value(name, wanted)
    }

    /// A string in the form of a type.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &str, wanted: &str) -> Option<T>
    where
        T::Err: ToString,
    {
        let text: String = self.value(name, wanted)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, DetailCode::Invalid, format!("must be {wanted}: {}", error.to_string()));
                None
            }
        }
    }

    /// A number within bounds.
    pub(crate) fn number(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let number = self.value(name, &wanted)?;
        if bounds.contains(&number) {
            return Some(number);
        }
        self.refuse(name, DetailCode::Invalid, format!("is {number}; it must be {wanted}"));
        None
    }

    /// A time in milliseconds within bounds.
    pub(crate) fn millis(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Option<Duration> {
        self.number(name, bounds).map(Duration::from_millis)
    }

    /// An array, if the field is present.
    pub(crate) fn array_if_any(&mut self, name: &str, most: usize) -> Option<Vec<Box<RawValue>>> {
        self.left.contains_key(name).then(|| self.array(name, most))
    }

    /// An array, whose elements keep their text.
    pub(crate) fn array(&mut self, name: &str, most: usize) -> Vec<Box<RawValue>> {
        let elements: Vec<Box<RawValue>> = self.value(name, "an array").unwrap_or_default();
        if elements.len() > most {
            self.refuse(
                name,
                DetailCode::Invalid,
                format!("has {} elements; at most {most} are allowed", elements.len()),
            );
            return Vec::new();
        }
        elements
    }

    /// An array that may be empty, but not left out.
    pub(crate) fn required_array(&mut self, name: &str, most: usize) -> Vec<Box<RawValue>> {
        if self.left.get(name).is_none_or(|value| value.get() == "null") {
            self.left.remove(name);
            self.refuse(name, DetailCode::Required, "is required; it must be an array");
            return Vec::new();
        }
        self.array(name, most)
    }

    /// Whether no problem was found so far.
    pub(crate) fn is_good(&self) -> bool {
        self.bad.is_empty()
    }

    /// Adds a problem from another part of the request.
    pub(crate) fn add(&mut self, bad: impl IntoIterator<Item = Detail>) {
        self.bad.extend(bad);
    }

    /// All problems, including unknown fields.
    pub(crate) fn into_details(mut self) -> Vec<Detail> {
        for name in std::mem::take(&mut self.left).into_keys() {
            let name = name.replace('~', "~0").replace('/', "~1");
            self.refuse(&name, DetailCode::Unknown, "there is no such field");
        }
        self.bad
    }

    /// Succeeds if every field is good.
    pub(crate) fn finish(self) -> Result<()> {
        let bad = self.into_details();
        if bad.is_empty() { Ok(()) } else { Err(Problem::invalid(bad)) }
    }
}

/// The error for a body that is no object.
fn not_an_object(text: &str, error: &serde_json::Error) -> Problem {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Problem::invalid(vec![Detail::new("", DetailCode::Invalid, "must be a JSON object")]);
    }
    Problem::new(Code::Malformed, format!("the body is no JSON: {}", json_problem(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_named() {
        let mut fields = Fields::of_body(r#"{"a":1,"b":"x","c":null,"e/f":1}"#).expect("an object");
        assert_eq!(fields.value::<String>("a", "a string"), None);
        assert_eq!(fields.number("b", 1..=5), None);
        assert_eq!(fields.required::<String>("c", "a string"), None);
        let bad = fields.into_details();
        let told: Vec<_> = bad.iter().map(|bad| (bad.pointer.as_str(), bad.code)).collect();
        let (invalid, required, unknown) = (DetailCode::Invalid, DetailCode::Required, DetailCode::Unknown);
        assert_eq!(told, [("/a", invalid), ("/b", invalid), ("/c", required), ("/e~1f", unknown)]);
    }

    #[test]
    fn a_body_that_is_no_object_is_told_from_one_that_is_no_json() {
        assert_eq!(Fields::of_body("[1]").expect_err("an array").code, Code::Invalid);
        assert_eq!(Fields::of_body("{").expect_err("no JSON").code, Code::Malformed);
    }
}
