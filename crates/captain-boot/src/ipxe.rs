//! How text gets through iPXE's shell unchanged.
//!
//! iPXE splits a line at white space (there are no quotes), ends a command at a token that is `||`, `&&` or
//! `;` or starts with `#`, joins lines at a backslash, and only then replaces `${...}` in each token
//! (`src/core/exec.c`, `src/image/script.c`). A setting that nobody has set expands to nothing, so in front of
//! such a token it hides it from the shell and leaves no trace in the argument.

const NOTHING: &str = "${nothing}";

/// `line` as the tail of an iPXE command: the command gets exactly these bytes back when it joins its
/// arguments with single spaces. `${` must not be in it (see [`crate::BootError::Expansion`]).
pub(crate) fn arguments(line: &str) -> String {
    let tokens: Vec<_> = line.split(' ').map(token).collect();
    tokens.join(" ")
}

/// `text` for `echo`: as [`arguments`], and what would be expanded or move the cursor is taken apart.
pub(crate) fn text(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    arguments(&printable.replace("${", "$ {"))
}

fn token(token: &str) -> String {
    let hidden = token.is_empty() || token.starts_with('#') || matches!(token, "||" | "&&" | ";");
    let (before, after) = (hidden, token.ends_with('\\'));
    format!("{}{token}{}", if before { NOTHING } else { "" }, if after { NOTHING } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shell_would_take_is_hidden_and_the_rest_is_left_alone() {
        for (plain, escaped) in [
            ("console=ttyS0,115200 foo=bar", "console=ttyS0,115200 foo=bar"),
            (r#"a="b c""#, r#"a="b c""#),
            (r#"a="b  c""#, r#"a="b ${nothing} c""#),
            (r#"a="x || y && z ; #t""#, r#"a="x ${nothing}|| y ${nothing}&& z ${nothing}; ${nothing}#t""#),
            ("a=b#c a||b", "a=b#c a||b"),
            (r"path=c:\", r"path=c:\${nothing}"),
        ] {
            assert_eq!(arguments(plain), escaped);
        }
    }

    #[test]
    fn echoed_text_cannot_start_another_command_or_read_a_setting() {
        assert_eq!(text("no\nreboot || ${net0/mac}"), "no reboot ${nothing}|| $ {net0/mac}");
    }
}
