//go:build js

package webgpu

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall/js"
)

// settled is the outcome of a promise.
type settled struct {
	value js.Value
	err   error
}

// awaiting is a promise that is listened to.
type awaiting struct{ done chan settled }

// listen listens to a promise, which settles it once.
func listen(promise js.Value) awaiting {
	a := awaiting{make(chan settled, 1)}
	var resolve, reject js.Func
	settle := func(s settled) {
		resolve.Release()
		reject.Release()
		a.done <- s
	}
	resolve = js.FuncOf(func(_ js.Value, args []js.Value) any {
		settle(settled{value: first(args)})
		return nil
	})
	reject = js.FuncOf(func(_ js.Value, args []js.Value) any {
		settle(settled{err: told(errors.New(first(args).Call("toString").String()))})
		return nil
	})
	promise.Call("then", resolve, reject)
	return a
}

// wait returns the outcome, which it keeps for who asks again, or the error of ctx.
func (a awaiting) wait(ctx context.Context) (js.Value, error) {
	select {
	case s := <-a.done:
		a.done <- s
		return s.value, s.err
	case <-ctx.Done():
		return js.Undefined(), ctx.Err()
	}
}

// await waits for a promise. It must not be called by a function that JavaScript
// has called: nobody would settle the promise.
func await(promise js.Value) (js.Value, error) { return listen(promise).wait(context.Background()) }

func first(a []js.Value) js.Value {
	if len(a) == 0 {
		return js.Undefined()
	}
	return a[0]
}

// caught turns what JavaScript throws into an error, and what syscall/js panics with
// where a browser lacks something: a property that is undefined.
func caught(err *error) {
	r := recover()
	switch e := r.(type) {
	case nil:
		return
	case js.Error:
		*err = told(e)
		return
	case *js.ValueError:
		*err = fmt.Errorf("this browser's WebGPU lacks something: %w", e)
		return
	case string:
		if strings.HasPrefix(e, "syscall/js: ") {
			*err = fmt.Errorf("this browser's WebGPU lacks something: %s", e)
			return
		}
	}
	panic(r)
}
