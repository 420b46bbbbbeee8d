# asserts: set, get, cas, incr and expiry over TCP from 50 connections at once, over UDP and a unix socket; the statistics count them
# packages: memcached python3
# timeout: 60
memcached -u nobody -l 127.0.0.1 -p 11211 -U 11211 -t 4 -m 64 &
tcp=$!
memcached -u nobody -s /tmp/mc.sock -a 777 &
unix=$!
cat >client.py <<'END'
import socket, struct, threading, time
def link(family=socket.AF_INET, to=("127.0.0.1", 11211)):
    for _ in range(100):
        try:
            s = socket.socket(family); s.connect(to); return s, s.makefile("rwb")
        except OSError: time.sleep(0.1)
    raise SystemExit("no server")
def say(f, line, data=None, lines=1):
    f.write(line.encode() + b"\r\n" + (data + b"\r\n" if data is not None else b"")); f.flush()
    return [f.readline().rstrip() for _ in range(lines)]
def one(i, bad):
    try:
        s, f = link()
        for n in range(40):
            value = bytes([65 + i % 26]) * (n * 97 + 1)
            assert say(f, f"set k{i}.{n} 0 0 {len(value)}", value) == [b"STORED"]
            head, body, end = say(f, f"get k{i}.{n}", lines=3)
            assert body == value and end == b"END", n
            say(f, "incr total 1")
    except BaseException as e: bad.append(e)
s, f = link()
assert say(f, "set total 0 0 1", b"0") == [b"STORED"]
bad = []
threads = [threading.Thread(target=one, args=(i, bad)) for i in range(50)]
[t.start() for t in threads]; [t.join() for t in threads]
assert not bad, bad
assert say(f, "get total", lines=3)[1] == b"2000"
unique = say(f, "gets total", lines=3)[0].split()[-1].decode()
assert say(f, f"cas total 0 0 1 {unique}", b"7") == [b"STORED"] and say(f, f"cas total 0 0 1 {unique}", b"8") == [b"EXISTS"]
assert say(f, "set short 0 1 1", b"x") == [b"STORED"]
time.sleep(2.5)
assert say(f, "get short") == [b"END"]
f.write(b"stats\r\n"); f.flush()
stats = {}
while (line := f.readline().split()) != [b"END"]: stats[line[1]] = line[2]
assert int(stats[b"cmd_set"]) >= 2002 and stats[b"threads"] == b"4", stats
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(5)
u.sendto(struct.pack("!HHHH", 9, 0, 1, 0) + b"get total\r\n", ("127.0.0.1", 11211))
assert b"VALUE total 0 1\r\n7\r\nEND" in u.recv(2000)
s, f = link(socket.AF_UNIX, "/tmp/mc.sock")
assert say(f, "set a 0 0 3", b"abc") == [b"STORED"] and say(f, "get a", lines=3)[1] == b"abc"
print("all well")
END
[ "$(python3 client.py)" = "all well" ]
kill $tcp $unix
wait $tcp
