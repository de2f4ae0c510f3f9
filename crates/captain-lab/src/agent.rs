//! The lab's stand-in for the tink-agent.

/// A bash script that reports its arguments and environment to captaind (`step` `agent-report`) and then
/// stays alive. It is put into an image of captaind's own registry and started like the real agent, with
/// `CAPTAIN_URL`, `CAPTAIN_BOOT` and `HW_ADDR` in its environment.
pub const STAND_IN_AGENT: &str = include_str!("../agent/tink-agent");

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn request(stream: &TcpStream) -> (String, serde_json::Value) {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the request ended early: {head}");
        }
        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        (head, serde_json::from_slice(&body).unwrap())
    }

    fn agent(listener: &TcpListener, args: &[&str]) -> Child {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("tink-agent");
        std::fs::write(&script, STAND_IN_AGENT).unwrap();
        let child = Command::new("bash")
            .arg(&script)
            .args(args)
            .env_clear()
            .env("CAPTAIN_URL", format!("http://{}", listener.local_addr().unwrap()))
            .env("CAPTAIN_BOOT", "b1f")
            .env("HW_ADDR", "52:54:00:00:00:01")
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("REGISTRY_PASSWORD", "hunter2")
            .env("ODD", "a \"quote\", a \\ and\na newline,\ta tab, \x1b, ü and b=c")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // bash has read the script when it connects; the folder stays until then.
        std::mem::forget(folder);
        child
    }

    #[test]
    fn it_reports_arguments_and_environment_masked_and_escaped_until_captaind_takes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut child =
            agent(&listener, &["-id", "a \"b\"", "-registry-pass", "hunter2", "-registry-pass=hunter2"]);
        let (first, _) = listener.accept().unwrap();
        request(&first);
        (&first).write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").unwrap();
        drop(first);
        let (second, _) = listener.accept().unwrap();
        let (head, body) = request(&second);
        (&second).write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();

        assert!(head.starts_with("POST /api/v1/machines/52:54:00:00:00:01/event HTTP/1.1\r\n"), "{head}");
        assert_eq!((&body["boot"], &body["step"]), (&"b1f".into(), &"agent-report".into()));
        let args: Vec<String> = serde_json::from_value(body["args"].clone()).unwrap();
        assert_eq!(args, ["-id", "a \"b\"", "-registry-pass", "***", "-registry-pass=***"]);
        let env: BTreeMap<String, String> = serde_json::from_value(body["env"].clone()).unwrap();
        assert_eq!(env["REGISTRY_PASSWORD"], "***");
        assert_eq!(env["ODD"], "a \"quote\", a \\ and\na newline,\ta tab, \x1b, ü and b=c");
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "it stays alive");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
