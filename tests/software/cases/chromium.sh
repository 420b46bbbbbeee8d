# asserts: headless Chromium with its renderer and GPU processes loads a local page, runs its script, and takes a screenshot with the
# asserts: colours the script painted; the DOM it dumps holds what the script wrote
# packages: chromium fonts-dejavu-core python3
# timeout: 180
cat >page.html <<'END'
<!doctype html><title>t</title><body style="margin:0;background:#fff"><div id=d style="width:100px;height:100px"></div><p id=p>before</p>
<canvas id=c width=100 height=100 style="position:absolute;left:200px;top:0"></canvas>
<script>
document.getElementById("d").style.background = "rgb(" + [255, 0, 0].join() + ")";
document.getElementById("p").textContent = "after " + [1, 2, 3].map(x => x * x).join("+");
const g = document.getElementById("c").getContext("2d"); g.fillStyle = "#0000ff"; g.fillRect(0, 0, 100, 100);
</script>
END
browse() { timeout 80 chromium --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir=/tmp/profile "$@" "file://$PWD/page.html" 2>browser.log; }
browse --dump-dom | tee dom | grep -q "after 1+4+9" || { tail browser.log; exit 1; }
browse --window-size=400,300 --screenshot=shot.png || { tail browser.log; exit 1; }
cat >pixels.py <<'END'
import struct, zlib
data = open("shot.png", "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n"
at, packed = 8, b""
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at:at + 8]); body = data[at + 8:at + 8 + size]; at += size + 12
    if kind == b"IHDR": width, height, depth, colour = struct.unpack(">IIBB", body[:10])
    if kind == b"IDAT": packed += body
assert (width, height, depth) == (400, 300, 8) and colour in (2, 6), (width, height, depth, colour)
step = 3 if colour == 2 else 4
raw, rows, last = zlib.decompress(packed), [], bytearray(width * step)
for y in range(height):
    kind, line = raw[y * (width * step + 1)], bytearray(raw[y * (width * step + 1) + 1:(y + 1) * (width * step + 1)])
    for i in range(len(line)):
        a, b, c = (line[i - step] if i >= step else 0), last[i], (last[i - step] if i >= step else 0)
        p = a + b - c
        paeth = min((abs(p - v), n, v) for n, v in enumerate((a, b, c)))[2]
        line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
    rows.append(line); last = line
pixel = lambda x, y: tuple(rows[y][x * step:x * step + 3])
assert pixel(50, 50) == (255, 0, 0), pixel(50, 50)
assert pixel(250, 50) == (0, 0, 255), pixel(250, 50)
assert pixel(390, 290) == (255, 255, 255), pixel(390, 290)
assert any(pixel(x, y) < (100, 100, 100) for x in range(100) for y in range(100, 150)), "no text"
print("all well")
END
[ "$(python3 pixels.py)" = "all well" ]
