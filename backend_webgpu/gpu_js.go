//go:build js

package webgpu

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"

	"github.com/gounet/gounet/core/backend"
)

// browser is WebGPU by navigator.gpu. Errors come later than the calls that made
// them: calls stand in scopes, whose errors are waited for. What no scope has seen
// is kept, and is the error of the next call.
type browser struct {
	device  js.Value
	queue   js.Value
	layouts map[int]jsLayout // by their number of bindings
	rows    jsRows
	stage   js.Value // what is read goes through it
	staged  int
	lost    error // why the device is gone
	failed  error
	on      []js.Func // listeners
	known   facts
}

// jsLayout of the kernels that bind so many buffers.
type jsLayout struct{ group, pipeline js.Value }

// jsRows are the numbers of rows, of which dispatches bind one.
type jsRows struct{ layout, group js.Value }

// openGPU asks the browser for an adapter and for a device with its limits.
func openGPU(o Options) (g gpu, err error) {
	defer caught(&err)
	api := js.Global().Get("navigator").Get("gpu")
	if !api.Truthy() {
		return nil, errors.New("this browser has no WebGPU, or the page is not from a secure address")
	}
	adapter, err := await(api.Call("requestAdapter", map[string]any{"powerPreference": "high-performance"}))
	if err != nil {
		return nil, err
	}
	if !adapter.Truthy() {
		return nil, errors.New("this browser has no adapter for WebGPU: its GPU is switched off or not supported")
	}
	b := &browser{layouts: map[int]jsLayout{}}
	info := adapter.Get("info")
	b.known.name = "browser"
	if info.Truthy() {
		b.known.name = fmt.Sprintf("%s %s", info.Get("vendor").String(), info.Get("architecture").String())
		b.known.software = info.Get("isFallbackAdapter").Truthy() || info.Get("architecture").String() == "swiftshader"
	}
	if b.known.software && !o.Software {
		return nil, fmt.Errorf("there is no GPU, only a software adapter (%s): ask for it, or use the cpu", b.known.name)
	}
	if err := b.request(adapter, o.Promised); err != nil {
		return nil, err
	}
	if err := b.scoped(b.numberRows); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// request gets a device with the limits and features of its adapter, or with those
// that every device has.
func (b *browser) request(adapter js.Value, least bool) error {
	limits := map[string]any{}
	for name, to := range map[string]func(int) int{
		"maxBufferSize": func(n int) int {
			b.known.bufferBytes = int64(n)
			return int(promised.bufferBytes)
		},
		"maxStorageBufferBindingSize": func(n int) int {
			b.known.bindingBytes = int64(n)
			return int(promised.bindingBytes)
		},
		"maxStorageBuffersPerShaderStage": func(n int) int {
			b.known.bindings = n
			return promised.bindings
		},
		"maxComputeWorkgroupsPerDimension": func(n int) int {
			b.known.groups = n
			return promised.groups
		},
	} {
		n := adapter.Get("limits").Get(name).Int()
		if least {
			n = to(n)
		}
		to(n)
		limits[name] = float64(n)
	}
	var features []any
	if b.known.f16 = !least && adapter.Get("features").Call("has", "shader-f16").Bool(); b.known.f16 {
		features = append(features, "shader-f16")
	}
	device, err := await(adapter.Call("requestDevice", map[string]any{"label": "gounet", "requiredLimits": limits, "requiredFeatures": features}))
	if err != nil {
		return err
	}
	b.device, b.queue = device, device.Get("queue")
	fail := js.FuncOf(func(_ js.Value, a []js.Value) any {
		if b.failed == nil {
			b.failed = told(errors.New(first(a).Get("error").Get("message").String()))
		}
		return nil
	})
	lost := js.FuncOf(func(_ js.Value, a []js.Value) any {
		b.lost = fmt.Errorf("%w: the browser says %q", backend.ErrLost, first(a).Get("message").String())
		return nil
	})
	b.on = []js.Func{fail, lost}
	device.Call("addEventListener", "uncapturederror", fail)
	device.Get("lost").Call("then", lost)
	return nil
}

func (b *browser) facts() facts { return b.known }

// object is what JavaScript frees by itself.
type object struct{ js.Value }

func (object) release() {}

// jsBuffer destroys its memory when released. Buffers are compared by address.
type jsBuffer struct{ js.Value }

func (b *jsBuffer) release() { b.Call("destroy") }

type jsPipeline struct {
	js.Value
	layout js.Value
}

func (jsPipeline) release() {}

// usage of a buffer: GPUBufferUsage.
const (
	usageMapRead = 1
	usageCopySrc = 4
	usageCopyDst = 8
	usageUniform = 64
	usageStorage = 128
)

func (b *browser) buffer(bytes int64) (memory, error) {
	var v js.Value
	err := b.scoped(func() { v = b.newBuffer(bytes, usageStorage|usageCopySrc|usageCopyDst) })
	if err != nil {
		return nil, err
	}
	return &jsBuffer{v}, nil
}

func (b *browser) newBuffer(bytes int64, usage int) js.Value {
	return b.device.Call("createBuffer", map[string]any{"size": float64(bytes), "usage": usage})
}

func (b *browser) numberRows() {
	numbers := rowNumbers()
	buffer := b.newBuffer(int64(len(numbers)), usageUniform|usageCopyDst)
	b.fill(buffer, 0, numbers)
	entry := map[string]any{"binding": 0, "visibility": 4, "buffer": map[string]any{ // GPUShaderStage.COMPUTE
		"type": "uniform", "hasDynamicOffset": true, "minBindingSize": 4,
	}}
	b.rows.layout = b.device.Call("createBindGroupLayout", map[string]any{"entries": []any{entry}})
	bound := map[string]any{"binding": 0, "resource": map[string]any{"buffer": buffer, "size": 4}}
	b.rows.group = b.device.Call("createBindGroup", map[string]any{"layout": b.rows.layout, "entries": []any{bound}})
}

// layout for n storage buffers.
func (b *browser) layout(n int) jsLayout {
	if l, ok := b.layouts[n]; ok {
		return l
	}
	entries := make([]any, n)
	for i := range entries {
		entries[i] = map[string]any{"binding": i, "visibility": 4, "buffer": map[string]any{"type": "storage"}} // GPUShaderStage.COMPUTE
	}
	group := b.device.Call("createBindGroupLayout", map[string]any{"entries": entries})
	l := jsLayout{group, b.device.Call("createPipelineLayout", map[string]any{"bindGroupLayouts": []any{group, b.rows.layout}})}
	b.layouts[n] = l
	return l
}

// pipelines has the browser compile all modules at once.
func (b *browser) pipelines(list []module) ([]pipeline, error) {
	modules := make([]js.Value, len(list))
	waits := make([]awaiting, len(list))
	wrong := b.scoped(func() {
		for i, m := range list {
			modules[i] = b.device.Call("createShaderModule", map[string]any{"code": m.wgsl})
			waits[i] = listen(b.device.Call("createComputePipelineAsync", map[string]any{
				"layout":  b.layout(m.bindings).pipeline,
				"compute": map[string]any{"module": modules[i], "entryPoint": "main"},
			}))
		}
	})
	if b.lost != nil {
		return nil, b.lost
	}
	made := make([]pipeline, len(list))
	for i, w := range waits {
		if w.done == nil { // the scope ended before it
			return nil, wrong
		}
		v, err := w.wait(context.Background())
		if b.lost != nil {
			return nil, b.lost
		}
		if err != nil {
			return nil, &listError{i, b.reason(modules[i], err)}
		}
		made[i] = jsPipeline{v, b.layout(list[i].bindings).group}
	}
	return made, wrong
}

// reason is what the compiler says of a module, or else err.
func (b *browser) reason(m js.Value, err error) error {
	info, wrong := await(m.Call("getCompilationInfo"))
	if wrong != nil {
		return err
	}
	list := info.Get("messages")
	for i := range list.Length() {
		if e := list.Index(i); e.Get("type").String() == "error" {
			return fmt.Errorf("line %d: %s", e.Get("lineNum").Int(), e.Get("message").String())
		}
	}
	return err
}

func (b *browser) groups(list []binding) ([]group, error) {
	made, err := b.bind(list)
	if err == nil || b.lost != nil || len(list) < 2 {
		return made, err
	}
	for i := range list { // which is wrong?
		if _, err := b.bind(list[i : i+1]); err != nil {
			return nil, &listError{i, err}
		}
	}
	return nil, err
}

func (b *browser) bind(list []binding) ([]group, error) {
	made := make([]group, len(list))
	err := b.scoped(func() {
		for i, g := range list {
			entries := make([]any, len(g.spans))
			for j, s := range g.spans {
				entries[j] = map[string]any{"binding": j, "resource": map[string]any{
					"buffer": s.m.(*jsBuffer).Value, "offset": float64(s.off), "size": float64(s.bytes),
				}}
			}
			made[i] = object{b.device.Call("createBindGroup", map[string]any{"layout": g.p.(jsPipeline).layout, "entries": entries})}
		}
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (b *browser) submit(list []dispatch) (s submitted, err error) {
	defer caught(&err)
	if err := b.trouble(); err != nil {
		return nil, err
	}
	ended := b.watched(func() {
		e := b.device.Call("createCommandEncoder")
		pass := e.Call("beginComputePass")
		for _, d := range list {
			pass.Call("setPipeline", d.p.(jsPipeline).Value)
			pass.Call("setBindGroup", 0, d.g.(object).Value)
			pass.Call("setBindGroup", 1, b.rows.group, []any{d.first * rowStride})
			pass.Call("dispatchWorkgroups", d.x, d.rows)
		}
		pass.Call("end")
		b.queue.Call("submit", []any{e.Call("finish")})
	})
	return jsMark{b, ended, listen(b.queue.Call("onSubmittedWorkDone"))}, nil
}

// jsMark is a place in the queue, with the errors of the submit before it.
type jsMark struct {
	*browser
	ended, done awaiting
}

func (b *browser) mark() (s submitted, err error) {
	defer caught(&err)
	return jsMark{b, b.watched(func() {}), listen(b.queue.Call("onSubmittedWorkDone"))}, nil
}

func (m jsMark) wait(ctx context.Context) (err error) {
	defer caught(&err)
	if err := m.outcome(ctx, m.ended); err != nil {
		return err
	}
	_, err = m.done.wait(ctx)
	if m.lost != nil {
		return m.lost
	}
	return err
}

func (b *browser) write(m memory, off int64, src []byte) (err error) {
	defer caught(&err)
	if err := b.trouble(); err != nil {
		return err
	}
	b.fill(m.(*jsBuffer).Value, off, src)
	return nil
}

func (b *browser) fill(buffer js.Value, off int64, src []byte) {
	bytes := js.Global().Get("Uint8Array").New(len(src))
	js.CopyBytesToJS(bytes, src)
	b.queue.Call("writeBuffer", buffer, float64(off), bytes)
}

func (b *browser) read(ctx context.Context, m memory, off int64, dst []byte) (err error) {
	defer caught(&err)
	if err := errors.Join(ctx.Err(), b.trouble()); err != nil {
		return err
	}
	if b.staged < len(dst) {
		b.unstage()
		err := b.scoped(func() { b.stage = b.newBuffer(int64(len(dst)), usageMapRead|usageCopyDst) })
		if err != nil {
			return err
		}
		b.staged = len(dst)
	}
	e := b.device.Call("createCommandEncoder")
	e.Call("copyBufferToBuffer", m.(*jsBuffer).Value, float64(off), b.stage, 0, len(dst))
	b.queue.Call("submit", []any{e.Call("finish")})
	_, err = listen(b.stage.Call("mapAsync", 1, 0, len(dst))).wait(ctx) // GPUMapMode.READ
	if b.lost != nil {
		return b.lost
	}
	if err != nil {
		b.unstage() // it may still be mapped later
		return err
	}
	js.CopyBytesToGo(dst, js.Global().Get("Uint8Array").New(b.stage.Call("getMappedRange", 0, len(dst))))
	b.stage.Call("unmap")
	return b.trouble()
}

// unstage forgets the buffer that reads go through.
func (b *browser) unstage() {
	if b.staged > 0 {
		b.stage.Call("destroy")
		b.staged = 0
	}
}

func (b *browser) close() {
	b.unstage()
	b.device.Call("removeEventListener", "uncapturederror", b.on[0])
	b.device.Call("destroy") // settles lost, whose listener stays
	b.on[0].Release()
}
