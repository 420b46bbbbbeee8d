# A name server at port 53 of the addresses given. Every name is 10.9.1.1; long.test has so many addresses that an answer over UDP
# says to ask over TCP. Who is silent for two seconds is hung up on, as Docker's server does.
import socket, struct, sys, threading


def answer(query, udp):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += query[at] + 1
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    question = query[12 : at + 5]
    count = 0 if kind != 1 else 200 if labels[0] == "long" else 1
    if udp and count > 20:
        return query[:2] + struct.pack("!5H", 0x8780, 1, 0, 0, 0) + question
    fixed = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4)
    records = b"".join(fixed + bytes([10, 9, 1, n + 1]) for n in range(count))
    return query[:2] + struct.pack("!5H", 0x8580, 1, count, 0, 0) + question + records


def udp(s):
    while True:
        query, who = s.recvfrom(4096)
        s.sendto(answer(query, True), who)


def one(c):
    c.settimeout(2)
    f = c.makefile("rwb")
    try:
        while len(n := f.read(2)) == 2:
            a = answer(f.read(struct.unpack("!H", n)[0]), False)
            f.write(struct.pack("!H", len(a)) + a)
            f.flush()
    except OSError:
        pass
    c.close()


def tcp(s):
    while True:
        c, _ = s.accept()
        threading.Thread(target=one, args=(c,), daemon=True).start()


for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    u = socket.socket(family, socket.SOCK_DGRAM)
    u.bind((address, 53))
    t = socket.create_server((address, 53), family=family)
    threading.Thread(target=udp, args=(u,), daemon=True).start()
    threading.Thread(target=tcp, args=(t,), daemon=True).start()
print("up", flush=True)
threading.Event().wait()
