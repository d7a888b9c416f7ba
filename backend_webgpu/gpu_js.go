//go:build js

package webgpu

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"
)

// browser is WebGPU by navigator.gpu. Errors of validation come later than the
// call that made them: they are kept, and are the error of the next call.
type browser struct {
	device  js.Value
	queue   js.Value
	layouts map[int]js.Value // of bind groups, by their number of bindings
	failed  error
	on      []js.Func // listeners
	known   facts
}

// await waits for a promise. It must not be called by a function that JavaScript
// has called: nobody would settle the promise.
func await(promise js.Value) (js.Value, error) {
	type settled struct {
		value js.Value
		err   error
	}
	done := make(chan settled, 1)
	resolve := js.FuncOf(func(_ js.Value, a []js.Value) any {
		done <- settled{value: first(a)}
		return nil
	})
	defer resolve.Release()
	reject := js.FuncOf(func(_ js.Value, a []js.Value) any {
		done <- settled{err: errors.New(first(a).Call("toString").String())}
		return nil
	})
	defer reject.Release()
	promise.Call("then", resolve, reject)
	s := <-done
	return s.value, s.err
}

func first(a []js.Value) js.Value {
	if len(a) == 0 {
		return js.Undefined()
	}
	return a[0]
}

// caught turns what JavaScript throws into an error.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case js.Error:
		*err = told(r)
	default:
		panic(r)
	}
}

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
	b := &browser{layouts: map[int]js.Value{}}
	info := adapter.Get("info")
	b.known.name = "browser"
	if info.Truthy() {
		b.known.name = fmt.Sprintf("%s %s", info.Get("vendor").String(), info.Get("architecture").String())
		b.known.software = info.Get("isFallbackAdapter").Truthy() || info.Get("architecture").String() == "swiftshader"
	}
	if b.known.software && !o.Software {
		return nil, fmt.Errorf("there is no GPU, only a software adapter (%s): ask for it, or use the cpu", b.known.name)
	}
	if err := b.request(adapter); err != nil {
		return nil, err
	}
	return b, nil
}

// request gets a device with the limits of its adapter.
func (b *browser) request(adapter js.Value) error {
	limits := map[string]any{}
	for name, to := range map[string]func(int){
		"maxBufferSize":                     func(n int) { b.known.bufferBytes = int64(n) },
		"maxStorageBufferBindingSize":       func(n int) { b.known.bindingBytes = int64(n) },
		"maxStorageBuffersPerShaderStage":   func(n int) { b.known.bindings = n },
		"maxComputeWorkgroupsPerDimension":  func(n int) { b.known.groups = n },
		"maxComputeInvocationsPerWorkgroup": func(int) {},
		"maxComputeWorkgroupStorageSize":    func(int) {},
	} {
		v := adapter.Get("limits").Get(name)
		limits[name] = v
		to(v.Int())
	}
	device, err := await(adapter.Call("requestDevice", map[string]any{"label": "gounet", "requiredLimits": limits}))
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
		b.failed = told(fmt.Errorf("device lost: %s", first(a).Get("message").String()))
		return nil
	})
	b.on = []js.Func{fail, lost}
	device.Call("addEventListener", "uncapturederror", fail)
	device.Get("lost").Call("then", lost)
	return nil
}

func (b *browser) facts() facts { return b.known }

// scoped runs f and waits for the errors of validation and memory that it made.
func (b *browser) scoped(f func() js.Value) (v js.Value, err error) {
	defer caught(&err)
	if b.failed != nil {
		return v, b.failed
	}
	b.device.Call("pushErrorScope", "validation")
	b.device.Call("pushErrorScope", "out-of-memory")
	v = f()
	for range 2 {
		e, wrong := await(b.device.Call("popErrorScope"))
		if wrong != nil {
			return v, told(wrong)
		}
		if e.Truthy() && err == nil {
			err = told(errors.New(e.Get("message").String()))
		}
	}
	return v, err
}

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
	usageStorage = 128
)

