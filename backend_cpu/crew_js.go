package cpu

import (
	"encoding/binary"
	"fmt"
	"syscall/js"

	"github.com/gounet/gounet/backend_cpu/wasm/kernel"
	"github.com/gounet/gounet/core/backend"
)

// crew is the threads that run kernels: the one of Go, and workers.
type crew struct {
	memory  js.Value
	shared  bool
	threads int
	table   js.Value // of the kernels of this thread
	run     js.Value // of the loop
	loop    js.Value // module; undefined before the first load
	others  []*thread
	working bool  // the others sleep in the loop
	lost    error // why no kernel can run any more
}

// thread is a worker. It answers every message with "ready" and, when it is sent
// back from the loop, "stopped".
type thread struct {
	worker js.Value
	said   chan js.Value
	listen []js.Func
}

// threadSource is the program of a worker, in a page and under node.
const threadSource = `
const port = typeof require === 'undefined' ? self : require('worker_threads').parentPort;
const table = new WebAssembly.Table({ element: 'anyfunc', initial: 0 });
let env, loop;
const receive = d => {
	try {
		if (d.loop) {
			env = { mem: d.mem, table };
			loop = new WebAssembly.Instance(d.loop, { env }).exports;
		}
		if (table.length < d.slots) table.grow(d.slots - table.length);
		new WebAssembly.Instance(d.kernels, { env });
		port.postMessage('ready');
		loop.work(d.id, d.runs);
		port.postMessage('stopped');
	} catch (e) {
		port.postMessage({ error: String(e) });
	}
};
if (port.on) port.on('message', receive); else port.onmessage = e => receive(e.data);
`

func newCrew(memory js.Value, shared bool, threads int) *crew {
	return &crew{memory: memory, shared: shared, threads: threads}
}

// load brings a module of kernels to all threads; slots is how long their tables
// must be. A thread that does not answer as it should is waited for by no run: the
// device is lost.
func (c *crew) load(code []byte, slots int) error {
	if c.lost != nil {
		return c.lost
	}
	module, err := compileModule(code)
	if err != nil {
		return fmt.Errorf("cpu: a module of kernels: %w", err)
	}
	if err := c.share(module, slots); err != nil {
		c.close(fmt.Errorf("%w: %w", err, backend.ErrLost))
		return c.lost
	}
	return nil
}

func (c *crew) share(module js.Value, slots int) error {
	if err := c.stop(); err != nil {
		return err
	}
	if c.loop.IsUndefined() {
		if err := c.begin(); err != nil {
			return err
		}
	}
	err := attempt(func() {
		if n := slots - c.table.Get("length").Int(); n > 0 {
			c.table.Call("grow", n)
		}
	})
	if err != nil {
		return fmt.Errorf("cpu: a table of %d kernels: %w", slots, err)
	}
	if _, err := c.instance(module); err != nil {
		return fmt.Errorf("cpu: a module of kernels: %w", err)
	}
	return c.send(module, slots)
}

// begin makes the loop of this thread and the other threads.
func (c *crew) begin() error {
	module, err := compileModule(kernel.Loop(ctlAt, c.shared))
	if err != nil {
		return err
	}
	c.table = js.Global().Get("WebAssembly").Get("Table").New(map[string]any{"element": "anyfunc", "initial": 0})
	loop, err := c.instance(module)
	if err != nil {
		return err
	}
	for len(c.others) < c.threads-1 {
		t, err := newThread()
		if err != nil {
			return fmt.Errorf("cpu: thread %d of %d: %w: ask for fewer workers", len(c.others)+2, c.threads, err)
		}
		c.others = append(c.others, t)
	}
	c.run, c.loop = loop.Get("exports").Get("run"), module
	return nil
}

// instance is a module on the memory and the table of this thread.
func (c *crew) instance(module js.Value) (js.Value, error) {
	env := map[string]any{"mem": c.memory, "table": c.table}
	return await(js.Global().Get("WebAssembly").Call("instantiate", module, map[string]any{"env": env}))
}

