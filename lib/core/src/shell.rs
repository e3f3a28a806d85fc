//! Builds the shell commands that messages suggest to the user.

/// A text as one word of a shell command, on one line.
///
/// ```
/// use leasehold_core::shell_word;
///
/// assert_eq!(shell_word("tenant-7"), "tenant-7");
/// assert_eq!(shell_word("Otto's"), r"'Otto'\''s'");
/// assert_eq!(shell_word("two\nlines"), r"$'two\nlines'");
/// ```
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@%+=,".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else if text.chars().any(char::is_control) {
        // Bash, ksh and zsh know these escapes.
        let escaped = |character: char| match character {
            '\n' => r"\n".to_owned(),
            '\t' => r"\t".to_owned(),
            '\\' | '\'' => format!(r"\{character}"),
            control if control.is_ascii_control() => format!(r"\x{:02x}", u32::from(control)),
            other => other.to_string(),
        };
        format!("$'{}'", text.chars().map(escaped).collect::<String>())
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
