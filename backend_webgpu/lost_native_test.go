//go:build !js

package webgpu

import (
	"context"
	"errors"
)

// lose makes every call of a device fail as the library does when the GPU is gone.
// It cannot be had to lose one: its wgpuDeviceDestroy does nothing.
func lose(d *device) { d.gpu = gone{d.gpu} }

type gone struct{ gpu }

func errGone() error {
	return told(errors.New("wgpu.(*Device).CreateBuffer(): Validation Error\n\nCaused by:\n    Parent device is lost"))
}

func (gone) buffer(int64) (memory, error)                      { return nil, errGone() }
func (gone) pipelines([]module) ([]pipeline, error)            { return nil, errGone() }
func (gone) groups([]binding) ([]group, error)                 { return nil, errGone() }
func (gone) submit([]dispatch) (submitted, error)              { return nil, errGone() }
func (gone) write(memory, int64, []byte) error                 { return errGone() }
func (gone) read(context.Context, memory, int64, []byte) error { return errGone() }
func (gone) mark() (submitted, error)                          { return nil, errGone() }
