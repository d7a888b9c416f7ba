// Package browsertest runs Go programs for js/wasm in a headless Chromium: the
// tests of what a radiologist's browser will run. It is no automation of pages:
// a worker runs the program, sends its output and exit code to a server on this
// machine, and reads the files that it opens from there.
//
//	GOOS=js GOARCH=wasm go test -exec "$PWD/bin/browserexec" ./backend_webgpu
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Program is what to run.
type Program struct {
	Wasm string            // path of the binary
	Args []string          // arguments, without the program's name
	Env  map[string]string // the whole environment
	Dir  string            // working directory, absolute
	// Roots are folders whose files the program may read. Nothing can be written.
	Roots  []string
	Output io.Writer // standard output and standard error, in the order of the writes
}

// starting is how long a browser may take until its page asks for the program.
const starting = 3 * time.Minute

// Run runs p until it exits and returns its exit code. An error says that there is
// no exit code: no browser (ErrNoBrowser), a browser that ended or did not start, or
// a program that took the browser's process with it.
func Run(ctx context.Context, p Program) (code int, err error) {
	path, err := Find()
	if err != nil {
		return 0, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("browsertest: %w", err)
	}
	s, err := newServer(p)
	if err != nil {
		return 0, errors.Join(err, listener.Close())
	}
	web := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go web.Serve(listener) //nolint:errcheck // it ends with Close below
	defer web.Close()
	b, err := start(path, "http://"+listener.Addr().String()+s.prefix)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	late := time.NewTimer(starting)
	defer late.Stop()
	for {
		select {
		case <-s.started:
			s.started = nil
			late.Stop()
		case code := <-s.exit:
			return code, nil
		case <-s.gone:
			return 0, b.died("the page has died: the program took its process with it, or has no memory left")
		case <-b.ended:
			return 0, b.died("the browser has ended")
		case <-late.C:
			return 0, b.died(fmt.Sprintf("the page did not start in %v", starting))
		case <-ctx.Done():
			return 0, b.died(fmt.Sprintf("stopped: %v", ctx.Err()))
		}
	}
}
