"""Times what tests/perf/engines/lifecycle has set up, and prints tables: medians in milliseconds."""
import json, os, pathlib, random, statistics, subprocess, sys, time

work = pathlib.Path(os.environ["WORK"])
wanted = os.environ.get("RUNTIMES", "").split()
runtimes = {p.name: str(p) for p in sorted((work / "runtimes").iterdir()) if not wanted or p.name in wanted}
SHELL = ["sh", "-c", 'trap "exit 0" TERM; while :; do sleep 0.05; done']
ctr = ["ctr", "-a", str(work / "containerd.sock")]
podman = ["podman", "--root", str(work / "podman"), "--runroot", str(work / "podman-run"),
          "--cgroup-manager", "cgroupfs", "--storage-driver", "overlay"]


def call(*words, check=True):
    # A file: a container's own errors go where its creator's do, and would keep a pipe open.
    with open(work / "errors", "w+") as errors:
        start = time.perf_counter()
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, timeout=60)
        took = (time.perf_counter() - start) * 1e3
        if check and done.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(words)}: {errors.read()[-300:]}")
    return took


def cli(runtime, name):
    bundle = work / "bundle" / runtime
    if not bundle.exists():
        bundle.mkdir(parents=True)
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["sleep", "1000"])
        config["process"]["env"] = ["PATH=/bin"]
        config["root"]["path"] = str(work / "root")
        config["linux"]["cgroupsPath"] = "/lifecycle"
        # root here may lack the right to raise it
        config["process"].pop("rlimits", None)
        (bundle / "config.json").write_text(json.dumps(config))
    run = [runtimes[runtime], "--root", str(work / "state")]
    steps = {"create": call(*run, "create", "--bundle", str(bundle), name), "start": call(*run, "start", name), "stop": call(*run, "kill", name, "KILL")}
    while True:
        start = time.perf_counter()
        state = subprocess.run([*run, "state", name], capture_output=True, text=True)
        if '"stopped"' in state.stdout.replace(" ", ""):
            break
    steps["delete"] = call(*run, "delete", name)
    return steps


def docker(runtime, name):
    steps = {"create": call("docker", "create", "--name", name, "--runtime", runtime, "bb", *SHELL), "start": call("docker", "start", name)}
    time.sleep(0.2)
    return {**steps, "stop": call("docker", "stop", name), "delete": call("docker", "rm", name)}


def ctr_run(runtime, name):
    # Only of "run" does ctr let choose what runc is: creating is part of it.
    return [*ctr, "run", "-d", "--runc-binary", runtimes[runtime], "localhost/busybox:1", name, "sleep", "1000"]


def containerd(runtime, name):
    steps = {"create": 0.0, "start": call(*ctr_run(runtime, name))}
    time.sleep(0.2)
    start = time.perf_counter()
    call(*ctr, "task", "kill", "-s", "KILL", name)
    call(*ctr, "task", "delete", name, check=False)
    steps["stop"] = (time.perf_counter() - start) * 1e3
    return {**steps, "delete": call(*ctr, "container", "rm", name)}


def podman_life(runtime, name):
    run = [*podman, "--runtime", runtimes[runtime]]
    create = call(*run, "create", "--name", name, "--network", "none", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096", "bb", *SHELL)
    steps = {"create": create, "start": call(*run, "start", name)}
    time.sleep(0.2)
    return {**steps, "stop": call(*run, "stop", "-t", "5", name), "delete": call(*run, "rm", name)}


def clean(name):
    call("docker", "rm", "-f", name, check=False)
    call(*ctr, "task", "delete", "-f", name, check=False)
    call(*ctr, "container", "rm", name, check=False)
    for path in runtimes.values():
        call(path, "--root", str(work / "state"), "delete", "--force", name, check=False)


def lifecycle():
    engines = {"cli": cli, "docker": docker, "ctr": containerd, "podman": podman_life}
    if "podman" in os.environ["ENGINES"]:
        subprocess.run([*podman, "import", "-q", str(work / "layer"), "bb"], stdout=subprocess.DEVNULL, check=True)
    for engine in os.environ["ENGINES"].split():
        times, failed = {r: [] for r in runtimes}, dict.fromkeys(runtimes, 0)
        for i in range(int(os.environ["ROUNDS"]) + 1):
            for runtime in random.Random(i).sample(list(runtimes), len(runtimes)):
                name = f"life{i}-{runtime}"
                try:
                    steps = engines[engine](runtime, name)
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    failed[runtime] += 1
                    print(f"{engine} {runtime}: {error}", file=sys.stderr)
                    clean(name)
                    continue
                if i:  # the first round warms up
                    times[runtime].append({**steps, "total": sum(steps.values())})
        columns = ["create", "start", "stop", "delete", "total"]
        print(f"\n{engine:<20}" + "".join(f"{c:>9}" for c in [*columns, "failed"]))
        for runtime in runtimes:
            cells = [statistics.median(t[c] for t in times[runtime]) if times[runtime] else float("nan") for c in columns]
            print(f"{runtime:<20}" + "".join(f"{c:>9.0f}" for c in cells) + f"{failed[runtime]:>9}", flush=True)


def memory():
    """PSS of everything that is neither us nor was there before, in MiB."""
    total = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        if int(process.name) in before:
            continue
        try:
            total += int((process / "smaps_rollup").read_text().split("Pss:")[1].split()[0])
        except (OSError, IndexError):
            pass
    return total / 1024


def leftovers():
    """Processes of containers that have come since."""
    count = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        if int(process.name) not in before:
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue
            count += b"sleep\0001000" in words or words.startswith(b"runsc-rs-gofer") or (b"shim" in words and str(work).encode() in words)
    return count


def many(count):
    print(f"{'at once: ' + str(count):<20}{'seconds':>9}{'running':>9}{'MiB each':>9}{'left':>9}")
    for runtime in runtimes:
        names = [f"many{i}" for i in range(count)]
        before.clear()
        before.update(int(p.name) for p in pathlib.Path("/proc").glob("[0-9]*"))
        start = time.perf_counter()
        starting = [subprocess.Popen(ctr_run(runtime, name), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in names]
        problems = [p.communicate()[1].decode()[-200:] for p in starting]
        took = time.perf_counter() - start
        for problem in sorted({p for p in problems if p}):
            print(problem, file=sys.stderr)
        listed = subprocess.run([*ctr, "task", "ls"], capture_output=True, text=True).stdout
        running, each = listed.count("RUNNING"), memory() / count
        for name in names:
            call(*ctr, "task", "delete", "-f", name, check=False)
            call(*ctr, "container", "rm", name, check=False)
        time.sleep(1)
        left = leftovers()
        print(f"{runtime:<20}{took:>9.1f}{running:>9}{each:>9.1f}{left:>9}", flush=True)


before = set()
if int(os.environ["MANY"]):
    many(int(os.environ["MANY"]))
else:
    lifecycle()
