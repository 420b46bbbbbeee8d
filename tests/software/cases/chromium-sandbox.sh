# asserts: Chromium's own sandbox of namespaces and seccomp filters holds its renderer while it shows a page to a user who is not root
# packages: chromium chromium-sandbox fonts-dejavu-core util-linux
# capabilities: CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_NET_ADMIN
# timeout: 120
cd /tmp
echo '<p id=p>before</p><script>document.getElementById("p").textContent = "after " + 6 * 7</script>' >page.html
setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/tmp/home timeout 100 chromium --headless --disable-gpu --no-first-run \
    --user-data-dir=/tmp/profile --dump-dom file:///tmp/page.html 2>browser.log | tee dom | grep -q 'after 42' || { tail browser.log; exit 1; }
