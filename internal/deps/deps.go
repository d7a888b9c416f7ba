// Package deps is the import table of docs/design.md §2 as data, and the check
// of a source tree against it. Files are parsed, not built, so that every file
// is seen whatever its build tags are.
package deps

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path in front of every package of the project.
const Module = "github.com/gounet/gounet"

// Violation is one import that the table does not allow.
type Violation struct {
	File   string // slash path below the root
	Line   int
	Import string // as it is written there; empty if the package has no row
	Reason string
}

func (v Violation) String() string {
	if v.Import == "" {
		return fmt.Sprintf("%s: %s", v.File, v.Reason)
	}
	return fmt.Sprintf("%s:%d: imports %s: %s", v.File, v.Line, v.Import, v.Reason)
}

// Check parses every Go file below root and returns what breaks the table, in
// the order of the files. Folders that git or the go command ignore, and other
// modules, are left out. It returns an error for a file that cannot be parsed.
func Check(root fs.FS) ([]Violation, error) {
	var bad []Violation
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(root, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		found, err := checkFile(root, name)
		bad = append(bad, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("deps: %w", err)
	}
	return bad, nil
}

// skipped tells whether the go command would not look into the folder.
func skipped(root fs.FS, folder string) bool {
	if folder == "." {
		return false
	}
	base := path.Base(folder)
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(root, path.Join(folder, "go.mod"))
	return err == nil
}

func checkFile(root fs.FS, name string) ([]Violation, error) {
	source, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, filepath.FromSlash(name), source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	row, ok := rowOf(path.Dir(name))
	if !ok {
		return []Violation{{
			File:   name,
			Reason: "its package has no row: say in the table of docs/design.md and in internal/deps/table.go what it may import",
		}}, nil
	}
	var bad []Violation
	for _, spec := range file.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if reason := row.objection(target, strings.HasSuffix(name, "_test.go")); reason != "" {
			line := files.Position(spec.Pos()).Line
			bad = append(bad, Violation{File: name, Line: line, Import: target, Reason: reason})
		}
	}
	return bad, nil
}

// rowOf returns the row with the longest path that covers folder.
func rowOf(folder string) (Row, bool) {
	var best Row
	found := false
	for _, row := range Table {
		if matches(row.Package, folder) && (!found || len(row.Package) > len(best.Package)) {
			best, found = row, true
		}
	}
	return best, found
}

// objection says why a file of the row may not import target, or nothing.
func (r Row) objection(target string, test bool) string {
	if target == "C" && strings.HasPrefix(r.Package, "core") {
		return "core is pure Go"
	}
	own, inside := strings.CutPrefix(target, Module)
	switch {
	case inside:
		own = strings.TrimPrefix(own, "/")
		if own == r.Package || strings.HasPrefix(own, r.Package+"/") || matchesAny(r.May, own) {
			return ""
		}
		if test && matchesAny(r.tests(), own) {
			return ""
		}
		return fmt.Sprintf("%s may import %s", r.Package, list(r.May))
	case standard(target):
		if strings.HasPrefix(r.Package, "core") && matchesAny(notInCore, target) {
			return "core is pure Go without network, browser, process or log"
		}
		return ""
	case matchesAny(r.Modules, target), test && matchesAny(testModules, target):
		return ""
	}
	return fmt.Sprintf("of other modules %s may import %s", r.Package, list(r.Modules))
}

// tests are the packages that test files of the row may import in addition: a
// network is judged by running it, a training by training.
func (r Row) tests() []string {
	if r.Package == "cmd" || r.Package == "wasm" || r.Package == "server" || strings.HasPrefix(r.Package, "backend_") || strings.HasPrefix(r.Package, "core") {
		return []string{"core", "backend_cpu", "internal"}
	}
	return nil
}

// standard tells whether target is of Go's library or its "C": its first element
// has no dot.
func standard(target string) bool {
	first, _, _ := strings.Cut(target, "/")
	return !strings.Contains(first, ".")
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// matches tells whether name is pattern or lies below it. A star at the end of
// pattern stands for the rest of an element; an exclamation mark there excludes
// what lies below.
func matches(pattern, name string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, start)
	}
	if exact, ok := strings.CutSuffix(pattern, "!"); ok {
		return name == exact
	}
	return name == pattern || strings.HasPrefix(name, pattern+"/")
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.ReplaceAll(strings.Join(names, ", "), "!", "")
}
