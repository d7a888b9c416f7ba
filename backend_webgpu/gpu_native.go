//go:build !js && cgo

package webgpu

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cogentcore/webgpu/wgpu"
)

// native is WebGPU by wgpu-native. It belongs to one goroutine at a time: the
// library keeps its errors in a stack of the device.
type native struct {
	instance *wgpu.Instance
	adapter  *wgpu.Adapter
	device   *wgpu.Device
	queue    *wgpu.Queue
	layouts  map[int]layout // by their number of bindings
	rows     rows
	stage    *wgpu.Buffer // what is read goes through it
	staged   int64
	known    facts
	lost     error // why the device is gone

	timestamps bool   // the device has queries for them
	clock      *clock // made when it is first asked for
}

// layout of the kernels that bind so many buffers.
type layout struct {
	group    *wgpu.BindGroupLayout
	pipeline *wgpu.PipelineLayout
}

// openGPU opens a Vulkan, Metal or DX12 adapter. The instance has no descriptor:
// v0.23.0 passes memory that it does not set.
func openGPU(o Options) (gpu, error) {
	wgpu.SetLogLevel(wgpu.LogLevelError) // it warns of windows, which nobody wants
	noDisplay()
	g := &native{instance: wgpu.CreateInstance(nil), layouts: map[int]layout{}}
	if g.instance == nil {
		return nil, errors.New("the library makes no instance")
	}
	if err := g.choose(o); err != nil {
		g.close()
		return nil, err
	}
	limits := g.adapter.GetLimits().Limits
	limits.MaxPushConstantSize = 0 // v0.23.0 leaves it unset
	if o.Promised {
		limits.MaxBufferSize = uint64(promised.bufferBytes)
		limits.MaxStorageBufferBindingSize = uint64(promised.bindingBytes)
		limits.MaxStorageBuffersPerShaderStage = uint32(promised.bindings)
		limits.MaxComputeWorkgroupsPerDimension = uint32(promised.groups)
	}
	var features []wgpu.FeatureName
	if g.timestamps = g.adapter.HasFeature(wgpu.FeatureNameTimestampQuery) && !o.Promised; g.timestamps {
		features = append(features, wgpu.FeatureNameTimestampQuery)
	}
	device, err := g.adapter.RequestDevice(&wgpu.DeviceDescriptor{
		Label: "gounet", RequiredFeatures: features, RequiredLimits: &wgpu.RequiredLimits{Limits: limits},
	})
	if err != nil {
		g.close()
		return nil, fmt.Errorf("%s gives no device with its own limits: %w", g.known.name, err)
	}
	g.device, g.queue = device, device.GetQueue()
	if err := errors.Join(g.begin(), g.rows.make(device, g.queue)); err != nil {
		g.close()
		return nil, err
	}
	g.known.bufferBytes = int64(min(limits.MaxBufferSize, 1<<62))
	g.known.bindingBytes = int64(limits.MaxStorageBufferBindingSize)
	g.known.bindings = int(limits.MaxStorageBuffersPerShaderStage)
	g.known.groups = int(limits.MaxComputeWorkgroupsPerDimension)
	return g, nil
}

// choose takes the first real GPU, or else, if it may, a software adapter.
func (g *native) choose(o Options) error {
	list := g.instance.EnumerateAdapters(&wgpu.InstanceEnumerateAdapterOptons{Backends: wgpu.InstanceBackendPrimary})
	var seen []string
	for _, soft := range []bool{false, true} {
		for _, a := range list {
			info := a.GetInfo()
			if g.adapter != nil || soft != (info.AdapterType == wgpu.AdapterTypeCPU) {
				continue
			}
			seen = append(seen, adapterName(info))
			if !soft || o.Software {
				g.adapter, g.known.name, g.known.software = a, adapterName(info), soft
			}
		}
	}
	for _, a := range list {
		if a != g.adapter {
			a.Release()
		}
	}
	switch {
	case g.adapter != nil:
		return nil
	case len(seen) > 0:
		return fmt.Errorf("there is no GPU, only software adapters (%s): ask for webgpu:software, or use the cpu, which is faster", strings.Join(seen, ", "))
	}
	return errors.New("there is no Vulkan, Metal or DX12 adapter: install a driver (Debian's software one: apt-get install mesa-vulkan-drivers libvulkan1)")
}

