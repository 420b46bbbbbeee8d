# asserts: initdb, a server over TCP and a unix socket, pgbench with 4 clients on 2 threads loses no transaction, the balances agree,
# asserts: and still do after a crash and recovery
# packages: postgresql postgresql-contrib
# timeout: 240
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/tmp/pg
install -d -o postgres "$data"
as() { runuser -u postgres -- env PATH="$bin:$PATH" PGHOST=127.0.0.1 LC_ALL=C.UTF-8 "$@"; }
ask() { as psql -XAtq -v ON_ERROR_STOP=1 "$@"; }
balances() {
    ask -c "select (select sum(abalance) from pgbench_accounts), (select sum(bbalance) from pgbench_branches),
            (select sum(tbalance) from pgbench_tellers), (select sum(delta) from pgbench_history), (select count(*) from pgbench_history)"
}
cd "$data"
as initdb -D "$data" -A trust >/dev/null
as pg_ctl -D "$data" -o "-k /var/tmp" -l "$data/log" -w start >/dev/null || { cat "$data/log"; exit 1; }
[ "$(PGHOST=/var/tmp; runuser -u postgres -- psql -h /var/tmp -XAtqc 'select 6 * 7')" = 42 ]
as pgbench -q -i -s 2 2>/dev/null
as pgbench -c 4 -j 2 -t 200 2>/dev/null | tee bench
grep -q "actually processed: 800/800" bench
IFS='|' read -r accounts branches tellers history count <<<"$(balances)"
[ "$accounts" = "$branches" ] && [ "$accounts" = "$tellers" ] && [ "$accounts" = "$history" ] && [ "$count" = 800 ]
# parallel workers over shared memory, a large sort, listen and notify
[ "$(ask -c "set max_parallel_workers_per_gather = 2; set min_parallel_table_scan_size = 0; select sum(aid) from pgbench_accounts")" = 20000100000 ]
[ "$(ask -c "select count(*) from (select md5(i::text) m from generate_series(1, 100000) i order by m) s")" = 100000 ]
ask -c "listen door" -c "notify door, 'knock'" | grep -q knock
as pg_ctl -D "$data" -m immediate stop >/dev/null
as pg_ctl -D "$data" -o "-k /var/tmp" -l "$data/log" -w start >/dev/null
grep -q "automatic recovery in progress" "$data/log"
[ "$(balances)" = "$accounts|$branches|$tellers|$history|$count" ]
as pg_dump -t pgbench_branches | grep -q "COPY public.pgbench_branches"
as pg_ctl -D "$data" -m fast stop >/dev/null
! pgrep postgres
