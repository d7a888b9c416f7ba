//go:build js

package webgpu

import (
	"context"
	"errors"
	"syscall/js"
)

// trouble is that the device is gone, or an error that no scope has seen, once.
func (b *browser) trouble() error {
	if b.lost != nil {
		return b.lost
	}
	err := b.failed
	b.failed = nil
	return err
}

// scopes are the kinds of errors that calls make.
var scopes = []any{"validation", memoryScope, "internal"}

const memoryScope = "out-of-memory"

// outcome is the first error of scopes that were ended.
func (b *browser) outcome(ctx context.Context, ended awaiting) error {
	errs, err := ended.wait(ctx)
	if b.lost != nil {
		return b.lost
	}
	if err != nil {
		return err
	}
	for i := range errs.Length() {
		if e := errs.Index(i); e.Truthy() {
			err := told(errors.New(e.Get("message").String()))
			if scopes[i] == memoryScope { // its text is that of the driver
				err = noMemory(err)
			}
			return err
		}
	}
	return nil
}

// scoped runs f and waits for the errors that it made.
func (b *browser) scoped(f func()) (err error) {
	defer caught(&err)
	if err := b.trouble(); err != nil {
		return err
	}
	return b.outcome(context.Background(), b.watched(f))
}

// watched runs f in scopes, which end also when f throws, and promises their errors.
func (b *browser) watched(f func()) (ended awaiting) {
	for _, s := range scopes {
		b.device.Call("pushErrorScope", s)
	}
	defer func() {
		list := make([]any, len(scopes))
		for i := range list {
			list[i] = b.device.Call("popErrorScope")
		}
		ended = listen(js.Global().Get("Promise").Call("all", list))
	}()
	f()
	return
}
