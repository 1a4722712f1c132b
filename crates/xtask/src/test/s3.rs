//! An S3 server for the tests: moto's, from the Python registry, on a free port of the loopback address.

use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Result, Workspace, python::Python};

const PACKAGES: [&str; 1] = ["moto[server,s3]==5.2.5"];

const START_MAX: Duration = Duration::from_secs(60);

/// An S3 server, which ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        let python = Python::with(workspace, "s3", &PACKAGES)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log_path = workspace.scratch("test")?.join("s3.log");
        let log = File::create(&log_path)?;
        let child = python
            .command()
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if server.child.try_wait()?.is_some() || started.elapsed() > START_MAX {
                return Err(format!("the S3 server did not start, see {}", log_path.display()).into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server may have ended by itself, so errors do not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
