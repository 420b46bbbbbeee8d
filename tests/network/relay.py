# A bad line between the devices r0 and r1: relay.py PERCENT MILLISECONDS SEED. Each frame is lost by chance, or kept for so long.
import collections, random, select, signal, socket, sys, time

loss, delay = float(sys.argv[1]) / 100, float(sys.argv[2]) / 1000
chance = random.Random(int(sys.argv[3]))
ends = []
for name in ("r0", "r1"):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.bind((name, 3))
    s.setblocking(False)
    s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
    ends.append(s)
lost = passed = 0
waiting = collections.deque()  # when, where to, frame: all are kept equally long


def stop(*_):
    print("lost", lost, "passed", passed, flush=True)
    sys.exit()


signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
while True:
    pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    for s in select.select(ends, [], [], pause)[0]:
        other = ends[1 - ends.index(s)]
        for _ in range(64):
            try:
                frame, address = s.recvfrom(70000)
            except BlockingIOError:
                break
            if address[2] == 4:  # PACKET_OUTGOING: our own
                continue
            if chance.random() < loss:
                lost += 1
                continue
            waiting.append((time.monotonic() + delay, other, frame))
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        _, other, frame = waiting.popleft()
        try:
            other.send(frame)
            passed += 1
        except OSError:
            lost += 1
