//go:build cuda && linux

package cuda

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/core/backend"
)

// Built tells whether this program has the backend.
const Built = true

// leastArch is the oldest architecture that CUDA 13 compiles for.
const leastArch = 75

// device is a GPU: its primary context, one stream, and what was compiled for it.
type device struct {
	driver    *driver
	gpu       cu.Device
	context   cu.CUContext
	stream    cu.Stream
	facts     facts
	compiler  compiler
	cache     *cache
	functions map[string]*function // by their source
	idle      int                  // functions that stay without a program
	clock     int                  // counts programs that came and went
	stage     *stage
	flights   []flight // runs that may not be done, the oldest first
	landed    int      // runs before these
	spare     []cu.Event
	simple    bool          // only the simple kernels, which an emulated GPU runs fast
	rules     target        // Fold, Groups and Split of kernels
	kernels   string        // those of Options
	tuned     bool          // tilings are measured
	warn      func(string)  // of ways that are wrong; nil: nobody is told
	tiles     *choices      // nil until they are asked for
	careful   bool          // every launch is waited for, so that errors have the name of the op
	comm      *communicator // nil where it takes part in no group
	side      cu.Stream     // of the communicator, beside stream
	lost      error         // what every call answers from then on
	dead      bool          // it is lost to the driver too, which answers nothing else
	closed    bool
	live      map[*executable]bool
	marks     []byte // pinned: the word that graphs mark their parts by
	programs  uint32 // that were ever compiled
}

// facts of a GPU.
type facts struct {
	name   string
	arch   int // compute capability, 10 times major + minor
	sms    int // multiprocessors
	bytes  int64
	shared int // most shared memory of a block, where the kernel asks for it
	driver int // 1000 times major + 10 times minor of the CUDA that it has
	pools  bool
}

// Open opens a GPU, or says why there is none.
func Open(o Options) (backend.Device, error) {
	d, err := openDriver()
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	c, err := openCompiler()
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	dev, err := open(d, c, userCache(), o)
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	if o.Group == nil {
		return dev, nil
	}
	n, err := loadNCCL(ncclPaths())
	if err == nil {
		err = dev.join(n, o.Group)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cuda: %s: %w", dev.facts.name, err), dev.Close())
	}
	return dev, nil
}

// open opens a GPU of d, whose kernels c compiles.
func open(d *driver, c compiler, kept *cache, o Options) (*device, error) {
	gpu, err := d.gpu(o.Ordinal)
	if err != nil {
		return nil, err
	}
	f, err := d.facts(gpu)
	if err != nil {
		return nil, fmt.Errorf("GPU %d: %w", o.Ordinal, err)
	}
	if err := f.trouble(); err != nil {
		return nil, err
	}
	if err := c.fits(f); err != nil {
		return nil, err
	}
	kinds, is := kernelsKinds[o.Kernels]
	if !is {
		return nil, fmt.Errorf("kernels %q, wanted all, warps or simple", o.Kernels)
	}
	_ = gpu.SetPrimaryCtxFlags(cu.SchedBlockingSync) // who waits leaves the core to others; in use, it keeps its flags
	context, err := gpu.RetainPrimaryCtx()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, d.told(err))
	}
	dev := &device{
		driver: d, gpu: gpu, context: context, facts: f, compiler: c, cache: kept,
		functions: map[string]*function{}, idle: mostIdle, live: map[*executable]bool{}, tuned: !o.Untuned, warn: o.Warn,
		kernels: o.Kernels, simple: kinds.Simple, rules: kinds, careful: os.Getenv("CUDA_LAUNCH_BLOCKING") == "1",
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(context); err != nil {
		_ = gpu.ReleasePrimaryCtx()
		return nil, fmt.Errorf("%s: its context: %w", f.name, d.told(err))
	}
	if dev.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		_ = gpu.ReleasePrimaryCtx()
		return nil, fmt.Errorf("%s: a stream: %w", f.name, d.told(err))
	}
	dev.stage = &stage{device: dev, room: ring}
	return dev, nil
}

// gpu is the GPU of that number.
func (d *driver) gpu(ordinal int) (cu.Device, error) {
	n, err := cu.NumDevices()
	if err != nil && !errors.Is(err, cu.NoDevice) {
		return 0, d.told(err)
	}
	if n == 0 {
		return 0, fmt.Errorf("%w: the driver sees no GPU: nvidia-smi lists them, CUDA_VISIBLE_DEVICES may hide them", ErrNoDevice)
	}
	if ordinal < 0 || ordinal >= n {
		return 0, fmt.Errorf("%w: GPU %d is asked for, the driver sees %d, from 0 on", ErrNoDevice, ordinal, n)
	}
	gpu, err := cu.GetDevice(ordinal)
	return gpu, d.told(err)
}

// Attributes of a GPU that cu has no name for.
const (
	sharedOptin    cu.DeviceAttribute = 97
	poolsSupported cu.DeviceAttribute = 115
)

