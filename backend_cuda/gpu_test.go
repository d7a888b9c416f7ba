//go:build cuda && linux

package cuda

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/ebitengine/purego"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cuda/emulate"
	"github.com/gounet/gounet/backend_cuda/library"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
)

// onGPU is the variable that says that the tests run on a GPU, with its driver and
// NVRTC. Without it they run on the emulated driver.
const onGPU = "GOUNET_GPU"

// emulatedDriver is a libcuda whose kernels run on the CPU, and how a test changes it.
type emulatedDriver struct {
	*driver
	compiler *emulatedCompiler
	set      func(what string, value int64)
	inject   func(rc result, skip int64) // what a work of a stream answers, after others
	calls    func(name string) int64
}

// openEmulatedDriver builds and loads the driver of this process, once.
var openEmulatedDriver = sync.OnceValues(func() (*emulatedDriver, error) {
	if err := os.MkdirAll(emulatedFolder(), 0o755); err != nil {
		return nil, err
	}
	e := &emulatedDriver{compiler: &emulatedCompiler{c: emulate.Compiler{Dir: emulatedFolder()}}}
	for _, build := range []func() (string, error){e.compiler.c.Runtime, e.compiler.c.Driver} {
		path, err := build()
		if err != nil {
			return nil, err
		}
		handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
		if err != nil {
			return nil, err
		}
		err = library.Bind(handle, map[string]any{"emulated_set": &e.set, "emulated_inject": &e.inject, "emulated_calls": &e.calls})
		if err == nil {
			e.driver, err = loadDriver([]string{path})
			return e, err
		}
	}
	return nil, fmt.Errorf("the library has no functions for tests")
})

func emulatedFolder() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		folder = os.TempDir()
	}
	return filepath.Join(folder, "gounet", "emulate")
}

// emulatedCompiler is g++ in the place of NVRTC.
type emulatedCompiler struct {
	c     emulate.Compiler
	mutex sync.Mutex
	made  int // images
	fault func(kernel, source string) string
}

func (*emulatedCompiler) fits(facts) error { return nil }

func (e *emulatedCompiler) version() string { return "emulated" }

func (e *emulatedCompiler) image(kernel, source string, _ int) ([]byte, error) {
	if e.fault != nil {
		source = e.fault(kernel, source)
	}
	i, err := e.c.Kernel(kernel, source)
	if err != nil {
		return nil, err
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.made++
	return []byte(i.Text(kernel)), nil
}

// emulatedOnly skips a test that needs the emulated driver, and returns it: what the
// test changes is undone at its end.
func emulatedOnly(t testing.TB) *emulatedDriver {
	if os.Getenv(onGPU) != "" {
		t.Skip("needs the emulated driver, this is a GPU")
	}
	if _, err := exec.LookPath("g++"); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("kernels run on the CPU where g++ compiles them for amd64: install g++")
	}
	e, err := openEmulatedDriver()
	require.NoError(t, err)
	t.Cleanup(e.reset)
	return e
}

// reset makes the GPU what it was.
func (e *emulatedDriver) reset() {
	for what, value := range map[string]int64{"devices": 1, "arch": 90, "pools": 1, "memory": 1 << 30, "forget": 0, "driver": 13000, "time": 0} {
		e.set(what, value)
	}
}

// opened is a device for a test: the GPU, or the emulated one. Neither measures kernels,
// of which the suite has thousands.
func opened(t testing.TB) *device {
	if os.Getenv(onGPU) != "" {
		d, err := Open(Options{Untuned: true})
		require.NoError(t, err)
		return d.(*device)
	}
	e := emulatedOnly(t)
	d, err := open(e.driver, e.compiler, &cache{}, Options{})
	require.NoError(t, err)
	return d
}

// closing is opened, closed at the end of the test.
func closing(t testing.TB) *device {
	d := opened(t)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// plain32 is a device that stores f32 only.
type plain32 struct{ backend.Device }

func (d plain32) Limits() backend.Limits {
	l := d.Device.Limits()
	l.F16, l.BF16 = false, false
	return l
}

// On the CPU TestConformance has every kernel in every type already: here it is what
// runs them.
func TestConformanceOfTheBackend(t *testing.T) {
	whole := os.Getenv(onGPU) != "" || os.Getenv("GOUNET_LONG") != ""
	backendtest.Run(t, func(t testing.TB) backend.Device {
		if !whole {
			d := opened(t)
			d.simple = true
			return plain32{d}
		}
		return opened(t)
	})
}

// What the model and measuring leave to few shapes: Hopper's own instructions and norms in
// prologues wherever they can be, and sums that blocks share.
func TestConformanceOfWhatIsChosen(t *testing.T) {
	if os.Getenv(onGPU) == "" && os.Getenv("GOUNET_LONG") == "" {
		t.Skip("the same kernels are in TestConformanceOfGroups and TestConformanceOfSplits: GOUNET_LONG=1")
	}
	for name, rules := range map[string]target{
		"groups": {Groups: always, Fold: always}, "warps": {Groups: never, Fold: always},
		"groups split": {Groups: always, Split: always}, "warps split": {Groups: never, Split: always},
	} {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, func(t testing.TB) backend.Device {
				d := opened(t)
				d.rules, d.tuned = rules, false
				return d
			}, "f16/Conv3D", "f16/Conv3DGradInput", "f16/Conv3DGradWeight", "bf16/Conv3D", "bf16/Conv3DGradInput", "bf16/Conv3DGradWeight")
		})
	}
}
