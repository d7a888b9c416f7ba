package browsertest

import (
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

//go:embed page.html
var page []byte

//go:embed worker.js
var worker []byte

// server is what a page talks to. Its paths begin with a secret, so that other
// users of this machine do not read files by it.
type server struct {
	*http.ServeMux
	program Program
	prefix  string
	begun   sync.Once
	started chan struct{} // closed when the page has asked for the program
	exit    chan int
	gone    chan struct{} // closed when the page is no more
}

func newServer(p Program) (*server, error) {
	glue, err := wasmExec()
	if err != nil {
		return nil, err
	}
	s := &server{
		ServeMux: http.NewServeMux(), program: p, prefix: "/" + rand.Text() + "/",
		started: make(chan struct{}), exit: make(chan int, 1), gone: make(chan struct{}),
	}
	s.HandleFunc("GET "+s.prefix+"{$}", static("text/html; charset=utf-8", page))
	s.HandleFunc("GET "+s.prefix+"worker.js", static("text/javascript", worker))
	s.HandleFunc("GET "+s.prefix+"wasm_exec.js", static("text/javascript", glue))
	s.HandleFunc("GET "+s.prefix+"program.wasm", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/wasm")
		http.ServeFile(w, r, p.Wasm)
	})
	s.HandleFunc("GET "+s.prefix+"start", s.start)
	s.HandleFunc("GET "+s.prefix+"alive", s.alive)
	s.HandleFunc("POST "+s.prefix+"output", s.output)
	s.HandleFunc("POST "+s.prefix+"exit", s.exited)
	s.HandleFunc("GET "+s.prefix+"stat", s.stat)
	s.HandleFunc("GET "+s.prefix+"read", s.read)
	s.HandleFunc("GET "+s.prefix+"list", s.list)
	return s, nil
}

// wasmExec is Go's glue between wasm and JavaScript, of the Go that builds.
func wasmExec() ([]byte, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("browsertest: go env GOROOT: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		return nil, fmt.Errorf("browsertest: %w", err)
	}
	return b, nil
}

func static(kind string, b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write(b) //nolint:errcheck // the page that left is told of by alive
	}
}

// ServeHTTP adds the headers of a page that may share memory between threads.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	s.ServeMux.ServeHTTP(w, r)
}

// start tells the worker what to run.
func (s *server) start(w http.ResponseWriter, _ *http.Request) {
	s.begun.Do(func() { close(s.started) })
	env := s.program.Env
	if env == nil {
		env = map[string]string{}
	}
	reply(w, map[string]any{"argv": append([]string{s.program.Wasm}, s.program.Args...), "env": env, "dir": s.program.Dir})
}

// alive answers nothing for as long as the page lives.
func (s *server) alive(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	http.NewResponseController(w).Flush()
	<-r.Context().Done()
	close(s.gone)
}

func (s *server) output(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(s.program.Output, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *server) exited(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.URL.Query().Get("code"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case s.exit <- code:
	default: // a program exits once
	}
}

// open opens a file below the roots.
func (s *server) open(r *http.Request) (*os.File, fs.FileInfo, error) {
	path := filepath.Clean(r.URL.Query().Get("path"))
	for _, root := range s.program.Roots {
		below, err := filepath.Rel(root, path)
		if err != nil || !filepath.IsLocal(below) {
			continue
		}
		f, err := os.OpenInRoot(root, below)
		if err != nil {
			return nil, nil, err
		}
		info, err := f.Stat()
		return f, info, err
	}
	return nil, nil, fs.ErrNotExist
}

// opened is a handler of a file below the roots.
func (s *server) opened(w http.ResponseWriter, r *http.Request, f func(*os.File, fs.FileInfo)) {
	file, info, err := s.open(r)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	f(file, info)
}

func (s *server) stat(w http.ResponseWriter, r *http.Request) {
	s.opened(w, r, func(_ *os.File, info fs.FileInfo) {
		reply(w, map[string]any{"size": info.Size(), "dir": info.IsDir(), "time": info.ModTime().UnixMilli()})
	})
}

func (s *server) read(w http.ResponseWriter, r *http.Request) {
	s.opened(w, r, func(f *os.File, info fs.FileInfo) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", info.ModTime(), f)
	})
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	s.opened(w, r, func(f *os.File, _ fs.FileInfo) {
		names, err := f.Readdirnames(-1)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply(w, append([]string{}, names...))
	})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
