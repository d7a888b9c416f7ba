package backend

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// Session is a program on a device with buffers for all of its regions: what
// training, prediction and tests run.
type Session struct {
	Device  Device
	Program *compile.Program
	buffers map[graph.Region][]Buffer
	owned   []Buffer
	exec    Executable
}

// NewSession allocates the regions of p and compiles it. Regions in shared come
// from another session on the same device (a validation program reads the
// weights that training writes) and are not freed by Close; their layouts must
// be the same.
func NewSession(dev Device, p *compile.Program, shared *Session, regions ...graph.Region) (*Session, error) {
	s := &Session{Device: dev, Program: p, buffers: map[graph.Region][]Buffer{}}
	for r := range graph.Region(graph.Regions) {
		if shared != nil && slices.Contains(regions, r) {
			if !slices.Equal(p.Size[r], shared.Program.Size[r]) {
				s.Close()
				return nil, fmt.Errorf("backend: region %s has %v bytes, the session it is shared with %v", r, p.Size[r], shared.Program.Size[r])
			}
			s.buffers[r] = shared.buffers[r]
			continue
		}
		for _, n := range p.Size[r] {
			b, err := dev.NewBuffer(n)
			if err != nil {
				s.Close()
				return nil, fmt.Errorf("%s: %s: %w", dev.Name(), r, err)
			}
			s.buffers[r] = append(s.buffers[r], b)
			s.owned = append(s.owned, b)
		}
	}
	e, err := dev.Compile(p, s.buffers)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.exec = e
	return s, nil
}

// Run runs the program once.
func (s *Session) Run(ctx context.Context) error { return s.exec.Run(ctx) }

// Profile runs the program once and returns the seconds of each node, or an
// error if the device cannot tell.
func (s *Session) Profile(ctx context.Context) ([]float64, error) {
	p, ok := s.exec.(Profiler)
	if !ok {
		return nil, fmt.Errorf("%s: has no profiler", s.Device.Name())
	}
	return p.Profile(ctx)
}

// Buffer and offset of v.
func (s *Session) at(v graph.Value) (Buffer, compile.Place, error) {
	at, ok := s.Program.Place(v)
	if !ok {
		return nil, at, fmt.Errorf("%s: value %s has no place in this program", s.Device.Name(), s.Program.Info(v).Name)
	}
	return s.buffers[at.Region][at.Chunk], at, nil
}

// Write copies src to the start of v.
func (s *Session) Write(ctx context.Context, v graph.Value, src []byte) error {
	return s.WriteAt(ctx, v, 0, src)
}

// WriteAt copies src to v from its byte off on.
func (s *Session) WriteAt(ctx context.Context, v graph.Value, off int64, src []byte) error {
	b, at, err := s.at(v)
	if err != nil {
		return err
	}
	if off < 0 || off+int64(len(src)) > at.Bytes {
		return fmt.Errorf("%s: %d bytes written from byte %d of %s, which has %d", s.Device.Name(), len(src), off, s.Program.Info(v).Name, at.Bytes)
	}
	return b.Write(ctx, at.Offset+off, src)
}

// Clear makes n bytes of v zero, from byte off on.
func (s *Session) Clear(ctx context.Context, v graph.Value, off, n int64) error {
	b, at, err := s.at(v)
	if err != nil {
		return err
	}
	if off < 0 || n < 0 || off+n > at.Bytes {
		return fmt.Errorf("%s: %d bytes cleared from byte %d of %s, which has %d", s.Device.Name(), n, off, s.Program.Info(v).Name, at.Bytes)
	}
	if c, ok := b.(Clearer); ok {
		return c.Clear(ctx, at.Offset+off, n)
	}
	zeros := make([]byte, min(n, zeroBytes))
	for ; n > 0; off, n = off+zeroBytes, n-zeroBytes {
		if err := b.Write(ctx, at.Offset+off, zeros[:min(n, zeroBytes)]); err != nil {
			return err
		}
	}
	return nil
}

// zeroBytes are written at a time where a buffer cannot clear itself.
const zeroBytes = 1 << 20

