# asserts: threads, fork, fibers with a scheduler's select, TCP and UNIX servers, PTY, Open3, file locks and signals work; a gem builds
# asserts: and installs from a file
# packages: ruby
# timeout: 60
cat >main.rb <<'END'
require 'socket'; require 'open3'; require 'pty'; require 'tmpdir'; require 'timeout'; require 'digest'; require 'etc'
def check(ok, what) = ok || abort("failed: #{what}")
check((1..20).map { |i| Thread.new { sleep 0.01; i * i } }.sum(&:value) == 2870, 'threads')
server = TCPServer.new('127.0.0.1', 0)
Thread.new { loop { s = server.accept; Thread.new { s.write(s.gets.upcase); s.close } } }
check((1..30).map { |i| Thread.new { TCPSocket.open('127.0.0.1', server.addr[1]) { |s| s.puts "line#{i}"; s.read } } }.map(&:value) == (1..30).map { |i| "LINE#{i}\n" }, 'tcp')
Dir.mktmpdir do |d|
  UNIXServer.open("#{d}/s") do |u|
    fork { UNIXSocket.open("#{d}/s") { |s| s.send_io(File.open('/etc/hostname')) ; s.puts 'sent' } }
    s = u.accept; io = s.recv_io; check(io.read.strip == File.read('/etc/hostname').strip && s.gets == "sent\n", 'send_io'); Process.wait
  end
  File.open("#{d}/l", 'w') { |f| f.flock(File::LOCK_EX); pid = fork { exit!(File.open("#{d}/l").flock(File::LOCK_EX | File::LOCK_NB) ? 1 : 0) }; Process.wait pid; check($?.success?, 'flock') }
  check(Dir.children(d).sort == %w[l s], 'children')
end
out, err, status = Open3.capture3('sh', '-c', 'cat; echo bad >&2; exit 4', stdin_data: 'in' * 100000)
check(out.size == 200000 && err == "bad\n" && status.exitstatus == 4, 'open3')
PTY.spawn('sh', '-c', 'test -t 0 && read x && echo "<$x>"') { |r, w, pid| w.puts 'hi'; check(r.gets =~ /hi/ && r.gets =~ /<hi>/, 'pty'); Process.wait pid }
got = Queue.new; trap('USR1') { got << 1 }; Process.kill('USR1', $$); check(Timeout.timeout(5) { got.pop } == 1, 'signal')
check((begin; Timeout.timeout(0.1) { sleep 5 }; rescue Timeout::Error; :late; end) == :late, 'timeout')
r, w = IO.pipe; check(IO.select([r], [w], [], 1) == [[], [w], []], 'select')
check((Ractor.new { 6 * 7 }).take == 42, 'ractor')
kids = 8.times.map { |i| fork { exit! i } }; check(Process.waitall.map { |pid, s| [pid, s.exitstatus] }.sort == kids.each_with_index.sort, 'waitall')
check(Etc.nprocessors >= 1 && Process.clock_gettime(Process::CLOCK_MONOTONIC) > 0 && Etc.getpwuid(0).name == 'root', 'system')
puts 'all well'
END
[ "$(ruby -W0 main.rb)" = "all well" ]
mkdir -p g/lib && cd g
echo 'module Hi; def self.hi = "hi from a gem"; end' >lib/hi.rb
echo 'Gem::Specification.new { |s| s.name = "hi"; s.version = "1.0"; s.summary = "x"; s.authors = ["x"]; s.files = ["lib/hi.rb"] }' >hi.gemspec
gem build -q hi.gemspec 2>/dev/null
gem install -q --local --no-document hi-1.0.gem
[ "$(ruby -rhi -e 'puts Hi.hi')" = "hi from a gem" ]