// send brings a module to the other threads and lets them go into the loop.
func (c *crew) send(module js.Value, slots int) error {
	c.set(kernel.CtlThreads, c.threads)
	runs := c.words().Index(kernel.CtlRuns / 4)
	for i, t := range c.others {
		message := map[string]any{"kernels": module, "slots": slots, "id": i + 1, "runs": runs}
		if !c.working {
			message["loop"], message["mem"] = c.loop, c.memory
		}
		t.worker.Call("postMessage", message)
	}
	c.working = true
	return c.hear("ready")
}

// stop sends the other threads back to where they hear messages.
func (c *crew) stop() error {
	if !c.working || len(c.others) == 0 {
		return nil
	}
	c.set(kernel.CtlThreads, 0)
	atomics, words := js.Global().Get("Atomics"), c.words()
	atomics.Call("add", words, kernel.CtlRuns/4, 1)
	atomics.Call("notify", words, kernel.CtlRuns/4)
	return c.hear("stopped")
}

// hear waits until all others have said a word.
func (c *crew) hear(word string) error {
	var first error
	for i, t := range c.others {
		v := <-t.said
		if (v.Type() != js.TypeString || v.String() != word) && first == nil {
			first = fmt.Errorf("cpu: thread %d of %d: %s", i+2, c.threads, complaint(v))
		}
	}
	return first
}

// close ends the other threads, wherever they are, and says why.
func (c *crew) close(why error) {
	if c.lost == nil {
		c.lost = why
	}
	for _, t := range c.others {
		t.worker.Call("terminate")
		for _, f := range t.listen {
			f.Release()
		}
	}
	c.others, c.working = nil, false
}

// words is the control block.
func (c *crew) words() js.Value {
	return js.Global().Get("Int32Array").New(c.memory.Get("buffer"), ctlAt, kernel.CtlSize/4)
}

func (c *crew) set(off, v int) {
	if c.shared {
		js.Global().Get("Atomics").Call("store", c.words(), off/4, v)
		return
	}
	c.words().SetIndex(off/4, v)
}

// newThread starts a worker.
func newThread() (t *thread, err error) {
	t = &thread{said: make(chan js.Value, 4)}
	hear := func(value func(js.Value) js.Value) js.Func {
		f := js.FuncOf(func(_ js.Value, a []js.Value) any {
			select {
			case t.said <- value(a[0]):
			default: // a thread says two words before it is asked again
			}
			return nil
		})
		t.listen = append(t.listen, f)
		return f
	}
	err = attempt(func() {
		g := js.Global()
		same := func(v js.Value) js.Value { return v }
		if node() {
			t.worker = g.Get("require").Invoke("worker_threads").Get("Worker").New(threadSource, map[string]any{"eval": true})
			t.worker.Call("on", "message", hear(same))
			t.worker.Call("on", "error", hear(same))
			return
		}
		blob := g.Get("Blob").New([]any{threadSource}, map[string]any{"type": "text/javascript"})
		url := g.Get("URL").Call("createObjectURL", blob)
		t.worker = g.Get("Worker").New(url)
		t.worker.Set("onmessage", hear(func(v js.Value) js.Value { return v.Get("data") }))
		t.worker.Set("onerror", hear(same))
	})
	return t, err
}

// complaint is what a thread said instead of a word.
func complaint(v js.Value) string {
	if v.Type() == js.TypeObject {
		for _, name := range []string{"error", "message"} {
			if s := v.Get(name); s.Type() == js.TypeString {
				return s.String()
			}
		}
	}
	return "said " + v.String()
}

// compileModule compiles code.
func compileModule(code []byte) (js.Value, error) {
	view := js.Global().Get("Uint8Array").New(len(code))
	js.CopyBytesToJS(view, code)
	return await(js.Global().Get("WebAssembly").Call("compile", view))
}

// await waits for a promise.
func await(promise js.Value) (js.Value, error) {
	done, bad := make(chan js.Value, 1), make(chan js.Value, 1)
	yes := js.FuncOf(func(_ js.Value, a []js.Value) any { done <- a[0]; return nil })
	no := js.FuncOf(func(_ js.Value, a []js.Value) any { bad <- a[0]; return nil })
	defer yes.Release()
	defer no.Release()
	promise.Call("then", yes, no)
	select {
	case v := <-done:
		return v, nil
	case v := <-bad:
		return js.Undefined(), js.Error{Value: v}
	}
}

// le32 appends words of memory.
func le32(b []byte, words ...int64) []byte {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, uint32(w))
	}
	return b
}
