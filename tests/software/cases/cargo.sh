# asserts: cargo builds a workspace of a library and a program offline, with parallel rustc and a build script, runs its tests, and does
# asserts: nothing the second time
# packages: cargo
# timeout: 300
mkdir -p w/lib/src w/bin/src && cd w
printf '[workspace]\nmembers = ["lib", "bin"]\n' >Cargo.toml
printf '[package]\nname = "sums"\nversion = "0.1.0"\nedition = "2021"\n' >lib/Cargo.toml
printf '[package]\nname = "bin"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nsums = { path = "../lib" }\n' >bin/Cargo.toml
cat >lib/src/lib.rs <<'END'
//! Sums over threads.
/// Adds up what each of `n` threads counts to.
/// ```
/// assert_eq!(sums::sum(4, 10), 180);
/// ```
pub fn sum(n: u64, to: u64) -> u64 {
    let (send, receive) = std::sync::mpsc::channel();
    let all: Vec<_> = (0..n).map(|_| { let s = send.clone(); std::thread::spawn(move || s.send((0..to).sum::<u64>()).unwrap()) }).collect();
    drop(send);
    all.into_iter().for_each(|t| t.join().unwrap());
    receive.iter().sum()
}
#[test]
fn adds() { assert_eq!(sum(8, 1000), 8 * 499500); }
#[test]
#[should_panic]
fn panics() { panic!("as it should"); }
END
printf 'fn main() { println!("cargo:rustc-env=MADE={}", std::env::var("TARGET").unwrap()); }\n' >bin/build.rs
cat >bin/src/main.rs <<'END'
use std::io::{Read, Write};
fn main() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || { let (mut s, _) = listener.accept().unwrap(); let mut b = [0; 4]; s.read_exact(&mut b).unwrap(); s.write_all(&b).unwrap(); });
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"ping").unwrap();
    let mut b = String::new();
    client.read_to_string(&mut b).unwrap();
    server.join().unwrap();
    let out = std::process::Command::new("cat").arg("/proc/self/comm").output().unwrap();
    assert_eq!(out.stdout, b"cat\n");
    println!("{b} {} {}", sums::sum(4, 100), env!("MADE"));
}
END
cargo build --offline --release -q
[ "$(target/release/bin)" = "ping 19800 x86_64-unknown-linux-gnu" ]
cargo test --offline -q 2>&1 | tee tests.log | grep -q 'test result: ok. 2 passed'
! grep -q FAILED tests.log
cargo build --offline --release -v 2>&1 | grep -c Fresh | grep -qx 2
