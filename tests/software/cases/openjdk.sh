# asserts: javac compiles, java runs threads, collections under three collectors, NIO files, mappings and sockets, child processes; jar
# asserts: packs; jshell evaluates; jstack reaches a running VM
# packages: openjdk-17-jdk-headless
# timeout: 240
mkdir -p src/app
cat >src/app/Main.java <<'END'
package app;
import java.net.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.util.*; import java.util.concurrent.*; import java.util.stream.*;
public class Main {
    static void check(boolean ok, String what) { if (!ok) throw new AssertionError(what); }
    public static void main(String[] args) throws Exception {
        var pool = Executors.newFixedThreadPool(8);
        var parts = IntStream.range(0, 64).mapToObj(i -> pool.submit(() -> IntStream.range(0, 100000).mapToLong(x -> x ^ i).sum())).collect(Collectors.toList());
        long sum = 0; for (var p : parts) sum += p.get();
        pool.shutdown(); check(pool.awaitTermination(10, TimeUnit.SECONDS), "pool");
        check(sum == IntStream.range(0, 64).mapToLong(i -> IntStream.range(0, 100000).mapToLong(x -> x ^ i).sum()).sum(), "sum");
        var kept = new ArrayList<byte[]>(); // enough garbage for some collections
        for (int i = 0; i < 20000; i++) { var b = new byte[16384]; b[i % 16384] = 1; if (i % 50 == 0) kept.add(b); }
        check(kept.size() == 400, "kept");
        Path file = Files.createTempFile("nio", ".bin");
        try (var c = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MappedByteBuffer m = c.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20);
            for (int i = 0; i < 1 << 18; i++) m.putInt(i); m.force();
            var one = ByteBuffer.allocate(4); c.read(one, 4 * 1234); check(one.flip().getInt() == 1234, "mapped");
            try (var lock = c.tryLock()) { check(lock != null, "lock"); }
        }
        try (var server = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", 0)); var selector = Selector.open()) {
            server.configureBlocking(false); server.register(selector, SelectionKey.OP_ACCEPT);
            var client = CompletableFuture.supplyAsync(() -> { try (var s = new Socket("127.0.0.1", server.socket().getLocalPort())) {
                s.getOutputStream().write("ping".getBytes()); return new String(s.getInputStream().readNBytes(4)); } catch (Exception e) { return e.toString(); } });
            while (!client.isDone()) {
                selector.select(1000);
                for (var k : selector.selectedKeys()) {
                    if (k.isAcceptable()) { var s = server.accept(); if (s != null) { s.configureBlocking(false); s.register(selector, SelectionKey.OP_READ); } }
                    else if (k.isReadable()) { var b = ByteBuffer.allocate(64); var s = (SocketChannel) k.channel(); if (s.read(b) < 0) s.close(); else s.write(b.flip()); }
                }
                selector.selectedKeys().clear();
            }
            check(client.get().equals("ping"), client.get());
        }
        var child = new ProcessBuilder("sh", "-c", "read x; echo got $x; exit 7").start();
        child.getOutputStream().write("it\n".getBytes()); child.getOutputStream().close();
        check(new String(child.getInputStream().readAllBytes()).equals("got it\n") && child.waitFor() == 7, "child");
        try (var w = FileSystems.getDefault().newWatchService()) {
            Path dir = Files.createTempDirectory("watch"); dir.register(w, StandardWatchEventKinds.ENTRY_CREATE);
            Files.writeString(dir.resolve("new"), "x"); check(w.poll(10, TimeUnit.SECONDS) != null, "watch");
        }
        check(ProcessHandle.current().info().command().get().endsWith("java"), "process handle");
        check(Runtime.getRuntime().availableProcessors() >= 1 && Runtime.getRuntime().maxMemory() > 0, "runtime");
        try { Object o = null; o.hashCode(); check(false, "null"); } catch (NullPointerException e) { }
        try { deep(0); check(false, "deep"); } catch (StackOverflowError e) { }
        if (args.length > 0) { System.out.println("waiting"); Thread.sleep(60000); }
        System.out.println("all well");
    }
    static int deep(int n) { return deep(n + 1) + 1; }
}
END
javac -d out src/app/Main.java
jar cfe app.jar app.Main -C out .
for collector in UseSerialGC UseParallelGC UseG1GC; do
    [ "$(java -XX:+$collector -Xmx128m -jar app.jar)" = "all well" ]
done
java -Xmx128m -jar app.jar wait >waiting &
vm=$!
for _ in $(seq 150); do grep -q waiting waiting && break; sleep 0.2; done
jstack $vm | grep -q '"main".*sleeping\|Thread.sleep\|TIMED_WAITING'
jcmd $vm VM.version | grep -q 'JDK 17'
kill $vm
wait $vm || [ $? = 143 ]
[ "$(echo 'System.out.println(6 * 7)' | jshell -s -)" = 42 ]