// Read copies the first len(dst) bytes of v to the host.
func (s *Session) Read(ctx context.Context, v graph.Value, dst []byte) error {
	b, at, err := s.at(v)
	if err != nil {
		return err
	}
	if int64(len(dst)) > at.Bytes {
		return fmt.Errorf("%s: %d bytes read from %s of %d", s.Device.Name(), len(dst), s.Program.Info(v).Name, at.Bytes)
	}
	return b.Read(ctx, at.Offset, dst)
}

// ReadLater starts a copy of the first n bytes of v. What it returns gives them, and waits
// for the runs before it. ok is false, and nothing has begun, where the device has no such
// copies: its runs are done when they return.
func (s *Session) ReadLater(ctx context.Context, v graph.Value, n int) (bytes func(context.Context) ([]byte, error), ok bool, err error) {
	b, at, err := s.at(v)
	if err != nil {
		return nil, false, err
	}
	if int64(n) > at.Bytes {
		return nil, false, fmt.Errorf("%s: %d bytes read from %s of %d", s.Device.Name(), n, s.Program.Info(v).Name, at.Bytes)
	}
	l, ok := b.(Later)
	if !ok {
		return nil, false, nil
	}
	bytes, err = l.ReadLater(ctx, at.Offset, n)
	return bytes, err == nil, err
}

// WriteF32 writes f32 values to v.
func (s *Session) WriteF32(ctx context.Context, v graph.Value, src []float32) error {
	return s.Write(ctx, v, F32Bytes(src))
}

// ReadF32 reads f32 values of v.
func (s *Session) ReadF32(ctx context.Context, v graph.Value, dst []float32) error {
	return s.Read(ctx, v, F32Bytes(dst))
}

// WriteWeight writes the f32 values of a parameter: to Weights and, where
// convolutions read a 16-bit copy, to Half, whichever the program has.
func (s *Session) WriteWeight(ctx context.Context, w graph.Value, src []float32) error {
	if want := s.Program.Type(w).Shape.Elems(); len(src) != want {
		return fmt.Errorf("%s: %d values for parameter %s of %d", s.Device.Name(), len(src), s.Program.Info(w).Name, want)
	}
	if _, ok := s.Program.Place(w); ok {
		if err := s.WriteF32(ctx, w, src); err != nil {
			return err
		}
	}
	for i, info := range s.Program.Values {
		if info.Region != graph.Half || info.Of != w {
			continue
		}
		b := make([]byte, 2*len(src))
		encode(b, src, info.Type.DType)
		if err := s.Write(ctx, graph.Value(i+1), b); err != nil {
			return err
		}
	}
	return nil
}

// WriteFloats writes f32 values to v, stored in whatever float type.
func (s *Session) WriteFloats(ctx context.Context, v graph.Value, src []float32) error {
	d := s.Program.Type(v).DType
	if d == graph.F32 {
		return s.WriteF32(ctx, v, src)
	}
	b := make([]byte, 2*len(src))
	encode(b, src, d)
	return s.Write(ctx, v, b)
}

// ReadFloats reads v, stored in whatever float type, as f32.
func (s *Session) ReadFloats(ctx context.Context, v graph.Value, dst []float32) error {
	d := s.Program.Type(v).DType
	if d == graph.F32 {
		return s.ReadF32(ctx, v, dst)
	}
	b := make([]byte, 2*len(dst))
	if err := s.Read(ctx, v, b); err != nil {
		return err
	}
	for i := range dst {
		u := binary.LittleEndian.Uint16(b[2*i:])
		if d == graph.BF16 {
			dst[i] = half.FromBF16(u)
		} else {
			dst[i] = half.FromF16(u)
		}
	}
	return nil
}

func encode(dst []byte, src []float32, d graph.DType) {
	for i, x := range src {
		u := half.ToF16(x)
		if d == graph.BF16 {
			u = half.ToBF16(x)
		}
		binary.LittleEndian.PutUint16(dst[2*i:], u)
	}
}

// Close frees the program and the memory that the session allocated.
func (s *Session) Close() {
	if s.exec != nil {
		s.exec.Free()
	}
	for _, b := range s.owned {
		b.Free()
	}
	s.exec, s.owned = nil, nil
}

// F32Bytes views f32 values as bytes, little endian as all machines that the
// backends run on.
func F32Bytes(x []float32) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
}
