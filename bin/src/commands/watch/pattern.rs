//! A pattern for names of files, in the syntax of a shell: `*` matches any text, `?` matches any single byte.

/// A pattern. It is matched byte by byte, because a name need not be text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<u8>);

impl std::str::FromStr for Pattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("an empty pattern matches no name"),
            text if text.contains('/') => Err("a pattern is for the name of a file, so it has no /"),
            text => Ok(Self(text.as_bytes().to_vec())),
        }
    }
}

impl Pattern {
    /// Whether the whole name matches. A hidden name (`.name`) matches only a pattern that begins with a dot, as in a shell.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        if name.first() == Some(&b'.') && self.0.first() != Some(&b'.') {
            return false;
        }
        let (mut at, mut position) = (0, 0);
        // The last `*`, and how much of the name it has taken. A later `*` never needs an earlier one to take more.
        let mut star: Option<(usize, usize)> = None;
        while position < name.len() {
            match self.0.get(at) {
                Some(b'*') => {
                    star = Some((at, position));
                    at += 1;
                }
                Some(&byte) if byte == b'?' || byte == name[position] => {
                    at += 1;
                    position += 1;
                }
                _ => {
                    let Some((star_at, taken)) = star else { return false };
                    star = Some((star_at, taken + 1));
                    at = star_at + 1;
                    position = taken + 1;
                }
            }
        }
        self.0[at..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &[u8]) -> bool {
        pattern.parse::<Pattern>().is_ok_and(|pattern| pattern.matches(name))
    }

    #[test]
    fn a_pattern_that_matches_no_name_is_refused() {
        assert!("".parse::<Pattern>().is_err());
        assert!("a/*.csv".parse::<Pattern>().is_err());
    }

    #[test]
    fn a_pattern_matches_as_in_a_shell() {
        let table: [(&str, &[u8], bool); 13] = [
            ("*", b"a b.txt", true),
            ("*", b"", true),
            ("*", b".hidden", false),
            (".*", b".hidden", true),
            ("*.parquet", b"batch_1.parquet", true),
            ("*.parquet", b"batch_1.parquet.tmp", false),
            ("*.parquet", b".parquet", false),
            ("a?c", b"abc", true),
            ("a?c", b"ac", false),
            ("a*b*c", b"a-b-b-c", true),
            ("a*b*c", b"a-c-b", false),
            ("*\u{e9}", b"caf\xc3\xa9", true),
            ("caf?", b"caf\xe9", true),
        ];
        for (pattern, name, wanted) in table {
            assert_eq!(matches(pattern, name), wanted, "{pattern} and {:?}", String::from_utf8_lossy(name));
        }
    }
}
