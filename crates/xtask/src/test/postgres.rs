//! A PostgreSQL server for the tests, on a free port of the loopback address, in a folder of its own that goes with it.

use std::{
    fs::{self, File},
    io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Result, Workspace, debian, process};

/// Debian keeps the server's programs of each version in a folder of their own, outside of the search path.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The server's programs refuse to run as root; this user comes with Debian's package.
const USER: &str = "postgres";

const ROLE: &str = "millstream";

const START_MAX: Duration = Duration::from_secs(60);

/// How long a server that was asked to stop may take before it is killed.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A PostgreSQL server, which ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    url: String,
}

impl Server {
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        let programs = programs()?;
        // A folder beside the build's own files may stand where the server's user cannot look.
        let folder = std::env::temp_dir().join(format!("millstream-postgres-{}", std::process::id()));
        remove(&folder)?;
        fs::create_dir(&folder)?;
        if is_root()? {
            process::output(Command::new("chown").arg(USER).arg(&folder))?;
        }
        let data = folder.join("data");
        let mut make = as_user(&programs.join("initdb"))?;
        make.args(["--username", ROLE, "--auth", "trust", "--encoding", "UTF8", "--no-sync", "--pgdata"])
            .arg(&data);
        process::output(make.current_dir(&folder))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let log_path = workspace.scratch("test")?.join("postgres.log");
        let log = File::create(&log_path)?;
        let child = as_user(&programs.join("postgres"))?
            .current_dir(&folder)
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-F", "-c", "max_connections=300", "-k"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let url = format!("postgres://{ROLE}@127.0.0.1:{port}/postgres");
        let mut server = Self { child, folder, url };
        let started = Instant::now();
        // The server listens before it lets anyone in, and says in a file when it does.
        while TcpStream::connect(("127.0.0.1", port)).is_err() || !is_ready(&data) {
            if server.child.try_wait()?.is_some() || started.elapsed() > START_MAX {
                return Err(format!("the PostgreSQL server did not start, see {}", log_path.display()).into());
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
        // The server may have ended by itself, so errors do not matter. Asked by a signal, it ends its own processes
        // too.
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let since = Instant::now();
        while asked.is_ok() && since.elapsed() < STOP_MAX && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the newest server that is installed.
fn programs() -> Result<PathBuf> {
    if let Some(folder) = newest() {
        return Ok(folder);
    }
    debian::install("postgresql")?;
    newest().ok_or_else(|| format!("Debian's package `postgresql` brought nothing to {VERSIONS}").into())
}

fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let programs = path.join("bin");
        programs.join("initdb").is_file().then_some((version, programs))
    });
    versions.max().map(|(_, programs)| programs)
}

fn as_user(program: &Path) -> Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    Ok(command)
}

fn is_root() -> Result<bool> {
    Ok(process::output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// Whether the server lets clients in: the last line of this file is its state.
fn is_ready(data: &Path) -> bool {
    let state = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    state.lines().last().is_some_and(|line| line.trim() == "ready")
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
