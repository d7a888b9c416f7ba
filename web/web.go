// Package web is the page as files, and how they are served. `make web` fills dist;
// without it there is no page, and Files says so.
//
// The one idea: what a browser needs to know is in the headers. The page may share
// memory between threads, and may run nothing and talk to nobody but this server.
package web

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// ErrNotBuilt says that the page is not in this program.
var ErrNotBuilt = errors.New("web: the page is not built: make web, then build again")

// Files are those of the page.
func Files() (fs.FS, error) {
	f, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(f, "index.html"); err != nil {
		return nil, ErrNotBuilt
	}
	return f, nil
}

// Policy is the Content-Security-Policy of the page. Styles in attributes are
// colours and sizes of data.
const Policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self' blob:; " +
	"img-src 'self' blob: data:; style-src 'self'; style-src-attr 'unsafe-inline'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// headers of every answer.
var headers = map[string]string{
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Embedder-Policy": "require-corp",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Content-Security-Policy":      Policy,
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Permissions-Policy":           "camera=(), microphone=(), geolocation=()",
	"Cache-Control":                "no-cache",
}

// kinds are the types of files by their endings.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".wasm": "application/wasm", ".svg": "image/svg+xml", ".webmanifest": "application/manifest+json",
	".txt": "text/plain; charset=utf-8", ".nii": "application/octet-stream",
}

// Handler serves the files of a page, which may be those of Files: compressed where
// they lie compressed beside and the browser takes it. Browsers ask each time, and get
// a file only if it is not the one that they have.
func Handler(files fs.FS) http.Handler {
	tags := tagsOf(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k, v := range headers {
			w.Header().Set(k, v)
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if name == "" {
			name = "index.html"
		}
		kind, ok := kinds[path.Ext(name)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Add("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			if _, err := fs.Stat(files, name+".gz"); err == nil {
				w.Header().Set("Content-Encoding", "gzip")
				name += ".gz"
			}
		}
		if tag := tags[name]; tag != "" {
			w.Header().Set("ETag", tag)
		}
		http.ServeFileFS(w, r, files, name)
	})
}

// tagsOf are the ETags of files by their names: what is embedded has no time. A file
// that cannot be read has none.
func tagsOf(files fs.FS) map[string]string {
	tags := map[string]string{}
	_ = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if b, err := fs.ReadFile(files, name); err == nil {
			tags[name] = fmt.Sprintf(`"%x"`, sha256.Sum256(b))
		}
		return nil
	})
	return tags
}
