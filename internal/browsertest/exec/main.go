// Command exec is what `go test -exec` and `go run -exec` start for a js/wasm
// program: it runs in a headless Chromium, with the GOUNET_ variables of the
// environment, and may read the module's files and those of GOUNET_DATA.
//
//	go build -o bin/browserexec ./internal/browsertest/exec
//	GOOS=js GOARCH=wasm go test -exec "$PWD/bin/browserexec" ./backend_webgpu
//
// Without arguments it prints the browser that it would start, or says why there is
// none and exits with 1.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gounet/gounet/internal/browsertest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT) // go test sends the last when time is up
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (code int, err error) {
	if len(args) == 0 {
		path, err := browsertest.Find()
		if err == nil {
			fmt.Println(path)
		}
		return 0, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	wasm, err := filepath.Abs(args[0])
	if err != nil {
		return 0, err
	}
	p := browsertest.Program{Wasm: wasm, Dir: dir, Roots: []string{module(dir)}, Env: map[string]string{}, Output: os.Stdout}
	if data := os.Getenv("GOUNET_DATA"); data != "" {
		p.Roots = append(p.Roots, filepath.Clean(data))
	}
	for _, e := range os.Environ() {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "GOUNET_") {
			p.Env[name] = value
		}
	}
	limit := time.Duration(0)
	for _, a := range args[1:] {
		if strings.HasPrefix(a, "-test.testlogfile=") {
			continue // a file to write; without it go test does not keep the result
		}
		if t, ok := strings.CutPrefix(a, "-test.timeout="); ok {
			if limit, err = time.ParseDuration(t); err != nil {
				return 0, err
			}
		}
		p.Args = append(p.Args, a)
	}
	if limit > 0 { // the program notices it by itself, unless it hangs
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit+30*time.Second)
		defer cancel()
	}
	return browsertest.Run(ctx, p)
}

// module is the folder of the go.mod above dir, or dir.
func module(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}
