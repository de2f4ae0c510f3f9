//! A strict template: `{{name}}` is replaced, everything else is kept, an unknown name is an error at load.

use crate::TemplateError;

/// A text with places to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Hole(&'static str),
}

impl Template {
    /// Takes `text` apart; `known` are the names it may use.
    pub(crate) fn parse(
        file: &'static str,
        text: &str,
        known: &'static [&'static str],
    ) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        for (at, line) in text.split_inclusive('\n').enumerate() {
            parse_line(file, at + 1, line, known, &mut pieces)?;
        }
        Ok(Self { pieces })
    }

    /// The text with `value` asked for each place.
    pub(crate) fn render(&self, value: impl Fn(&'static str) -> String) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Hole(name) => value(name),
            })
            .collect()
    }
}

fn parse_line(
    file: &'static str,
    line: usize,
    mut rest: &str,
    known: &'static [&'static str],
    pieces: &mut Vec<Piece>,
) -> Result<(), TemplateError> {
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, behind) = after.split_once("}}").ok_or(TemplateError::Unclosed { file, line })?;
        let known_name = known.iter().copied().find(|known| *known == name.trim());
        let hole = known_name.ok_or_else(|| TemplateError::UnknownPlaceholder {
            file,
            line,
            name: name.to_owned(),
            known: known.join(", "),
        })?;
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Hole(hole));
        rest = behind;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["mac", "why"];

    #[test]
    fn places_are_filled_and_ipxe_settings_are_left_alone() {
        let template = Template::parse("t", "echo {{mac}} ${net0/mac}\n{{ why }}.", KNOWN).unwrap();
        assert_eq!(template.render(|name| format!("<{name}>")), "echo <mac> ${net0/mac}\n<why>.");
    }

    #[test]
    fn a_value_is_never_taken_for_a_place() {
        let template = Template::parse("t", "{{mac}}", KNOWN).unwrap();
        assert_eq!(template.render(|_| "{{why}}".to_owned()), "{{why}}");
    }

    #[test]
    fn an_unknown_place_is_named_with_its_line_and_those_that_there_are() {
        let error = Template::parse("boot.ipxe", "#!ipxe\n\necho {{mca}}\n", KNOWN).unwrap_err();
        assert_eq!(
            error.to_string(),
            "boot.ipxe:3: no such placeholder as `{{mca}}`: boot.ipxe may use mac, why"
        );
        let error = Template::parse("boot.ipxe", "a\n{{mac\n}}", KNOWN).unwrap_err();
        assert_eq!(error.to_string(), "boot.ipxe:2: `{{` without `}}` on the same line");
    }
}
