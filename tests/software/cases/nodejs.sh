# asserts: npm installs a package from a local folder without a network and runs a script; workers, child processes, file watching, HTTP
# asserts: over loopback, streams and crypto work
# packages: nodejs npm
# timeout: 120
mkdir -p lib app
cat >lib/package.json <<'END'
{"name": "sum", "version": "1.2.3", "main": "index.js", "bin": {"sum": "cli.js"}, "dependencies": {}}
END
echo 'module.exports = (...n) => n.reduce((a, b) => a + b, 0);' >lib/index.js
printf '#!/usr/bin/env node\nconsole.log(require("./")(...process.argv.slice(2).map(Number)));\n' >lib/cli.js
chmod +x lib/cli.js
cd app
cat >package.json <<'END'
{"name": "app", "version": "1.0.0", "scripts": {"go": "node main.js", "add": "sum 1 2 3"}}
END
npm install --offline --no-audit --no-fund --install-links ../lib >/dev/null
[ -f node_modules/sum/index.js ] && [ ! -L node_modules/sum ] && grep -q '"sum": *"file:../lib"' package.json
[ "$(npm run -s add)" = 6 ]
(cd ../lib && npm pack --silent >/dev/null)
npm install --offline --no-audit --no-fund ../lib/sum-1.2.3.tgz >/dev/null
cat >main.js <<'END'
const assert = require('assert'), fs = require('fs'), http = require('http'), os = require('os');
const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');
const {execFileSync, fork} = require('child_process'), crypto = require('crypto'), zlib = require('zlib'), {pipeline} = require('stream/promises');
if (!isMainThread) { parentPort.postMessage(require('sum')(...workerData)); return; }
if (process.send) { process.send(process.pid); return; }
const once = (e, n) => new Promise((ok, no) => { e.once(n, ok); e.once('error', no); });
(async () => {
  const workers = [1, 2, 3, 4].map(i => new Worker(__filename, {workerData: [i, i]}));
  assert.deepStrictEqual(await Promise.all(workers.map(w => once(w, 'message'))), [2, 4, 6, 8]);
  const child = fork(__filename);
  assert.strictEqual(await once(child, 'message'), child.pid);
  assert.strictEqual(execFileSync('sh', ['-c', 'cat; exit 0'], {input: 'hello'}).toString(), 'hello');
  const server = http.createServer((req, res) => { res.setHeader('x-path', req.url); req.pipe(res); });
  server.listen(0, '127.0.0.1'); await once(server, 'listening');
  const url = `http://127.0.0.1:${server.address().port}`;
  const body = crypto.randomBytes(300000);
  const answers = await Promise.all([...Array(20).keys()].map(i => fetch(`${url}/${i}`, {method: 'POST', body})));
  for (const [i, a] of answers.entries()) {
    assert.strictEqual(a.headers.get('x-path'), `/${i}`);
    assert.ok(Buffer.from(await a.arrayBuffer()).equals(body));
  }
  server.closeAllConnections(); server.close();
  const dir = fs.mkdtempSync(os.tmpdir() + '/n-');
  const watcher = fs.watch(dir); const change = once(watcher, 'change');
  fs.writeFileSync(dir + '/f', body);
  await change; watcher.close();
  await pipeline(fs.createReadStream(dir + '/f'), zlib.createGzip(), fs.createWriteStream(dir + '/f.gz'));
  assert.ok(zlib.gunzipSync(fs.readFileSync(dir + '/f.gz')).equals(body));
  assert.ok(os.cpus().length >= 1 && os.totalmem() > 0 && os.loadavg().length === 3);
  const key = await new Promise((ok, no) => crypto.scrypt('p', 's', 32, (e, k) => e ? no(e) : ok(k)));
  assert.strictEqual(key.length, 32);
  const awake = setTimeout(() => {}, 10000);
  await new Promise(ok => { process.on('SIGUSR2', ok); process.kill(process.pid, 'SIGUSR2'); });
  clearTimeout(awake);
  fs.rmSync(dir, {recursive: true});
  console.log('all well');
})().catch(e => { console.error(e); process.exit(1); });
END
[ "$(npm run -s go)" = "all well" ]
