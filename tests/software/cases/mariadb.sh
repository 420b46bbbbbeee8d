# asserts: the data directory is made, a server answers over TCP and a unix socket, mysqlslap with 8 clients works, InnoDB recovers what
# asserts: was committed before a SIGKILL, a dump is restored
# packages: mariadb-server procps
# timeout: 240
data=/var/tmp/maria
install -d -o mysql "$data" /run/mysqld
mariadb-install-db --user=mysql --datadir="$data" --skip-test-db >/dev/null
start() {
    mariadbd --user=mysql --datadir="$data" --bind-address=127.0.0.1 >>"$data.log" 2>&1 &
    server=$!
    for _ in $(seq 300); do mariadb-admin ping >/dev/null 2>&1 && return; sleep 0.2; done
    cat "$data.log"
    exit 1
}
start
mariadb -e "create database shop; create user u@'127.0.0.1' identified by 'p'; grant all on shop.* to u@'127.0.0.1'"
shop() { mariadb -N -h 127.0.0.1 -u u -pp shop -e "$1"; }
shop "create table item (id int primary key auto_increment, name varchar(40), price int, key (name)) engine=InnoDB"
shop "insert into item (name, price) select concat('item', seq), seq % 97 from seq_1_to_5000"
[ "$(shop "select count(*), sum(price) from item")" = "$(printf '5000\t238887')" ]
mariadb-slap --concurrency=8 --iterations=1 --auto-generate-sql --number-of-queries=400 --auto-generate-sql-load-type=mixed >/dev/null
shop "start transaction; update item set price = 1000 where id <= 10; commit"
kill -9 $server
wait $server || true
start
[ "$(shop "select sum(price) from item where id <= 10")" = 10000 ]
mariadb-dump shop >dump.sql
mariadb -e "create database copy"
mariadb copy <dump.sql
[ "$(mariadb -Ne "checksum table shop.item" | cut -f2)" = "$(mariadb -Ne "checksum table copy.item" | cut -f2)" ]
mariadb-admin shutdown
wait $server
