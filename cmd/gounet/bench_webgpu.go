package main

import (
	"context"
	"errors"
	"strings"

	webgpu "github.com/gounet/gounet/backend_webgpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// onWebGPU is the name of WebGPU among the devices; software stands behind it, and a
// colon, where an adapter may be one of software.
const (
	onWebGPU = "webgpu"
	software = "software"
)

// openDevice opens the device that is measured.
func (f *benchFlags) openDevice(s *settings) (backend.Device, error) {
	name, adapter, _ := strings.Cut(f.device.device, ":")
	switch {
	case name != onWebGPU || !f.webgpu:
		return f.device.open(s)
	case adapter != "" && adapter != software:
		return nil, usagef("device %q: wanted %s, or %s:%s for adapters that are no GPU", f.device.device, onWebGPU, onWebGPU, software)
	}
	return webgpu.Open(webgpu.Options{Software: adapter == software})
}

// Clocks of a device that is not the CPU.
const (
	ownClock  = "those of its timestamp queries"
	hostClock = "those of the host, submit and wait included: the adapter has no timestamp queries"
)

// measureDevice times a program of a device that runs on its own. clock says which
// clock it was.
func measureDevice(ctx context.Context, s *backend.Session, seconds float64, least int) (t timing, clock string, err error) {
	if _, err := s.Profile(ctx); err == nil { // which has warmed up
		t, err = gather(seconds, least, func() (float64, error) {
			nodes, err := s.Profile(ctx)
			sum := 0.0
			for _, n := range nodes {
				sum += n
			}
			return sum, err
		})
		return t, ownClock, err
	} else if !errors.Is(err, webgpu.ErrNoTimestamps) {
		return t, "", err
	}
	t, err = measure(ctx, seconds, least, func(ctx context.Context) error {
		if err := s.Run(ctx); err != nil {
			return err
		}
		return wait(ctx, s)
	})
	return t, hostClock, err
}

// wait returns when the runs of s are done: reads wait for them.
func wait(ctx context.Context, s *backend.Session) error {
	for i, info := range s.Program.Values {
		v := graph.Value(i + 1)
		if _, ok := s.Program.Place(v); ok {
			return s.Read(ctx, v, make([]byte, min(4, info.Type.Bytes())))
		}
	}
	return nil
}