// adapterName is the name that a person knows; some drivers have a number for one.
func adapterName(i wgpu.AdapterInfo) string {
	if i.Name == "" || strings.HasPrefix(i.Name, "0x") {
		if strings.HasPrefix(i.VendorName, "0x") {
			return i.DriverDescription
		}
		return strings.TrimSpace(i.VendorName + " " + i.DriverDescription)
	}
	return i.Name
}

func (g *native) facts() facts { return g.known }

// nativeBuffer destroys its memory when released.
type nativeBuffer struct{ *wgpu.Buffer }

func (b nativeBuffer) release() {
	b.Destroy()
	b.Release()
}

type nativePipeline struct {
	*wgpu.ComputePipeline
	bindings int
}

func (p nativePipeline) release() { p.Release() }

type nativeGroup struct{ *wgpu.BindGroup }

func (b nativeGroup) release() { b.Release() }

func (g *native) buffer(bytes int64) (memory, error) {
	if g.lost != nil {
		return nil, g.lost
	}
	b, err := g.device.CreateBuffer(&wgpu.BufferDescriptor{
		Size: uint64(bytes), Usage: wgpu.BufferUsageStorage | wgpu.BufferUsageCopyDst | wgpu.BufferUsageCopySrc,
	})
	if err != nil {
		return nil, told(err)
	}
	return nativeBuffer{b}, nil
}

// layout for n storage buffers.
func (g *native) layout(n int) (layout, error) {
	if l, ok := g.layouts[n]; ok {
		return l, nil
	}
	entries := make([]wgpu.BindGroupLayoutEntry, n)
	for i := range entries {
		entries[i] = wgpu.BindGroupLayoutEntry{
			Binding: uint32(i), Visibility: wgpu.ShaderStageCompute,
			Buffer: wgpu.BufferBindingLayout{Type: wgpu.BufferBindingTypeStorage},
		}
	}
	group, err := g.device.CreateBindGroupLayout(&wgpu.BindGroupLayoutDescriptor{Entries: entries})
	if err != nil {
		return layout{}, told(err)
	}
	p, err := g.device.CreatePipelineLayout(&wgpu.PipelineLayoutDescriptor{BindGroupLayouts: []*wgpu.BindGroupLayout{group, g.rows.layout}})
	if err != nil {
		group.Release()
		return layout{}, told(err)
	}
	l := layout{group, p}
	g.layouts[n] = l
	return l, nil
}

