package deps_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/deps"
)

func TestTreeFollowsTheImportTable(t *testing.T) {
	bad, err := deps.Check(os.DirFS("../.."))
	require.NoError(t, err)
	for _, v := range bad {
		t.Errorf("%s", v)
	}
}

func TestCheckFindsForbiddenImports(t *testing.T) {
	cases := []struct {
		name, file, source string
		want               string // the only violation, empty for none
	}{
		{"graph imports the library", "core/graph/a.go", `import "strings"`, ""},
		{
			"graph imports another package", "core/graph/a.go", `import "github.com/gounet/gounet/core/volume"`,
			"core/graph/a.go:3: imports github.com/gounet/gounet/core/volume: core/graph may import nothing",
		},
		{
			"graph imports a module", "core/graph/a.go", `import "golang.org/x/sys/cpu"`,
			"core/graph/a.go:3: imports golang.org/x/sys/cpu: of other modules core/graph may import nothing",
		},
		{"compile imports graph", "core/compile/a.go", `import "github.com/gounet/gounet/core/graph"`, ""},
		{
			"a longer name is not below a shorter one", "core/compile/a.go", `import "github.com/gounet/gounet/core/graphs"`,
			"core/compile/a.go:3: imports github.com/gounet/gounet/core/graphs: core/compile may import core/graph",
		},
		{
			"a file under a build tag counts", "core/plan/a_js.go", `import "syscall/js"`,
			"core/plan/a_js.go:3: imports syscall/js: core is pure Go without network, browser, process or log",
		},
		{"cgo", "core/volume/a.go", `import "C"`, "core/volume/a.go:3: imports C: core is pure Go"},
		{
			"the network below net counts", "core/train/a.go", `import "net/http"`,
			"core/train/a.go:3: imports net/http: core is pure Go without network, browser, process or log",
		},
		{
			"a backend imports its conformance suite", "backend_cpu/a.go", `import "github.com/gounet/gounet/core/backend/backendtest"`,
			"backend_cpu/a.go:3: imports github.com/gounet/gounet/core/backend/backendtest: backend_cpu may import core/graph, core/compile, core/backend, internal/half, internal/machine",
		},
		{"a backend's test may", "backend_cpu/a_test.go", `import "github.com/gounet/gounet/core/backend/backendtest"`, ""},
		{"a unet's test runs on the CPU", "core/unet/a_test.go", `import "github.com/gounet/gounet/backend_cpu"`, ""},
		{
			"training names no backend", "core/train/a.go", `import cpu "github.com/gounet/gounet/backend_cpu"`,
			"core/train/a.go:3: imports github.com/gounet/gounet/backend_cpu: core/train may import core, internal",
		},
		{"cmd imports everything", "cmd/gounet/a.go", `import cpu "github.com/gounet/gounet/backend_cpu"`, ""},
		{"testify in a test", "core/graph/a_test.go", `import "github.com/stretchr/testify/assert"`, ""},
		{
			"a package without a row", "utils/a.go", `import "strings"`,
			"utils/a.go: its package has no row: say in the table of docs/design.md and in internal/deps/table.go what it may import",
		},
		{"other folders are not ours", "testdata/a.go", `import "net/http"`, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{c.file: {Data: []byte("package a\n\n" + c.source + "\n")}}
			bad, err := deps.Check(tree)
			require.NoError(t, err)
			if c.want == "" {
				assert.Empty(t, bad)
				return
			}
			require.Len(t, bad, 1)
			assert.Equal(t, c.want, bad[0].String())
		})
	}
}

func TestCheckLeavesOtherModulesOut(t *testing.T) {
	tree := fstest.MapFS{
		"backend_cpu/gen/go.mod":  {Data: []byte("module gen\n")},
		"backend_cpu/gen/main.go": {Data: []byte("package main\n\nimport \"github.com/mmcloughlin/avo/build\"\n")},
	}
	bad, err := deps.Check(tree)
	require.NoError(t, err)
	assert.Empty(t, bad)
}

func TestCheckNamesAFileThatDoesNotParse(t *testing.T) {
	_, err := deps.Check(fstest.MapFS{"core/graph/a.go": {Data: []byte("package\n")}})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "core/graph/a.go")
}
