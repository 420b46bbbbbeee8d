# asserts: unshare(1) gives a time namespace with a boot time of its own
# packages: util-linux
# capabilities: CAP_SYS_ADMIN CAP_SYS_TIME
# timeout: 30
[ "$(unshare -T --boottime 100000 sh -c 'cut -d. -f1 /proc/uptime')" -ge 100000 ]
