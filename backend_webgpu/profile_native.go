//go:build !js && cgo

package webgpu

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cogentcore/webgpu/wgpu"
)

// clock is two timestamp queries and where their results go.
type clock struct {
	set     *wgpu.QuerySet
	results *wgpu.Buffer
	period  float64 // seconds of a tick
}

// clockBytes are two timestamps of 64 bits.
const clockBytes = 16

// comparison is how long the host's clock is compared with the device's at least, and
// exactness how well their rates are known then.
const (
	comparison = 100 * time.Millisecond
	exactness  = 0.01
)

// newClock makes queries and measures their period, which this library does not
// tell.
func (g *native) newClock(ctx context.Context) (*clock, error) {
	set, err := g.device.CreateQuerySet(&wgpu.QuerySetDescriptor{Type: wgpu.QueryTypeTimestamp, Count: 2})
	if err != nil {
		return nil, told(err)
	}
	results, err := g.device.CreateBuffer(&wgpu.BufferDescriptor{Size: clockBytes, Usage: wgpu.BufferUsageQueryResolve | wgpu.BufferUsageCopySrc})
	if err != nil {
		set.Release()
		return nil, told(err)
	}
	c := &clock{set: set, results: results}
	if err := g.compare(ctx, c); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

// compare sets the period of c: the time between two readings, which lasts until it
// is long beside the time that a reading takes. A slow reading is replaced by the next.
func (g *native) compare(ctx context.Context, c *clock) error {
	first, err := g.now(ctx, c)
	if err != nil {
		return err
	}
	for {
		time.Sleep(comparison)
		last, err := g.now(ctx, c)
		if err != nil {
			return err
		}
		if last.ticks <= first.ticks {
			return errors.New("its timestamps stand still")
		}
		passed := last.at.Sub(first.at).Seconds()
		if (first.within + last.within).Seconds() <= exactness*passed {
			c.period = passed / float64(last.ticks-first.ticks)
			return nil
		}
		if last.within < first.within/2 {
			first = last
		}
	}
}

// reading is what the clocks of the device and of the host show at once, the latter
// by so much to either side.
type reading struct {
	ticks  uint64
	at     time.Time
	within time.Duration
}

func (g *native) now(ctx context.Context, c *clock) (reading, error) {
	before := time.Now()
	_, ticks, err := g.stamped(ctx, c, nil)
	half := time.Since(before) / 2
	return reading{ticks, before.Add(half), half}, err
}

func (c *clock) release() {
	c.set.Release()
	c.results.Destroy()
	c.results.Release()
}

// timed is timer's.
func (g *native) timed(ctx context.Context, list []dispatch) (float64, error) {
	if !g.timestamps {
		return 0, ErrNoTimestamps
	}
	if g.clock == nil {
		c, err := g.newClock(ctx)
		if err != nil {
			return 0, err
		}
		g.clock = c
	}
	first, last, err := g.stamped(ctx, g.clock, list)
	return float64(last-first) * g.clock.period, err
}

// stamped runs dispatches and returns the timestamps around them.
func (g *native) stamped(ctx context.Context, c *clock, list []dispatch) (first, last uint64, err error) {
	e, err := g.device.CreateCommandEncoder(nil)
	if err != nil {
		return 0, 0, told(err)
	}
	defer e.Release()
	if err := e.WriteTimestamp(c.set, 0); err != nil {
		return 0, 0, told(err)
	}
	if err := g.record(e, list); err != nil {
		return 0, 0, err
	}
	if err := e.WriteTimestamp(c.set, 1); err != nil {
		return 0, 0, told(err)
	}
	if err := e.ResolveQuerySet(c.set, 0, 2, c.results, 0); err != nil {
		return 0, 0, told(err)
	}
	if err := g.finish(e); err != nil {
		return 0, 0, err
	}
	b := make([]byte, clockBytes)
	if err := g.read(ctx, nativeBuffer{c.results}, 0, b); err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), nil
}
