# asserts: go builds, vets, tests (with a cache hit the second time) and runs a module of two packages; goroutines, timers, net/http, os/exec,
# asserts: signals and file locking work
# packages: golang-go ca-certificates
# timeout: 300
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0
mkdir -p m/fib && cd m
printf 'module example.org/m\n\ngo 1.19\n' >go.mod
printf 'package fib\n\nfunc Fib(n int) int {\n\tif n < 2 {\n\t\treturn n\n\t}\n\treturn Fib(n-1) + Fib(n-2)\n}\n' >fib/fib.go
printf 'package fib\n\nimport "testing"\n\nfunc TestFib(t *testing.T) {\n\tif Fib(20) != 6765 {\n\t\tt.Fatal("wrong")\n\t}\n}\n' >fib/fib_test.go
cat >main.go <<'END'
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.org/m/fib"
)

func must(ok bool, what string) {
	if !ok {
		fmt.Println("failed:", what)
		os.Exit(1)
	}
}

func main() {
	var group sync.WaitGroup
	sums := make(chan int, 200)
	for i := 0; i < 200; i++ {
		group.Add(1)
		go func() { defer group.Done(); time.Sleep(time.Millisecond); sums <- fib.Fib(18) }()
	}
	group.Wait()
	close(sums)
	total := 0
	for s := range sums {
		total += s
	}
	must(total == 200*2584, "goroutines")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { body, _ := io.ReadAll(r.Body); w.Write(body) }))
	for i := 0; i < 20; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			answer, err := http.Post(server.URL, "text/plain", strings.NewReader(strings.Repeat("x", 100000)))
			must(err == nil, "post")
			body, _ := io.ReadAll(answer.Body)
			must(len(body) == 100000, "body")
		}()
	}
	group.Wait()
	server.Close()
	out, err := exec.Command("sh", "-c", "echo $0 $1; exit 3", "a", "b").CombinedOutput()
	must(string(out) == "a b\n" && err.(*exec.ExitError).ExitCode() == 3, "exec")
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	must(<-caught == syscall.SIGUSR1, "signal")
	file, err := os.CreateTemp("", "lock")
	must(err == nil && syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil, "flock")
	spin := true // only preemption by signal lets the other goroutine run on one processor
	runtime.GOMAXPROCS(1)
	go func() { spin = false; os.Stdout.WriteString("all well\n"); os.Exit(0) }()
	for spin {
	}
	select {}
}
END
go vet ./fib
go test ./... | grep -q '^ok.*m/fib'
go test ./... | grep -q '(cached)'
go build -o m .
[ "$(timeout 60 ./m)" = "all well" ]
go version -m m | grep -q 'example.org/m'
