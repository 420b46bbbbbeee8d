# asserts: the built-in web server with 4 workers answers, PDO's absence aside: json, mbstring, pcntl fork and signals, streams, opcache in
# asserts: shared memory, sessions in files
# packages: php-cli
# timeout: 60
mkdir -p web && cd web
cat >index.php <<'END'
<?php
session_save_path('/tmp'); session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
header('Content-Type: application/json');
echo json_encode(['path' => $_SERVER['REQUEST_URI'], 'n' => $_SESSION['n'], 'sum' => array_sum($_GET), 'body' => strlen(file_get_contents('php://input'))]);
END
PHP_CLI_SERVER_WORKERS=4 php -d opcache.enable_cli=1 -S 127.0.0.1:8080 index.php >log 2>&1 &
server=$!
cat >client.php <<'END'
<?php
function check($ok, $what) { if (!$ok) { fwrite(STDERR, "failed: $what\n"); exit(1); } }
function ask($path, $body, $cookie) {
    $o = ['http' => ['method' => 'POST', 'content' => $body, 'header' => "Content-Type: application/octet-stream\r\nCookie: PHPSESSID=$cookie\r\n"]];
    return json_decode(@file_get_contents("http://127.0.0.1:8080$path", false, stream_context_create($o)), true);
}
for ($i = 0; $i < 100 && !($s = @fsockopen('127.0.0.1', 8080)); $i++) usleep(100000);
fclose($s);
$children = [];
for ($c = 0; $c < 4; $c++) {
    $pid = pcntl_fork();
    if ($pid == 0) {
        for ($i = 1; $i <= 10; $i++) {
            $a = ask("/x?a=$i&b=2", str_repeat('y', 50000), "child$c");
            check($a == ['path' => "/x?a=$i&b=2", 'n' => $i, 'sum' => $i + 2, 'body' => 50000], json_encode($a));
        }
        exit(10 + $c);
    }
    $children[$pid] = 10 + $c;
}
foreach ($children as $pid => $want) { pcntl_waitpid($pid, $status); check(pcntl_wexitstatus($status) == $want, "child $want"); }
pcntl_async_signals(true); $got = 0;
pcntl_signal(SIGALRM, function () use (&$got) { $got++; });
pcntl_alarm(1); sleep(5); check($got == 1, 'alarm');
$pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0); fwrite($pair[0], "line\n"); check(fgets($pair[1]) == "line\n", 'pair');
$p = proc_open(['tr', 'a-z', 'A-Z'], [['pipe', 'r'], ['pipe', 'w']], $pipes); fwrite($pipes[0], 'shout'); fclose($pipes[0]);
check(stream_get_contents($pipes[1]) == 'SHOUT' && proc_close($p) == 0, 'proc_open');
$f = fopen('/tmp/l', 'c+'); check(flock($f, LOCK_EX), 'flock'); check(password_verify('x', password_hash('x', PASSWORD_BCRYPT, ['cost' => 5])), 'hash');
check(disk_free_space('/tmp') > 0 && gethostname() == 'software' && posix_getpwuid(0)['name'] == 'root', 'system');
echo "all well\n";
END
[ "$(php client.php)" = "all well" ] || { cat log; exit 1; }
kill $server
wait $server || true
[ "$(php -d opcache.enable_cli=1 -r 'echo opcache_get_status()["opcache_enabled"] ? "on" : "off";')" = on ]
