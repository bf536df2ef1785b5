//! A headless Chromium, driven through its WebDriver.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A browser with one page.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts one, or says that the test is skipped: which is a failure with `GENERIC_PT_REQUIRE_BROWSER=1`.
    pub fn here() -> Option<Self> {
        let is_required = std::env::var_os("GENERIC_PT_REQUIRE_BROWSER").is_some_and(|value| value == "1");
        match Self::start() {
            Ok(browser) => Some(browser),
            Err(reason) if is_required => panic!("GENERIC_PT_REQUIRE_BROWSER=1, and there is {reason}"),
            Err(reason) => {
                // Not through the harness, which would keep it to itself.
                let _ = writeln!(std::io::stderr(), "skipped: {reason}");
                None
            }
        }
    }

    /// Starts one; the reason if there is none here.
    fn start() -> Result<Self, String> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("no chromedriver ({error}; Debian: chromium chromium-driver)"))?;
        let output = driver.stdout.take().expect("it is a pipe");
        let mut lines = BufReader::new(output).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.split_once("started successfully on port ")?.1;
            rest.trim_end_matches('.').parse().ok()
        });
        // It must not fill up.
        std::thread::spawn(move || lines.map_while(Result::ok).count());
        let mut browser =
            Self { driver, port: port.ok_or("a chromedriver that does not start")?, session: String::new() };
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.post("/session", &capabilities).map_err(|error| format!("no Chromium: {error}"))?;
        browser.session = session["sessionId"].as_str().ok_or("no session")?.to_owned();
        Ok(browser)
    }

    /// A command of the session.
    pub fn command(&self, name: &str, body: Value) -> Value {
        let path = format!("/session/{}/{name}", self.session);
        self.post(&path, &body).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A command of Chromium's own protocol.
    pub fn devtools(&self, name: &str, parameters: Value) -> Value {
        self.command("goog/cdp/execute", json!({ "cmd": name, "params": parameters }))
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Moves the mouse to the middle of the first element of a selector.
    pub fn hover(&self, selector: &str) {
        self.run(&format!("document.querySelector({selector:?}).scrollIntoView({{ block: 'center' }})"));
        let element = self.command("element", json!({ "using": "css selector", "value": selector }));
        let to = json!({ "type": "pointerMove", "duration": 0, "origin": element, "x": 0, "y": 0 });
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": [to] });
        self.command("actions", json!({ "actions": [mouse] }));
    }

    /// Opens a file.
    pub fn open(&self, page: &Path) {
        self.command("url", json!({ "url": format!("file://{}", page.display()) }));
    }

    /// Presses the mouse button in the middle of the first element of a selector.
    pub fn click(&self, selector: &str) {
        self.hover(selector);
        let [down, up] = ["pointerDown", "pointerUp"].map(|kind| json!({ "type": kind, "button": 0 }));
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": [down, up] });
        self.command("actions", json!({ "actions": [mouse] }));
    }

    /// Presses a key, in what has the focus.
    pub fn press(&self, key: &str) {
        let actions = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        self.command("actions", json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    /// Prefers `light` or `dark`.
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// Becomes a phone, 390 pixels wide.
    pub fn become_phone(&self) {
        let phone = json!({ "width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", phone);
    }

    /// Keeps a picture of the whole page in the directory `GENPT_SCREENSHOTS`, if that is set.
    pub fn screenshot(&self, name: &str) {
        let Some(directory) = std::env::var_os("GENPT_SCREENSHOTS") else { return };
        let metrics = self.devtools("Page.getLayoutMetrics", json!({}));
        let size = |key: &str| metrics["cssContentSize"][key].as_f64().unwrap().min(6000.0);
        let clip = json!({ "x": 0, "y": 0, "width": size("width"), "height": size("height"), "scale": 1 });
        let picture = self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "clip": clip }));
        let path = Path::new(&directory).join(format!("{name}.png.base64"));
        std::fs::write(path, picture["data"].as_str().unwrap()).unwrap();
    }

    /// What the page wrote to its console, and what went wrong in it.
    pub fn console(&self) -> Vec<Value> {
        self.command("se/log", json!({ "type": "browser" })).as_array().cloned().unwrap_or_default()
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.request("POST", path, body)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = body.to_string();
        let exchange = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")?;
            write!(stream, "Content-Length: {}\r\n\r\n{body}", body.len())?;
            let mut reader = BufReader::new(stream);
            let mut len = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                if line.trim().is_empty() {
                    break;
                }
                if let Some(("content-length", value)) = line.to_ascii_lowercase().split_once(':') {
                    len = value.trim().parse().unwrap_or(0);
                }
            }
            let mut answer = vec![0; len];
            reader.read_exact(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"])),
            None => Ok(value),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser with the session, and not when it is ended itself.
        let _ = self.request("DELETE", &format!("/session/{}", self.session), &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
