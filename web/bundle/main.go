// Command bundle makes web/dist, which the server embeds: the scripts with NiiVue in
// them, the programs for WebAssembly, and a gzipped copy of all.
//
//	go -C web/bundle run . -version v1 -modules ../../.tools/npm/node_modules
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	b := builder{}
	flag.StringVar(&b.version, "version", "unknown", "of the page")
	flag.StringVar(&b.modules, "modules", "../../.tools/npm/node_modules", "where npm has put NiiVue")
	flag.StringVar(&b.worker, "worker", "../../bin/worker.wasm", "the worker's program")
	flag.StringVar(&b.dist, "dist", "../dist", "where the page is put")
	flag.Parse()
	if err := b.build(); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

type builder struct{ version, modules, worker, dist string }

const web = ".." // beside this folder

func (b *builder) build() error {
	if err := b.clear(); err != nil {
		return err
	}
	for _, s := range []string{"viewer.mjs", "all.mjs"} {
		if err := b.script(s); err != nil {
			return err
		}
	}
	if err := b.copies(); err != nil {
		return err
	}
	if err := b.app(); err != nil {
		return err
	}
	if err := b.pin(); err != nil {
		return err
	}
	if err := b.service(); err != nil {
		return err
	}
	return b.compress()
}

// clear removes what an earlier build has left.
func (b *builder) clear() error {
	old, err := b.files()
	if err != nil {
		return err
	}
	for _, f := range old {
		if err := os.RemoveAll(f); err != nil {
			return err
		}
	}
	return os.MkdirAll(b.dist, 0o777)
}

// files are those of dist, sorted, without those that git has.
func (b *builder) files() ([]string, error) { return filepath.Glob(filepath.Join(b.dist, "[^.]*")) }

// names of scripts in dist.
var names = map[string]string{"viewer.mjs": "viewer.js", "all.mjs": "browser.js"}

func (b *builder) script(name string) error {
	modules, err := filepath.Abs(b.modules)
	if err != nil {
		return err
	}
	out := filepath.Join(b.dist, names[name])
	r := api.Build(api.BuildOptions{
		EntryPoints: []string{filepath.Join(web, "script", name)}, Outfile: out, Bundle: true, Write: true,
		MinifyWhitespace: true, MinifySyntax: true, MinifyIdentifiers: true, Format: api.FormatIIFE, Target: api.ES2022,
		NodePaths: []string{modules}, LogLevel: api.LogLevelWarning, LegalComments: api.LegalCommentsNone,
	})
	if len(r.Errors) > 0 {
		return fmt.Errorf("%s: %s", name, r.Errors[0].Text)
	}
	return nil
}

// copies are the files that come as they are.
func (b *builder) copies() error {
	root, err := output("go", "env", "GOROOT")
	if err != nil {
		return err
	}
	from := map[string]string{
		"wasm_exec.js": filepath.Join(root, "lib", "wasm", "wasm_exec.js"),
		"worker.js":    filepath.Join(web, "..", "wasm", "worker.js"),
		"worker.wasm":  b.worker,
	}
	static, err := filepath.Glob(filepath.Join(web, "static", "*"))
	if err != nil {
		return err
	}
	for _, f := range static {
		from[filepath.Base(f)] = f
	}
	for name, path := range from {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".css" {
			data = []byte(api.Transform(string(data), api.TransformOptions{Loader: api.LoaderCSS, MinifyWhitespace: true}).Code)
		}
		if err := os.WriteFile(filepath.Join(b.dist, name), data, 0o666); err != nil {
			return err
		}
	}
	if err := b.example(); err != nil {
		return err
	}
	if err := b.licences(root); err != nil {
		return err
	}
	return b.helper()
}

// example is a scan to try the page with; its licence is in licences.txt.
func (b *builder) example() error {
	f, err := os.Open(filepath.Join(web, "..", "testdata", "hippocampus", "imagesTr", "hippocampus_003.nii.gz"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dist, "example.nii"), data, 0o666)
}

// licences adds those of all that is bundled to the ones that lie beside the page.
func (b *builder) licences(goroot string) error {
	vugu, err := output("go", "-C", filepath.Join(web, ".."), "list", "-m", "-f", "{{.Dir}}", "github.com/vugu/vugu")
	if err != nil {
		return err
	}
	texts := map[string]string{"Go": filepath.Join(goroot, "LICENSE"), "vugu": filepath.Join(vugu, "LICENSE")}
	for _, pattern := range []string{"*", "@*/*"} {
		list, err := filepath.Glob(filepath.Join(b.modules, pattern, "LICENSE*"))
		if err != nil {
			return err
		}
		for _, f := range list {
			if name, err := filepath.Rel(b.modules, filepath.Dir(f)); err == nil && name != "axe-core" { // a tool of the tests
				texts[name] = f
			}
		}
	}
	path := filepath.Join(b.dist, "licences.txt")
	all, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		data, err := os.ReadFile(texts[name])
		if err != nil {
			return err
		}
		all = append(append(all, "\n"+name+"\n\n"...), data...)
	}
	return os.WriteFile(path, all, 0o666)
}

