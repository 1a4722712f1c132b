//! A Redis server for the tests, on a free port of the loopback address, that keeps nothing on disk.

use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Result, Workspace, debian};

const PROGRAM: &str = "redis-server";

const START_MAX: Duration = Duration::from_secs(30);

/// A Redis server, which ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        debian::provide(PROGRAM, PROGRAM)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let folder = workspace.scratch("test")?;
        let log_path = folder.join("redis.log");
        let log = File::create(&log_path)?;
        let child = Command::new(PROGRAM)
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { child, url: format!("redis://127.0.0.1:{port}/") };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if server.child.try_wait()?.is_some() || started.elapsed() > START_MAX {
                return Err(format!("the Redis server did not start, see {}", log_path.display()).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server may have ended by itself, so errors do not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
