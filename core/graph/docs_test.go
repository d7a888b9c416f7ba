package graph

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// methods lists the types of the package that have a method of that name.
func methods(t *testing.T, name string) []string {
	t.Helper()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	var types []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			if m, ok := d.(*ast.FuncDecl); ok && m.Recv != nil && m.Name.Name == name {
				types = append(types, m.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	slices.Sort(types)
	return types
}

// The table of docs/ops.md has a row for every op, and no other.
func TestOpsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/ops.md")
	require.NoError(t, err)
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|(.*)$").FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, m[1])
		assert.Len(t, strings.Split(m[2], "|"), 4, "%s: wanted inputs → outputs, attributes, gradient", m[1])
	}
	slices.Sort(rows)
	assert.Equal(t, methods(t, "Types"), rows)
}

// Ops that write inputs say so in docs/ops.md, and only they.
func TestMutatorsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/ops.md")
	require.NoError(t, err)
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*in place.*$").FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, m[1])
	}
	slices.Sort(rows)
	assert.Equal(t, methods(t, "Mutates"), rows)
}
