//! A virtual machine of QEMU that stands still.

use crate::ram::Ram;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A machine; killed when dropped.
#[derive(Debug)]
pub struct Vm {
    child: Child,
}

/// Until then a machine has to answer. It shares its processor with others.
const DEADLINE: Duration = Duration::from_secs(20);

/// An error of a channel while it asked for `what`: a machine that hangs is one that did not answer in time.
pub(crate) fn unanswered(error: io::Error, what: &str, channel: &UnixStream) -> io::Error {
    match (error.kind(), channel.read_timeout()) {
        (io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut, Ok(Some(deadline))) => {
            io::Error::other(format!("the machine did not answer {what:?} within {deadline:?}"))
        }
        _ => error,
    }
}

/// The variable that is looked at instead of the path.
const DIRECTORIES: &str = "GENERIC_PT_QEMU_DIR";

/// Where QEMU's program of that name is: in `GENERIC_PT_QEMU_DIR` if that is set, else where programs are.
///
/// # Errors
/// Nowhere: what to do.
pub fn program(name: &str) -> Result<PathBuf, String> {
    match env::var_os(DIRECTORIES) {
        Some(directories) => {
            let shown = directories.to_string_lossy().into_owned();
            let what = match env::split_paths(&directories).find(|directory| !directory.is_dir()) {
                Some(none) => format!(" ({} is no directory)", none.display()),
                None => String::new(),
            };
            find(name, Some(directories)).ok_or_else(|| {
                format!("no {name} in {DIRECTORIES}={shown}, which is looked at instead of the path{what}")
            })
        }
        None => find(name, env::var_os("PATH")).ok_or_else(|| {
            format!("no {name} in the path: install it (docs/conformance.md names the packages), or set {DIRECTORIES}")
        }),
    }
}

fn find(name: &str, directories: Option<OsString>) -> Option<PathBuf> {
    env::split_paths(&directories?).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The version of a program of QEMU, as it prints it.
///
/// # Errors
/// It does not run, or prints none.
pub fn version(program: &Path) -> io::Result<String> {
    let output = Command::new(program).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().skip_while(|word| *word != "version").nth(1);
    version.map(str::to_owned).ok_or_else(|| io::Error::other(format!("no version in {text:?}")))
}

/// The major version of a program of QEMU.
///
/// # Errors
/// It does not tell.
pub fn major(program: &Path) -> io::Result<u32> {
    let version = version(program)?;
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    major.ok_or_else(|| io::Error::other(format!("version {version:?} has no number")))
}

/// What the channel to a machine is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// Its debugger interface: the machine stands still.
    Debugger,
    /// Its test interface: the machine runs.
    Qtest,
}

/// A program that is killed with this one, however this one ends, where there is `setpriv` (util-linux) to arrange that.
fn bound(program: &Path) -> Command {
    let Some(setpriv) = find("setpriv", env::var_os("PATH")) else { return Command::new(program) };
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

impl Vm {
    /// Starts `program` with `machine` (which has `memory-backend=ram`) and other arguments, and gives its channel.
    ///
    /// The channel is a socket that QEMU inherits as its standard input, so there is no name that others could take. What it says
    /// is kept with its memory.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(
        program: &Path,
        machine: &str,
        channel: Channel,
        arguments: &[&str],
        ram: &Ram,
    ) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(DEADLINE))?;
        ours.set_write_timeout(Some(DEADLINE))?;
        let ram_path = ram.path().display();
        let bytes = ram.layout().bytes;
        let backend = format!("memory-backend-file,id=ram,mem-path={ram_path},size={bytes},share=on");
        let child = bound(program)
            .args(["-nodefaults", "-display", "none", "-accel", "tcg"])
            .args(["-object", &backend, "-m", &format!("{}M", bytes >> 20)])
            .args(["-machine", &format!("{machine},memory-backend=ram")])
            .args(["-chardev", "socket,id=channel,fd=0"])
            .args(match channel {
                Channel::Debugger => &["-S", "-gdb", "chardev:channel"][..],
                Channel::Qtest => &["-object", "qtest,id=qtest,chardev=channel,log=/dev/null"][..],
            })
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(ram.messages_to()?)
            .spawn()?;
        Ok((Self { child }, ours))
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
