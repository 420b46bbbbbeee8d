# asserts: the Erlang VM with its port mapper and distribution starts a broker, rabbitmqctl reaches it from a VM of its own, a client
# asserts: publishes 500 messages over AMQP and reads them back after the broker was stopped and started
# packages: rabbitmq-server python3-pika procps
# timeout: 300
echo "127.0.0.1 localhost $(hostname)" >/etc/hosts
export RABBITMQ_NODENAME=rabbit@localhost
install -d -o rabbitmq /var/log/rabbitmq /var/lib/rabbitmq
start() {
    rabbitmq-server >server.log 2>&1 &
    for _ in $(seq 120); do (: </dev/tcp/127.0.0.1/5672) 2>/dev/null && return; sleep 0.5; done
    tail -30 server.log
    exit 1
}
start
rabbitmqctl -q await_startup
rabbitmqctl -q add_user app secret
rabbitmqctl -q set_permissions app '.*' '.*' '.*'
cat >client.py <<'END'
import sys, pika
c = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", credentials=pika.PlainCredentials("app", "secret"))).channel()
c.queue_declare("q", durable=True)
if sys.argv[1] == "put":
    c.confirm_delivery()
    for i in range(500):
        c.basic_publish("", "q", f"{i}:".encode() + b"x" * i, pika.BasicProperties(delivery_mode=2))
else:
    for i in range(500):
        method, _, body = c.basic_get("q", auto_ack=True)
        assert body == f"{i}:".encode() + b"x" * i, i
    assert c.basic_get("q")[0] is None
    print("all well")
END
python3 client.py put
[ "$(rabbitmqctl -q list_queues name messages | tail -1)" = "$(printf 'q\t500')" ]
[ "$(rabbitmqctl eval '6 * 7.')" = 42 ]
rabbitmqctl -q stop
wait
start
rabbitmqctl -q await_startup
[ "$(python3 client.py get)" = "all well" ]
rabbitmqctl -q stop
wait