func (b *browser) buffer(bytes int64) (memory, error) {
	v, err := b.scoped(func() js.Value {
		return b.device.Call("createBuffer", map[string]any{"size": float64(bytes), "usage": usageStorage | usageCopySrc | usageCopyDst})
	})
	if err != nil {
		return nil, err
	}
	return &jsBuffer{v}, nil
}

// layout of the bind groups of n storage buffers.
func (b *browser) layout(n int) js.Value {
	if l, ok := b.layouts[n]; ok {
		return l
	}
	entries := make([]any, n)
	for i := range entries {
		entries[i] = map[string]any{"binding": i, "visibility": 4, "buffer": map[string]any{"type": "storage"}} // GPUShaderStage.COMPUTE
	}
	l := b.device.Call("createBindGroupLayout", map[string]any{"entries": entries})
	b.layouts[n] = l
	return l
}

func (b *browser) pipeline(wgsl string, bindings int) (pipeline, error) {
	var layout js.Value
	v, err := b.scoped(func() js.Value {
		layout = b.layout(bindings)
		return b.device.Call("createComputePipeline", map[string]any{
			"layout": b.device.Call("createPipelineLayout", map[string]any{"bindGroupLayouts": []any{layout}}),
			"compute": map[string]any{
				"module":     b.device.Call("createShaderModule", map[string]any{"code": wgsl}),
				"entryPoint": "main",
			},
		})
	})
	if err != nil {
		return nil, err
	}
	return jsPipeline{v, layout}, nil
}

func (b *browser) group(p pipeline, spans []span) (group, error) {
	entries := make([]any, len(spans))
	for i, s := range spans {
		entries[i] = map[string]any{"binding": i, "resource": map[string]any{
			"buffer": s.m.(*jsBuffer).Value, "offset": float64(s.off), "size": float64(s.bytes),
		}}
	}
	v, err := b.scoped(func() js.Value {
		return b.device.Call("createBindGroup", map[string]any{"layout": p.(jsPipeline).layout, "entries": entries})
	})
	if err != nil {
		return nil, err
	}
	return object{v}, nil
}

func (b *browser) submit(list []dispatch) (err error) {
	defer caught(&err)
	if b.failed != nil {
		return b.failed
	}
	e := b.device.Call("createCommandEncoder")
	pass := e.Call("beginComputePass")
	for _, d := range list {
		pass.Call("setPipeline", d.p.(jsPipeline).Value)
		pass.Call("setBindGroup", 0, d.g.(object).Value)
		pass.Call("dispatchWorkgroups", d.x, d.y)
	}
	pass.Call("end")
	b.queue.Call("submit", []any{e.Call("finish")})
	return nil
}

func (b *browser) write(m memory, off int64, src []byte) (err error) {
	defer caught(&err)
	if b.failed != nil {
		return b.failed
	}
	bytes := js.Global().Get("Uint8Array").New(len(src))
	js.CopyBytesToJS(bytes, src)
	b.queue.Call("writeBuffer", m.(*jsBuffer).Value, float64(off), bytes)
	return nil
}

func (b *browser) read(ctx context.Context, m memory, off int64, dst []byte) (err error) {
	defer caught(&err)
	if err := ctx.Err(); err != nil {
		return err
	}
	stage, err := b.scoped(func() js.Value {
		v := b.device.Call("createBuffer", map[string]any{"size": len(dst), "usage": usageMapRead | usageCopyDst})
		e := b.device.Call("createCommandEncoder")
		e.Call("copyBufferToBuffer", m.(*jsBuffer).Value, float64(off), v, 0, len(dst))
		b.queue.Call("submit", []any{e.Call("finish")})
		return v
	})
	if err != nil {
		return err
	}
	defer stage.Call("destroy")
	if _, err := await(stage.Call("mapAsync", 1)); err != nil { // GPUMapMode.READ
		if b.failed != nil {
			return b.failed
		}
		return told(err)
	}
	js.CopyBytesToGo(dst, js.Global().Get("Uint8Array").New(stage.Call("getMappedRange")))
	return b.failed
}

func (b *browser) close() {
	b.device.Call("removeEventListener", "uncapturederror", b.on[0])
	b.device.Call("destroy") // settles lost, whose listener stays
	b.on[0].Release()
}