// helper takes vugu's script out of its package: vugu would evaluate it as text,
// which the page forbids.
func (b *builder) helper() error {
	dir, err := output("go", "-C", filepath.Join(web, ".."), "list", "-m", "-f", "{{.Dir}}", "github.com/vugu/vugu")
	if err != nil {
		return err
	}
	source, err := os.ReadFile(filepath.Join(dir, "domrender", "renderer-js-script.go"))
	if err != nil {
		return err
	}
	_, quoted, ok := strings.Cut(string(source), "const jsHelperScript = ")
	if !ok {
		return fmt.Errorf("vugu's script is not where it was: wanted jsHelperScript in %s", dir)
	}
	script, err := strconv.Unquote(strings.TrimSpace(quoted))
	if err != nil {
		return fmt.Errorf("vugu's script: %w", err)
	}
	return os.WriteFile(filepath.Join(b.dist, "vugu.js"), []byte(script), 0o666)
}

// app builds the program of the page. Components, which are made of thousands of calls
// of small functions, are not inlined: it is a tenth smaller compressed.
func (b *builder) app() error {
	dist, err := filepath.Abs(b.dist)
	if err != nil {
		return err
	}
	c := exec.Command("go", "build", "-trimpath", "-gcflags=./web/ui=-l", "-ldflags", "-s -w -X main.version="+b.version, "-o", filepath.Join(dist, "app.wasm"), "./web/app")
	c.Dir, c.Stdout, c.Stderr = filepath.Join(web, ".."), os.Stderr, os.Stderr
	c.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	return c.Run()
}

// pinned are the parts that scripts of the page load.
var pinned = []string{"app.wasm", "viewer.js", "worker.wasm"}

// pin tells the page the hashes of its parts: a browser takes none of another version,
// which it may get where the server changes between two requests.
func (b *builder) pin() error {
	path := filepath.Join(b.dist, "index.html")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, hashes := string(data), map[string]string{}
	for _, tag := range regexp.MustCompile(`<(?:script src|link rel="stylesheet" href)="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		hash, err := b.integrity(tag[1])
		if err != nil {
			return err
		}
		page = strings.Replace(page, tag[0], fmt.Sprintf(`%s integrity="%s"`, tag[0], hash), 1)
	}
	for _, name := range pinned {
		if hashes[name], err = b.integrity(name); err != nil {
			return err
		}
	}
	list, err := json.Marshal(hashes)
	if err != nil {
		return err
	}
	page = strings.Replace(page, "PINNED", html.EscapeString(string(list)), 1)
	return os.WriteFile(path, []byte(page), 0o666)
}

// integrity is the hash of a file as browsers want it.
func (b *builder) integrity(name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(b.dist, name))
	sum := sha256.Sum256(data)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:]), err
}

// service tells the service worker its version, and its parts with their hashes.
func (b *builder) service() error {
	files, err := b.files()
	if err != nil {
		return err
	}
	all := sha256.New()
	parts := map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		name := filepath.Base(f)
		if name == "service.js" {
			continue
		}
		hash := fmt.Sprintf("%x", sha256.Sum256(data))
		fmt.Fprintln(all, name, hash)
		if name == "index.html" {
			name = "./"
		}
		parts[name] = hash
	}
	list, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	path := filepath.Join(b.dist, "service.js")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data = bytes.Replace(data, []byte("VERSION"), []byte(hex.EncodeToString(all.Sum(nil))[:16]), 1)
	data = bytes.Replace(data, []byte("PARTS"), list, 1)
	return os.WriteFile(path, data, 0o666)
}

// most are the compressed bytes of the page and its viewer, before the worker and
// what somebody asks for.
const most = 2_500_000

// compress puts a gzipped copy beside each file.
func (b *builder) compress() error {
	files, err := b.files()
	if err != nil {
		return err
	}
	first := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var z bytes.Buffer
		w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(f+".gz", z.Bytes(), 0o666); err != nil {
			return err
		}
		fmt.Printf("%-24s %9d bytes, %9d compressed\n", filepath.Base(f), len(data), z.Len())
		if name := filepath.Base(f); name != "worker.wasm" && name != "example.nii" {
			first += z.Len()
		}
	}
	fmt.Printf("%-24s %26d compressed, at most %d\n", "page and viewer", first, most)
	if first > most {
		return fmt.Errorf("page and viewer have %d bytes compressed, at most %d are allowed", first, most)
	}
	return nil
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
