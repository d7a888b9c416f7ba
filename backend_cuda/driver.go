//go:build cuda && linux

package cuda

/*
#cgo LDFLAGS: -lcuda -ldl
#include <stdint.h>
extern void lazycuda_bind(void *handle);
static void bind(uintptr_t handle) { lazycuda_bind((void *)handle); }
*/
import "C"

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/backend_cuda/library"
	"github.com/gounet/gounet/core/backend"
)

// driver is the entry points of the driver that cu does not have, or not as they
// are needed here. Its handles are cu's, which are one pointer each.
type driver struct {
	path string

	init         func(flags uint32) result
	version      func(*int32) result
	errorText    func(result, **byte) result
	allocate     func(p *uintptr, bytes, stream uintptr) result
	free         func(p, stream uintptr) result
	hostAllocate func(p *unsafe.Pointer, bytes uintptr, flags uint32) result
	hostFree     func(p unsafe.Pointer) result
	attribute    func(value *int32, attribute int32, function uintptr) result
	setAttribute func(function uintptr, attribute, value int32) result
	launch       func(function uintptr, gx, gy, gz, bx, by, bz, shared uint32, stream uintptr, parameters, extra unsafe.Pointer) result
	capture      func(stream uintptr, mode int32) result
	endCapture   func(stream uintptr, graph *uintptr) result
	instantiate  func(exec *uintptr, graph uintptr, flags uint64) result
	upload       func(exec, stream uintptr) result
	graphLaunch  func(exec, stream uintptr) result
	graphDestroy func(graph uintptr) result
	execDestroy  func(exec uintptr) result
}

// names of the functions of d, as drivers from 11.4 on export them.
func (d *driver) names() map[string]any {
	return map[string]any{
		"cuInit": &d.init, "cuDriverGetVersion": &d.version, "cuGetErrorString": &d.errorText,
		"cuMemAllocAsync": &d.allocate, "cuMemFreeAsync": &d.free,
		"cuMemHostAlloc": &d.hostAllocate, "cuMemFreeHost": &d.hostFree,
		"cuFuncGetAttribute": &d.attribute, "cuFuncSetAttribute": &d.setAttribute, "cuLaunchKernel": &d.launch,
		"cuStreamBeginCapture_v2": &d.capture, "cuStreamEndCapture": &d.endCapture,
		"cuGraphInstantiateWithFlags": &d.instantiate, "cuGraphUpload": &d.upload, "cuGraphLaunch": &d.graphLaunch,
		"cuGraphDestroy": &d.graphDestroy, "cuGraphExecDestroy": &d.execDestroy,
	}
}

// driverNames are where a driver is: by the loader, and on WSL.
var driverNames = []string{"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"}

// openDriver opens the driver of this process, once.
var openDriver = sync.OnceValues(func() (*driver, error) { return loadDriver(driverNames) })

// loadDriver opens the first library that is there, and sends cu to it.
func loadDriver(paths []string) (*driver, error) {
	handle, path, err := library.Open(paths)
	if err != nil {
		return nil, fmt.Errorf("%w: no driver (%w): install NVIDIA's, on Debian the package nvidia-driver, in containers the NVIDIA container toolkit", ErrNoDevice, err)
	}
	d := &driver{path: path}
	if err := library.Bind(handle, d.names()); err != nil {
		return nil, fmt.Errorf("%s: %w: install a driver of CUDA 12 or later", path, err)
	}
	if rc := d.init(0); rc != 0 {
		return nil, fmt.Errorf("%w: cuInit: %w", ErrNoDevice, d.error(rc))
	}
	C.bind(C.uintptr_t(handle))
	return d, nil
}

// result is a CUresult.
type result int32

// Results that this package acts on.
const (
	outOfMemory result = 2
	notReady    result = 600
)

// lost are the results after which a context answers nothing else: of the kernels
// (an address, an instruction, a time limit), and of the device (ECC, NVLink, a GPU
// that has fallen off the bus).
var lost = []result{4, 46, 201, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999}

// failure is an answer of the driver that is not success.
type failure struct {
	code result
	text string
}

func (f *failure) Error() string {
	text := fmt.Sprintf("CUDA error %d, %s", f.code, f.text)
	if slices.Contains(lost, f.code) { // whatever this process does then, the driver answers the same
		text += " (only a new process can use the GPU again)"
	}
	return text
}

// Unwrap says that the device is lost to this process, or has no memory left, where it is so.
func (f *failure) Unwrap() error {
	switch {
	case slices.Contains(lost, f.code):
		return backend.ErrRestart
	case f.code == outOfMemory:
		return backend.ErrMemory
	}
	return nil
}

// error is rc as an error.
func (d *driver) error(rc result) error {
	if rc == 0 {
		return nil
	}
	var text *byte
	if d.errorText(rc, &text) != 0 || text == nil {
		return &failure{rc, "which the driver has no text for"}
	}
	return &failure{rc, goString(text)}
}

// told is an error of cu as one of this package: cu's are numbers.
func (d *driver) told(err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Int {
		return d.error(result(v.Int()))
	}
	return err
}

// goString is the text at p, which ends with a zero.
func goString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// The pointers of cu's handles.
func streamOf(s cu.Stream) uintptr     { return *(*uintptr)(unsafe.Pointer(&s)) }
func functionOf(f cu.Function) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// start starts a kernel whose parameters are pointers.
func (d *driver) start(f cu.Function, l launch, stream cu.Stream, pointers []uintptr) error {
	if len(pointers) == 0 {
		return fmt.Errorf("kernel %s has no parameters", l.Kernel)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	parameters := make([]unsafe.Pointer, len(pointers))
	pin.Pin(&pointers[0])
	for i := range pointers {
		parameters[i] = unsafe.Pointer(&pointers[i])
	}
	pin.Pin(&parameters[0])
	return d.error(d.launch(functionOf(f), l.Grid[0], l.Grid[1], l.Grid[2], l.Block[0], l.Block[1], l.Block[2], l.Shared,
		streamOf(stream), unsafe.Pointer(&parameters[0]), nil))
}
