//! [`Reference`]: what an image is called, `[host/]repository[:tag]`.

use std::fmt;
use std::str::FromStr;

/// The host that names without one mean, as every container tool has it.
const DEFAULT_HOST: &str = "docker.io";

/// A repository of some registry and a tag in it.
///
/// `tink-agent` means `docker.io/library/tink-agent:latest`, as it does to docker, containerd and podman.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    host: String,
    repository: String,
    tag: String,
}

impl Reference {
    /// The registry the image came from or is a stand-in for: `docker.io`, `registry.example:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository within that registry: `library/tink-agent`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag: `latest` where none was said.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Host and repository, without the tag: `docker.io/library/tink-agent`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// The shortest repository name under which our registry serves it: `tink-agent`.
    pub fn served(&self) -> &str {
        match self.host.as_str() {
            DEFAULT_HOST => self.repository.strip_prefix("library/").unwrap_or(&self.repository),
            _ => &self.repository,
        }
    }

    /// Whether a request for `repository` means this image; `namespace` is the `ns` that containerd adds when
    /// it takes us for a mirror of that host.
    pub(crate) fn answers_to(&self, repository: &str, namespace: Option<&str>) -> bool {
        let here = repository == self.repository || repository == self.served();
        match namespace {
            Some(host) if self.host == canonical_host(host) => here,
            // A name of ours is found whatever host the machine believes it speaks to.
            _ => here || repository == self.name(),
        }
    }

    /// Whether `namespace` is the very host that this image is from.
    pub(crate) fn is_from(&self, namespace: &str) -> bool {
        self.host == canonical_host(namespace)
    }
}

fn canonical_host(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_HOST,
        other => other,
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.host, self.repository, self.tag)
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is not an image name: {why}");
        if text.contains('@') {
            return Err(wrong("a digest cannot be given as a name; write name:tag"));
        }
        let (path, tag) = split_tag(text);
        let (host, repository) = split_host(path);
        if !is_tag(tag) {
            return Err(wrong("the tag may hold letters, digits and `_.-`, at most 128"));
        }
        if !is_component(&host.to_ascii_lowercase()) || !is_repository(&repository) {
            return Err(wrong("want lower-case letters and digits, parted by `.`, `_`, `-` or `/`"));
        }
        Ok(Self { host: canonical_host(host).to_owned(), repository, tag: tag.to_owned() })
    }
}

fn split_tag(text: &str) -> (&str, &str) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (text, "latest"),
    }
}

/// A first part with a dot or a port, or `localhost`, is a host (as in docker's `distribution/reference`).
fn split_host(path: &str) -> (&str, String) {
    match path.split_once('/') {
        Some((host, rest)) if host == "localhost" || host.contains(['.', ':']) => {
            let bare = canonical_host(host) == DEFAULT_HOST && !rest.contains('/');
            (host, if bare { format!("library/{rest}") } else { rest.to_owned() })
        }
        Some(_) => (DEFAULT_HOST, path.to_owned()),
        None => (DEFAULT_HOST, format!("library/{path}")),
    }
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`: OCI distribution specification 1.1, "Pulling manifests".
pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|c| word(c) || matches!(c, b'.' | b'-'))
}

/// The `<name>` of OCI distribution specification 1.1, "Pulling manifests". A host in front passes too.
pub(crate) fn is_repository(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(is_component)
}

fn is_component(part: &str) -> bool {
    let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.bytes().next().is_some_and(word)
        && part.bytes().last().is_some_and(word)
        && part.bytes().all(|c| word(c) || matches!(c, b'.' | b'_' | b'-' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn short_names_mean_what_container_tools_take_them_for() {
        for (short, long) in [
            ("a", "docker.io/library/a:latest"),
            ("a:1", "docker.io/library/a:1"),
            ("a/b:1", "docker.io/a/b:1"),
            ("docker.io/a", "docker.io/library/a:latest"),
            ("index.docker.io/a/b", "docker.io/a/b:latest"),
            ("localhost/a", "localhost/a:latest"),
            ("r.example:5000/a/b/c:v1.2", "r.example:5000/a/b/c:v1.2"),
        ] {
            assert_eq!(reference(short).to_string(), long);
            assert_eq!(reference(long).to_string(), long);
        }
    }

    #[test]
    fn names_that_are_no_names_are_refused() {
        for text in
            ["", ":1", "a:", "A", "a//b", "../a", "a/..", "a:t/../x", "a@sha256:00", "a b", "a:\u{e9}"]
        {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_image_answers_to_its_short_its_full_and_its_mirrored_name() {
        let agent = reference("tink-agent:1");
        for name in ["tink-agent", "library/tink-agent", "docker.io/library/tink-agent"] {
            assert!(agent.answers_to(name, None), "{name}");
        }
        assert!(agent.answers_to("library/tink-agent", Some("docker.io")));
        assert!(!agent.answers_to("other/tink-agent", None));
        let quay = reference("r.example/x/y:1");
        assert!(quay.answers_to("x/y", Some("r.example")));
        assert!(!quay.answers_to("y", None));
    }
}