// facts asks the driver.
func (d *driver) facts(gpu cu.Device) (facts, error) {
	var f facts
	var major, minor, pools int
	for _, a := range []struct {
		to   *int
		what cu.DeviceAttribute
	}{
		{&major, cu.ComputeCapabilityMajor},
		{&minor, cu.ComputeCapabilityMinor},
		{&f.sms, cu.MultiprocessorCount},
		{&f.shared, sharedOptin},
		{&pools, poolsSupported},
	} {
		n, err := gpu.Attribute(a.what)
		if err != nil {
			return f, d.told(err)
		}
		*a.to = n
	}
	f.arch, f.pools = 10*major+minor, pools != 0
	var version int32
	if err := d.error(d.version(&version)); err != nil {
		return f, err
	}
	f.driver = int(version)
	var err error
	if f.bytes, err = gpu.TotalMem(); err != nil {
		return f, d.told(err)
	}
	if f.name, err = gpu.Name(); err != nil {
		return f, d.told(err)
	}
	return f, nil
}

// trouble says why a GPU is refused.
func (f facts) trouble() error {
	switch {
	case f.arch < leastArch:
		return fmt.Errorf("%s has compute capability %d.%d, wanted 7.5 (Turing) or later: choose another device", f.name, f.arch/10, f.arch%10)
	case !f.pools:
		return fmt.Errorf("%s has no memory pools under this driver (CUDA %d.%d): install a newer driver, or choose another device", f.name, f.driver/1000, f.driver%1000/10)
	}
	return nil
}

// kernelsKinds are the values of Options.Kernels.
var kernelsKinds = map[string]target{
	"":       {},
	"all":    {},
	"warps":  {Groups: never},
	"simple": {Simple: true},
}

// restricted says which kernels are used, where it is not all.
func (d *device) restricted() string {
	if d.kernels == "" || d.kernels == "all" {
		return ""
	}
	return ", " + d.kernels + " kernels"
}

func (d *device) Name() string { return "cuda (" + d.facts.name + d.restricted() + ")" }

// Limits: bf16 has instructions from Ampere on. A device that is lost has no memory free
// that is known.
func (d *device) Limits() backend.Limits {
	l := backend.Limits{TotalBytes: d.facts.bytes, FreeBytes: d.unused(), Units: d.facts.sms, F16: true, BF16: d.facts.arch >= 80, World: 1, InPlace: true}
	if d.comm != nil {
		l.World = d.comm.group.World
	}
	return l
}

// unused is the memory that neither this process nor others have, 0 if it is not known.
func (d *device) unused() int64 {
	if d.enter() != nil {
		return 0
	}
	defer runtime.UnlockOSThread()
	free, _, err := cu.MemInfo()
	if err != nil {
		return 0
	}
	return free
}

// enter makes the context that of the thread, which the goroutine keeps until it
// unlocks it. A device that is lost says so.
func (d *device) enter() error {
	if err := d.ended(); err != nil {
		return err
	}
	return d.reach()
}

// ended is why the device is lost. One whose group has ended is, as sums that were aborted may
// be in its memory.
func (d *device) ended() error {
	if err := d.comm.trouble(); err != nil && d.lost == nil {
		d.lost = fmt.Errorf("cuda: %s: %w", d.facts.name, err)
	}
	return d.lost
}

// reach makes the context that of the thread, also of a device that is lost: what it has
// is given back.
func (d *device) reach() error {
	if d.closed {
		return d.lost
	}
	runtime.LockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		runtime.UnlockOSThread()
		return d.told("its context", err)
	}
	return nil
}

// told is an error of the driver with what was done, and remembers that the device
// is lost.
func (d *device) told(what string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("cuda: %s: %s: %w", d.facts.name, what, d.driver.told(err))
	if errors.Is(err, backend.ErrLost) {
		d.dead = true
		if d.lost == nil {
			d.lost = err
		}
	}
	return err
}

// Close gives everything back: graphs before the communicator, which waits for them. What a lost
// device says to it is nothing new.
func (d *device) Close() error {
	gone := d.ended() != nil
	var errs []error
	if err := d.reach(); err == nil {
		defer runtime.UnlockOSThread()
		errs = append(errs, d.land(context.Background(), 0), d.told("close", d.stream.Synchronize()))
		for e := range d.live {
			e.release()
		}
		if d.comm != nil {
			errs = append(errs, d.told("close", d.side.Synchronize()))
		}
		if d.dead { // graphs may have stayed, and what waits for them is of no use
			go d.comm.close() // it is lost
		} else {
			errs = append(errs, d.comm.close())
		}
		d.stage.close()
		if d.marks != nil {
			d.driver.hostFree(unsafe.Pointer(&d.marks[0]))
			d.marks = nil
		}
		for i := range d.spare {
			errs = append(errs, d.told("an event", cu.DestroyEvent(&d.spare[i])))
		}
		for _, f := range d.functions {
			errs = append(errs, d.told("a module", f.module.Unload()))
		}
		if d.comm != nil {
			errs = append(errs, d.told("a stream", d.side.Destroy()))
		}
		errs = append(errs, d.told("its stream", d.stream.Destroy()))
	}
	d.spare, d.functions = nil, nil
	errs = append(errs, d.told("its context", d.gpu.ReleasePrimaryCtx()))
	d.closed = true
	if gone {
		return nil
	}
	d.lost = fmt.Errorf("cuda: %s was closed", d.facts.name)
	return errors.Join(errs...)
}
