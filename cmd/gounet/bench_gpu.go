package main

import (
	"context"
	"errors"

	webgpu "github.com/gounet/gounet/backend_webgpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// Clocks of a device that is not the CPU.
const (
	ownClock  = "those of its own clock"
	hostClock = "those of the host, submit and wait included"
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
	t, err = timed(ctx, seconds, least, func(ctx context.Context) error { return runWhole(ctx, s) })
	return t, hostClock, err
}

// runWhole runs the program of s to its end.
func runWhole(ctx context.Context, s *backend.Session) error {
	if err := s.Run(ctx); err != nil {
		return err
	}
	return wait(ctx, s)
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
