//go:build linux && amd64

package cuda

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cuda/emulate"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// machine is the runtime of emulated kernels in this process.
type machine struct {
	compiler *emulate.Compiler
	launch   func(image uintptr, constants *uint32, dims *[7]uint32, args *uintptr, seed uint32) string
	alloc    func(bytes uint64, ends bool) unsafe.Pointer
	free     func(p unsafe.Pointer)

	mutex  sync.Mutex
	images map[string]uintptr // by path
	change func(kernel, source string) string
}

// openMachine builds and loads the runtime, once.
var openMachine = sync.OnceValues(func() (*machine, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "gounet", "emulate")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	m := &machine{compiler: &emulate.Compiler{Dir: dir}, images: map[string]uintptr{}}
	path, err := m.compiler.Runtime()
	if err != nil {
		return nil, err
	}
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	purego.RegisterLibFunc(&m.launch, lib, "emulate_launch")
	purego.RegisterLibFunc(&m.alloc, lib, "emulate_alloc")
	purego.RegisterLibFunc(&m.free, lib, "emulate_free")
	plant(m)
	return m, nil
})

// loaded is the image of a launch.
func (m *machine) loaded(l launch) (uintptr, []uint32, error) {
	source, err := shaders.CUDA(l.Kernel, l.Prelude)
	if err != nil {
		return 0, nil, err
	}
	if m.change != nil {
		source = m.change(l.Kernel, source)
	}
	image, err := m.compiler.Kernel(l.Kernel, source)
	if err != nil {
		return 0, nil, err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if p := m.images[image.Path]; p != 0 {
		return p, image.Constants, nil
	}
	lib, err := purego.Dlopen(image.Path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, nil, err
	}
	p, err := purego.Dlsym(lib, "emulated")
	m.images[image.Path] = p
	return p, image.Constants, err
}

// emulated is a device whose kernels run on the CPU. Each operand of a kernel lies
// between pages that cannot be touched, and each run has another order of warps.
type emulated struct {
	target
	*machine
	seed atomic.Uint32
}

func openEmulated(t testing.TB, to target) *emulated {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("kernels are compiled by g++, which is not there: install g++")
	}
	m, err := openMachine()
	require.NoError(t, err)
	return &emulated{target: to, machine: m}
}

func (d *emulated) Name() string { return "cuda emulated" }
func (d *emulated) Close() error { return nil }

// Limits leave bf16, whose kernels are those of f16, to a long run.
func (d *emulated) Limits() backend.Limits {
	return backend.Limits{F16: true, BF16: d.Arch >= 80 && os.Getenv("GOUNET_LONG") != "", World: 1, InPlace: true}
}

func (d *emulated) NewBuffer(n int64) (backend.Buffer, error) {
	return &hostBuffer{make([]byte, n)}, nil
}

// hostBuffer is memory of an emulated device.
type hostBuffer struct{ b []byte }

func (m *hostBuffer) Write(_ context.Context, off int64, src []byte) error {
	copy(m.b[off:], src)
	return nil
}

func (m *hostBuffer) Read(_ context.Context, off int64, dst []byte) error {
	copy(dst, m.b[off:])
	return nil
}

func (m *hostBuffer) Free() {}

// emulatedRun is a program on an emulated device.
type emulatedRun struct {
	dev              *emulated
	list             []launch
	images           []uintptr
	constants        [][]uint32
	bind             map[graph.Region][]backend.Buffer
	partials, tables []byte
	left             []byte
}

func (d *emulated) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	ls, err := launchesOf(p, d.target)
	if err != nil {
		return nil, err
	}
	e := &emulatedRun{dev: d, list: ls.List, bind: bind, partials: make([]byte, ls.Partials), tables: ls.Tables, left: make([]byte, ls.Left)}
	for _, l := range ls.List {
		image, constants, err := d.loaded(l)
		if err != nil {
			return nil, err
		}
		e.images, e.constants = append(e.images, image), append(e.constants, constants)
	}
	return e, nil
}

func (e *emulatedRun) Free() {}

// bytes of a place.
func (e *emulatedRun) bytes(p place) []byte {
	from := map[owner][]byte{partials: e.partials, tables: e.tables, left: e.left}[p.In]
	if p.In == region {
		from = e.bind[p.Region][p.Chunk].(*hostBuffer).b
	}
	return from[p.Offset : p.Offset+p.Bytes]
}

func (e *emulatedRun) Run(context.Context) error {
	for i := range e.partials {
		e.partials[i] = 0xFF // NaN
	}
	for i := range e.left {
		e.left[i] = 0xFF
	}
	before := bytes.Clone(e.tables)
	seed := e.dev.seed.Add(1) - 1
	for i := range e.list {
		if err := e.launch(i, seed); err != nil {
			return fmt.Errorf("kernel %s: %w", e.list[i].Kernel, err)
		}
	}
	if !bytes.Equal(before, e.tables) {
		return errors.New("a kernel writes to its constants")
	}
	return nil
}

// behind an operand is a number so large, or none, that it does not go unnoticed.
const behind = 0xFE

// launch runs launch i on copies of its operands, and stores what they are then.
func (e *emulatedRun) launch(i int, seed uint32) error {
	l, d := e.list[i], e.dev
	at := map[place][]byte{}
	args := make([]uintptr, len(l.Args)+1)
	for j, p := range l.Args {
		if p.In == nobody {
			continue
		}
		if at[p] == nil {
			const slack = 16 // emulate_alloc's, for vectors
			ends := seed%2 == 0
			m := d.alloc(uint64(p.Bytes), ends)
			defer d.free(m)
			at[p] = unsafe.Slice((*byte)(m), p.Bytes+(-p.Bytes&(slack-1)))
			for j := copy(at[p], e.bytes(p)); j < len(at[p]); j++ {
				at[p][j] = behind
			}
		}
		args[j] = uintptr(unsafe.Pointer(unsafe.SliceData(at[p])))
	}
	dims := [7]uint32{l.Grid[0], l.Grid[1], l.Grid[2], l.Block[0], l.Block[1], l.Block[2], l.Shared}
	constants := append(e.constants[i], 0)
	if what := d.machine.launch(e.images[i], &constants[0], &dims, &args[0], seed); what != "" {
		return errors.New(what)
	}
	for p, b := range at {
		for _, x := range b[p.Bytes:] {
			if x != behind {
				return errors.New("writes behind an operand")
			}
		}
		copy(e.bytes(p), b)
	}
	return nil
}
