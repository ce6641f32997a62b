//! A real Chromium without a window, driven through chromedriver by the WebDriver protocol.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Far longer than any step takes, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    pub fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        // It prints "ChromeDriver was started successfully on port 12345."
        let output = BufReader::new(driver.stdout.take().expect("a pipe"));
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            line.strip_prefix("ChromeDriver was started successfully on port ")?
                .trim_end_matches('.')
                .parse()
                .ok()
        });
        let mut browser =
            Self { driver, port: port.expect("chromedriver names its port"), session: String::new() };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1400,1000",
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.call("POST", "/session", &capabilities);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    pub fn open(&self, page: &Path) {
        self.command("url", &json!({ "url": format!("file://{}", page.display()) }));
        self.wait("return document.documentElement.dataset.ready !== undefined");
    }

    /// Runs the body of a function without arguments, and returns its result.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script returns true.
    pub fn wait(&self, script: &str) {
        let end = Instant::now() + TIMEOUT;
        while self.run(script) != Value::Bool(true) {
            assert!(Instant::now() < end, "still not true: {script}; {:?}", self.messages());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses a key on the page.
    pub fn press(&self, key: &str) {
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": [
            { "type": "keyDown", "value": key }, { "type": "keyUp", "value": key },
        ] }] });
        self.command("actions", &actions);
    }

    /// Clicks on the centre of the element that matches a selector, with a real pointer.
    pub fn click(&self, selector: &str) {
        let found = self.command("element", &json!({ "using": "css selector", "value": selector }));
        let id = found
            .as_object()
            .and_then(|found| found.values().next())
            .and_then(Value::as_str)
            .expect("an element");
        self.command(&format!("element/{id}/click"), &json!({}));
    }

    /// Errors and warnings of the page, such as violations of its content security policy.
    pub fn messages(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({ "type": "browser" }));
        let messages = log.as_array().into_iter().flatten();
        let messages = messages.map(|entry| entry["message"].as_str().unwrap_or("").to_owned());
        // Advice on speed, caused by reading pixels.
        messages.filter(|message| !message.contains("willReadFrequently")).collect()
    }

    /// Saves a screenshot for people to look at, if `$OPPOSE_SCREENSHOTS` names a folder.
    pub fn save_screenshot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("OPPOSE_SCREENSHOTS") {
            let picture = self.call("GET", &format!("/session/{}/screenshot", self.session), &Value::Null);
            let base64 = picture.as_str().expect("base64");
            std::fs::write(Path::new(&folder).join(name), decode(base64))
                .expect("the screenshot can be written");
        }
    }

    pub fn command(&self, command: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}/{command}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout is set");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .expect("chromedriver reads");
        let mut reply = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reply.read_line(&mut line).expect("chromedriver answers");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reply.read_exact(&mut body).expect("the whole answer");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {answer}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn decode(base64: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = base64.bytes().filter(|&letter| letter != b'=').map(value).collect();
    let four = letters.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0_u32, |bits, &six| bits << 6 | u32::from(six)) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    four.collect()
}
