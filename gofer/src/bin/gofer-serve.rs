//! Serves directories by hand and for tests: `gofer-serve DIR` answers the client at the socket that is standard input,
//! `gofer-serve DIR ADDRESS` those who connect there by TCP. `gofer-serve --jail DIR [DIR]` locks itself up first (start
//! it with `unshare -mpfnui`); the client of the second directory is at standard output.
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::TcpListener;
use std::os::fd::AsFd;

use gofer::{Connection, Export, FdDir, jail};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let socket = || std::io::stdin().as_fd().try_clone_to_owned();
    let export = |dir| Ok::<_, Box<dyn Error>>(Export::new(std::fs::File::open(dir)?.into())?);
    match arguments[..] {
        ["--jail", ref dirs @ ..] => {
            let sockets = [socket()?, std::io::stdout().as_fd().try_clone_to_owned()?];
            let mount =
                |(dir, socket): (&&str, _)| jail::Mount { socket, path: dir.into(), identity: None, read_only: false };
            jail::run(dirs.iter().zip(sockets).map(mount).collect(), true, || eprintln!("ready"))?;
            host::process::end(0);
        }
        [dir] => {
            gofer::serve(vec![Connection { socket: socket()?, export: export(dir)? }], FdDir::from_proc()?, |_| Ok(()))?
        }
        [dir, address] => {
            let (listener, fds) = (TcpListener::bind(address)?, FdDir::from_proc()?);
            for stream in listener.incoming() {
                gofer::serve_stream(&stream?, &export(dir)?, &fds)?;
            }
        }
        _ => return Err("usage: gofer-serve DIR [ADDRESS] | gofer-serve --jail DIR [DIR]".into()),
    }
    Ok(())
}