// pipelines compiles on all processors. The library keeps errors in a stack of the
// device, where one goroutine may take another's: which module is wrong is found by
// compiling again, one after the other.
func (g *native) pipelines(list []module) ([]pipeline, error) {
	if g.lost != nil {
		return nil, g.lost
	}
	made := make([]pipeline, len(list))
	for _, m := range list { // before the goroutines read them
		if _, err := g.layout(m.bindings); err != nil {
			return nil, err
		}
	}
	var failed atomic.Bool
	var wait sync.WaitGroup
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), len(list)) {
		wait.Go(func() {
			for i := range next {
				p, err := g.pipeline(list[i])
				if err != nil {
					failed.Store(true)
					continue
				}
				made[i] = p
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	wait.Wait()
	if !failed.Load() {
		return made, nil
	}
	releaseAll(made)
	clear(made)
	for i, m := range list {
		p, err := g.pipeline(m)
		if err != nil {
			releaseAll(made)
			return nil, &listError{i, err}
		}
		made[i] = p
	}
	return made, nil
}

func (g *native) pipeline(code module) (pipeline, error) {
	m, err := g.device.CreateShaderModule(&wgpu.ShaderModuleDescriptor{WGSLDescriptor: &wgpu.ShaderModuleWGSLDescriptor{Code: code.wgsl}})
	if err != nil {
		return nil, told(err)
	}
	defer m.Release()
	p, err := g.device.CreateComputePipeline(&wgpu.ComputePipelineDescriptor{
		Layout: g.layouts[code.bindings].pipeline, Compute: wgpu.ProgrammableStageDescriptor{Module: m, EntryPoint: "main"},
	})
	if err != nil {
		return nil, told(err)
	}
	return nativePipeline{p, code.bindings}, nil
}

func (g *native) groups(list []binding) ([]group, error) {
	if g.lost != nil {
		return nil, g.lost
	}
	made := make([]group, len(list))
	for i, b := range list {
		bound, err := g.group(b)
		if err != nil {
			releaseAll(made)
			return nil, &listError{i, err}
		}
		made[i] = bound
	}
	return made, nil
}

func (g *native) group(b binding) (group, error) {
	l, err := g.layout(b.p.(nativePipeline).bindings)
	if err != nil {
		return nil, err
	}
	entries := make([]wgpu.BindGroupEntry, len(b.spans))
	for i, s := range b.spans {
		entries[i] = wgpu.BindGroupEntry{
			Binding: uint32(i), Buffer: s.m.(nativeBuffer).Buffer, Offset: uint64(s.off), Size: uint64(s.bytes),
		}
	}
	made, err := g.device.CreateBindGroup(&wgpu.BindGroupDescriptor{Layout: l.group, Entries: entries})
	if err != nil {
		return nil, told(err)
	}
	return nativeGroup{made}, nil
}

func (g *native) submit(list []dispatch) (submitted, error) {
	if g.lost != nil {
		return nil, g.lost
	}
	e, err := g.device.CreateCommandEncoder(nil)
	if err != nil {
		return nil, told(err)
	}
	defer e.Release()
	if err := g.record(e, list); err != nil {
		return nil, err
	}
	if err := g.finish(e); err != nil {
		return nil, err
	}
	return g.mark()
}

// record adds dispatches, in order, to e.
func (g *native) record(e *wgpu.CommandEncoder, list []dispatch) error {
	pass := e.BeginComputePass(nil)
	for _, d := range list {
		pass.SetPipeline(d.p.(nativePipeline).ComputePipeline)
		pass.SetBindGroup(0, d.g.(nativeGroup).BindGroup, nil)
		pass.SetBindGroup(1, g.rows.group, []uint32{uint32(d.first * rowStride)})
		pass.DispatchWorkgroups(uint32(d.x), uint32(d.rows), 1)
	}
	err := pass.End()
	pass.Release()
	return told(err)
}

// finish submits what e has recorded.
func (g *native) finish(e *wgpu.CommandEncoder) error {
	c, err := e.Finish(nil)
	if err != nil {
		return told(err)
	}
	defer c.Release()
	if err := g.hand(c); err != nil {
		return err
	}
	return g.poll() // frees what earlier submits have held
}

func (g *native) write(m memory, off int64, src []byte) error {
	if g.lost != nil {
		return g.lost
	}
	if err := g.queue.WriteBuffer(m.(nativeBuffer).Buffer, uint64(off), src); err != nil {
		return told(err)
	}
	return g.poll()
}

func (g *native) read(ctx context.Context, m memory, off int64, dst []byte) error {
	if g.lost != nil {
		return g.lost
	}
	n := uint64(len(dst))
	if g.staged < int64(n) {
		g.unstage()
		b, err := g.device.CreateBuffer(&wgpu.BufferDescriptor{Size: n, Usage: wgpu.BufferUsageCopyDst | wgpu.BufferUsageMapRead})
		if err != nil {
			return told(err)
		}
		g.stage, g.staged = b, int64(n)
	}
	e, err := g.device.CreateCommandEncoder(nil)
	if err != nil {
		return told(err)
	}
	defer e.Release()
	if err := e.CopyBufferToBuffer(m.(nativeBuffer).Buffer, uint64(off), g.stage, 0, n); err != nil {
		return told(err)
	}
	if err := g.finish(e); err != nil {
		return err
	}
	bytes, err := g.mapped(ctx, g.stage, n)
	if err != nil {
		g.unstage() // it may still be mapped later
		return err
	}
	copy(dst, bytes)
	return told(g.stage.Unmap())
}

// unstage forgets the buffer that reads go through.
func (g *native) unstage() {
	if g.stage != nil {
		g.stage.Destroy()
		g.stage.Release()
		g.stage, g.staged = nil, 0
	}
}

// close leaves a device that is gone as it is: the library would wait for it.
func (g *native) close() {
	if g.lost != nil {
		return
	}
	g.unstage()
	if g.clock != nil {
		g.clock.release()
	}
	for _, l := range g.layouts {
		l.pipeline.Release()
		l.group.Release()
	}
	g.layouts = nil
	g.rows.release()
	if g.queue != nil {
		g.queue.Release()
	}
	if g.device != nil {
		g.dismiss()
	}
	if g.adapter != nil {
		g.adapter.Release()
	}
	g.instance.Release()
}
