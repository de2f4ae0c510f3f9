//! Relations between packages: `Depends`, `Conflicts`, `Provides` and their like (Debian policy section 7.1).

use std::fmt;

use crate::version::Version;

/// One requirement: any one of its alternatives meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency(pub Vec<Relation>);

/// A package by name, perhaps only in some versions or for some architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Package, real or virtual.
    pub name: String,
    /// What stands after a colon: `any`, `native` or an architecture.
    pub qualifier: Option<String>,
    /// The versions that will do; all where there is none.
    pub constraint: Option<Constraint>,
}

/// A bound on a version, such as `>= 1.2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// How the version must compare.
    pub operator: Operator,
    /// What it is compared to.
    pub version: Version,
}

/// How a version must compare to the one that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// Longer spellings first, as one begins with another. `<` and `>` are old spellings of `<=` and `>=`.
    const SPELLINGS: [(&str, Self); 7] = [
        ("<<", Self::Earlier),
        ("<=", Self::EarlierOrEqual),
        (">=", Self::LaterOrEqual),
        (">>", Self::Later),
        ("=", Self::Equal),
        ("<", Self::EarlierOrEqual),
        (">", Self::LaterOrEqual),
    ];

    const fn sign(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }
}

impl Constraint {
    /// Whether `version` is within the bound.
    pub fn admits(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        match self.operator {
            Operator::Earlier => order.is_lt(),
            Operator::EarlierOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::LaterOrEqual => order.is_ge(),
            Operator::Later => order.is_gt(),
        }
    }
}

/// Reads a `Depends`-like field for machines of `arch`; alternatives for other architectures are left out.
///
/// # Errors
/// The part of the field that is not a relation.
pub fn parse_dependencies(field: &str, arch: &str) -> Result<Vec<Dependency>, String> {
    let mut list = Vec::new();
    for group in field.split(',').map(str::trim).filter(|group| !group.is_empty()) {
        let mut alternatives = Vec::new();
        for text in group.split('|') {
            alternatives.extend(parse_relation(text.trim(), arch)?);
        }
        if !alternatives.is_empty() {
            list.push(Dependency(alternatives));
        }
    }
    Ok(list)
}

/// Reads a `Conflicts`-, `Breaks`- or `Provides`-like field, which knows no alternatives.
///
/// # Errors
/// The part of the field that is not a relation.
pub fn parse_relations(field: &str, arch: &str) -> Result<Vec<Relation>, String> {
    let mut list = Vec::new();
    for text in field.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        list.extend(parse_relation(text, arch)?);
    }
    Ok(list)
}

/// `name[:qualifier] [(operator version)] [\[arch ...\]] [<profile ...>]`; none where it is not for `arch`.
fn parse_relation(text: &str, arch: &str) -> Result<Option<Relation>, String> {
    let wrong = || format!("`{text}` is not a package relation");
    let end = text.find(|c: char| c.is_whitespace() || "([<".contains(c)).unwrap_or(text.len());
    let (name, mut rest) = (&text[..end], text[end..].trim_start());
    let (name, qualifier) = match name.split_once(':') {
        Some((name, qualifier)) if is_name(qualifier) => (name, Some(qualifier.to_owned())),
        Some(_) => return Err(wrong()),
        None => (name, None),
    };
    if !is_name(name) {
        return Err(wrong());
    }
    let mut constraint = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (inner, after) = inner.split_once(')').ok_or_else(wrong)?;
        constraint = Some(parse_constraint(inner.trim()).ok_or_else(wrong)?);
        rest = after.trim_start();
    }
    let mut applies = true;
    if let Some(inner) = rest.strip_prefix('[') {
        let (inner, after) = inner.split_once(']').ok_or_else(wrong)?;
        applies = is_for(inner, arch);
        rest = after.trim_start();
    }
    // Build profiles (`<!nocheck>`) say nothing about installing.
    let profiles = rest.starts_with('<') && rest.ends_with('>');
    if !rest.is_empty() && !profiles {
        return Err(wrong());
    }
    Ok(applies.then(|| Relation { name: name.to_owned(), qualifier, constraint }))
}

fn parse_constraint(text: &str) -> Option<Constraint> {
    Operator::SPELLINGS.into_iter().find_map(|(sign, operator)| {
        let version = text.strip_prefix(sign)?.trim().parse().ok()?;
        Some(Constraint { operator, version })
    })
}

/// Whether a list such as `amd64 arm64` or `!i386` includes `arch`.
fn is_for(list: &str, arch: &str) -> bool {
    let matches = |name: &str| name == arch || matches!(name, "any" | "linux-any");
    let mut names = list.split_whitespace().peekable();
    if names.peek().is_some_and(|name| name.starts_with('!')) {
        return !names.any(|name| matches(name.trim_start_matches('!')));
    }
    names.any(matches)
}

/// Whether `text` can name a package (policy section 5.6.1; capitals are let through for other archives).
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(plain)
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match &self.constraint {
            Some(Constraint { operator, version }) => write!(f, " ({} {version})", operator.sign()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, relation) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { " | " };
            write!(f, "{separator}{relation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(field: &str) -> Vec<String> {
        parse_dependencies(field, "amd64").unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn dependencies_are_read_with_alternatives_versions_and_qualifiers() {
        assert_eq!(
            shown("libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0,\n perl:any, a(<<1:2~),b  ( = 1.0-1 ) ,"),
            ["libc6 (>= 2.38)", "debconf (>= 0.5) | debconf-2.0", "perl:any", "a (<< 1:2~)", "b (= 1.0-1)"]
        );
        assert_eq!(shown("x (< 1), y (> 2), z (>> 3)"), ["x (<= 1)", "y (>= 2)", "z (>> 3)"]);
        assert_eq!(shown(""), [""; 0]);
    }

    #[test]
    fn a_relation_for_another_architecture_is_left_out() {
        assert_eq!(
            shown("a [amd64], b [arm64 i386], c [!amd64], d [!i386] | e, f [linux-any], g <!nocheck>"),
            ["a", "d | e", "f", "g"]
        );
        assert_eq!(parse_dependencies("a [arm64]", "arm64").unwrap().len(), 1);
    }

    #[test]
    fn what_is_not_a_relation_is_quoted_in_the_error() {
        for text in ["a b", "a (1)", "a (>= )", "a (>= 1", "(>= 1)", "a:", "A!", "a [amd64", "é", "a || b"] {
            let error = parse_dependencies(text, "amd64").unwrap_err();
            assert!(error.contains("is not a package relation"), "{text}: {error}");
        }
    }

    #[test]
    fn constraints_admit_what_their_operator_says() {
        for (constraint, below, equal, above) in [
            ("<<", true, false, false),
            ("<=", true, true, false),
            ("=", false, true, false),
            (">=", false, true, true),
            (">>", false, false, true),
        ] {
            let list = parse_relations(&format!("a ({constraint} 2)"), "amd64").unwrap();
            let constraint = list[0].constraint.as_ref().unwrap();
            let admitted = ["1", "2", "3"].map(|text| constraint.admits(&text.parse().unwrap()));
            assert_eq!(admitted, [below, equal, above]);
        }
    }
}
