//go:build cuda && linux

package cuda

import (
	"context"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// ring is how much may wait to be copied to the GPU: several steps' ctl, or a batch
// beside the one that is computed.
const ring = 64 << 20

// stage is pinned memory that copies go through: a ring for what is written, of
// which a part is free again when its copy is done, and a piece for what is read.
// It is made when it is first used.
type stage struct {
	device     *device
	room       int64 // of the ring; a piece, which is copied at once, is a quarter
	out, in    []byte
	head, tail int64 // bytes that were ever taken from out, and given back
	copies     []copied
	lateOut    []byte // of late
	late       []late
}

// copied is a copy that may not be done: of what was taken up to a point.
type copied struct {
	end  int64
	done cu.Event
}

// pinned is page-locked memory, outside of Go's heap.
func (d *device) pinned(bytes int64) ([]byte, error) {
	var p unsafe.Pointer
	if err := d.driver.error(d.driver.hostAllocate(&p, uintptr(bytes), 0)); err != nil {
		return nil, d.told(fmt.Sprintf("%d MiB of pinned memory", bytes>>20), err)
	}
	return unsafe.Slice((*byte)(p), bytes), nil
}

// write copies src to the ring piece by piece, and starts the copies to m.
func (s *stage) write(ctx context.Context, m cu.DevicePtr, src []byte) error {
	d := s.device
	if s.out == nil && len(src) > 0 {
		out, err := d.pinned(s.room)
		if err != nil {
			return err
		}
		s.out = out
	}
	for len(src) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cuda: write: %w", err)
		}
		n := min(len(src), int(s.room/4))
		at, err := s.take(n)
		if err != nil {
			return err
		}
		copy(at, src[:n])
		if err := cu.MemcpyHtoDAsync(m, unsafe.Pointer(&at[0]), int64(n), d.stream); err != nil {
			return d.told(fmt.Sprintf("write of %d bytes", n), err)
		}
		done, err := d.mark()
		if err != nil {
			return err
		}
		s.copies = append(s.copies, copied{s.head, done})
		m, src = m+cu.DevicePtr(n), src[n:]
	}
	return nil
}

// take is n bytes of the ring, at most a piece, when the copies that have them are
// done.
func (s *stage) take(n int) ([]byte, error) {
	const align = 256
	begin := (s.head + align - 1) / align * align
	if begin%s.room+int64(n) > s.room {
		begin = (begin + s.room - 1) / s.room * s.room
	}
	for begin+int64(n)-s.tail > s.room {
		c := s.copies[0]
		if err := s.device.wait(c.done, "write"); err != nil {
			return nil, err
		}
		s.copies, s.tail = s.copies[1:], c.end
	}
	s.head = begin + int64(n)
	return s.out[begin%s.room:][:n], nil
}

// read copies from m to dst piece by piece.
func (s *stage) read(ctx context.Context, dst []byte, m cu.DevicePtr) error {
	d := s.device
	if s.in == nil && len(dst) > 0 {
		in, err := d.pinned(s.room / 4)
		if err != nil {
			return err
		}
		s.in = in
	}
	for len(dst) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("cuda: read: %w", err)
		}
		n := min(len(dst), int(s.room/4))
		if err := cu.MemcpyDtoHAsync(unsafe.Pointer(&s.in[0]), m, int64(n), d.stream); err != nil {
			return d.told(fmt.Sprintf("read of %d bytes", n), err)
		}
		if err := d.stream.Synchronize(); err != nil {
			return d.told(fmt.Sprintf("read of %d bytes", n), err)
		}
		copy(dst, s.in[:n])
		m, dst = m+cu.DevicePtr(n), dst[n:]
	}
	return nil
}

// close frees the memory; nothing may be under way.
func (s *stage) close() {
	for _, c := range s.copies {
		s.device.spare = append(s.device.spare, c.done)
	}
	for _, l := range s.late {
		if l.held {
			s.device.spare = append(s.device.spare, l.done)
		}
	}
	for _, b := range [][]byte{s.out, s.in, s.lateOut} {
		if b != nil {
			s.device.driver.hostFree(unsafe.Pointer(&b[0]))
		}
	}
	s.out, s.in, s.copies, s.lateOut, s.late = nil, nil, nil, nil, nil
}

// mark is an event that is done when all that was started is.
func (d *device) mark() (cu.Event, error) { return d.markOn(d.stream) }

// markOn is an event that is done when all that was started on s is.
func (d *device) markOn(s cu.Stream) (cu.Event, error) {
	var e cu.Event
	if n := len(d.spare); n > 0 {
		e, d.spare = d.spare[n-1], d.spare[:n-1]
	} else {
		var err error
		if e, err = cu.MakeEvent(cu.DisableTiming | cu.BlockingSyncEvent); err != nil {
			return e, d.told("an event", err)
		}
	}
	if err := e.Record(s); err != nil {
		d.spare = append(d.spare, e)
		return e, d.told("an event", err)
	}
	return e, nil
}

// wait returns when e is done, and keeps it for the next.
func (d *device) wait(e cu.Event, what string) error {
	err := e.Synchronize()
	d.spare = append(d.spare, e)
	return d.told(what, err)
}
