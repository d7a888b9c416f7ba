package backendtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

const (
	poison = 0xFF // NaN in every type of float
	canary = 0xA5
	// tail is memory behind the last value of a buffer, to notice what is
	// written there.
	tail = 512
)

// gapByte fills the gaps between values. Those of parameters, their gradients
// and states are zero, as NewBuffer leaves them: a kernel may treat a range of
// parameters as one, gaps included.
func gapByte(r graph.Region) byte {
	switch r {
	case graph.Weights, graph.Half, graph.Grads, graph.State:
		return 0
	}
	return canary
}

// chunk is one buffer and what it holds.
type chunk struct {
	region graph.Region
	buffer backend.Buffer
	before []byte // what is written before a run
	after  []byte // what is read after it
}

// rig is a program on a device, with buffers that the host can see whole.
type rig struct {
	program *compile.Program
	chunks  map[graph.Region][]*chunk
	exec    backend.Executable
	inputs  map[graph.Value][]float64 // before rounding
}

func newRig(dev backend.Device, p *compile.Program) (*rig, error) {
	r := &rig{program: p, chunks: map[graph.Region][]*chunk{}, inputs: map[graph.Value][]float64{}}
	bind := map[graph.Region][]backend.Buffer{}
	for region := range graph.Region(graph.Regions) {
		for _, n := range p.Size[region] {
			b, err := dev.NewBuffer(n + tail)
			if err != nil {
				r.free()
				return nil, fmt.Errorf("%s: %s: %w", dev.Name(), region, err)
			}
			c := &chunk{region, b, make([]byte, n+tail), make([]byte, n+tail)}
			for i := range c.before {
				c.before[i] = gapByte(region)
			}
			r.chunks[region] = append(r.chunks[region], c)
			bind[region] = append(bind[region], b)
		}
	}
	var err error
	if r.exec, err = dev.Compile(p, bind); err != nil {
		r.free()
		return nil, err
	}
	for i := range p.Values {
		b, _ := r.bytes(graph.Value(i+1), false)
		fill(b, poison)
	}
	return r, nil
}

func fill(b []byte, with byte) {
	for i := range b {
		b[i] = with
	}
}

func (r *rig) free() {
	if r.exec != nil {
		r.exec.Free()
	}
	for _, cs := range r.chunks {
		for _, c := range cs {
			c.buffer.Free()
		}
	}
}

// bytes of v before or after the run; ok is false for a value without a place.
func (r *rig) bytes(v graph.Value, after bool) (b []byte, ok bool) {
	at, ok := r.program.Place(v)
	if !ok {
		return nil, false
	}
	c := r.chunks[at.Region][at.Chunk]
	b = c.before
	if after {
		b = c.after
	}
	return b[at.Offset : at.Offset+at.Bytes], true
}

// set makes a an input: its elements, rounded to the type of v.
func (r *rig) set(v graph.Value, elems []float64) {
	r.inputs[v] = elems
	if b, ok := r.bytes(v, false); ok {
		encode(b, r.program.Type(v).DType, elems)
	}
}

func (r *rig) get(v graph.Value, after bool) array {
	b, ok := r.bytes(v, after)
	if !ok {
		return array{}
	}
	return decode(b, r.program.Type(v))
}

// run writes all memory, runs once, and reads all memory.
func (r *rig) run(ctx context.Context) error {
	for _, cs := range r.chunks {
		for _, c := range cs {
			if err := c.buffer.Write(ctx, 0, c.before); err != nil {
				return err
			}
		}
	}
	if err := r.exec.Run(ctx); err != nil {
		return err
	}
	return r.read(ctx)
}

func (r *rig) read(ctx context.Context) error {
	for _, cs := range r.chunks {
		for _, c := range cs {
			if err := c.buffer.Read(ctx, 0, c.after); err != nil {
				return err
			}
		}
	}
	return nil
}

// snapshot is a copy of all memory after a run.
func (r *rig) snapshot() map[graph.Region][][]byte {
	s := map[graph.Region][][]byte{}
	for region, cs := range r.chunks {
		for _, c := range cs {
			s[region] = append(s[region], slices.Clone(c.after))
		}
	}
	return s
}

// same compares all memory with that of an earlier run, bit for bit.
func (r *rig) same(s map[graph.Region][][]byte) error {
	for region, cs := range r.chunks {
		for i, c := range cs {
			if !bytes.Equal(c.after, s[region][i]) {
				return fmt.Errorf("a second run leaves other bits in %s than the first", region)
			}
		}
	}
	return nil
}

// intact checks gaps and the values that are not to be written. A kernel may
// write whole words of four bytes, up to three bytes beyond a value.
func (r *rig) intact(written func(graph.Value) bool) error {
	used := map[*chunk][]bool{}
	for i := range r.program.Values {
		v := graph.Value(i + 1)
		at, ok := r.program.Place(v)
		if !ok {
			continue
		}
		c := r.chunks[at.Region][at.Chunk]
		if used[c] == nil {
			used[c] = make([]bool, len(c.after)+4)
		}
		end := at.Offset + at.Bytes
		for j := at.Offset; j < (end+3)/4*4; j++ {
			used[c][j] = true
		}
		b, _ := r.bytes(v, false)
		a, _ := r.bytes(v, true)
		if !written(v) && !bytes.Equal(a, b) {
			return fmt.Errorf("%s, which the program does not write, has changed", r.program.Info(v).Name)
		}
	}
	for region, cs := range r.chunks {
		for _, c := range cs {
			for j, b := range c.after {
				if b != gapByte(region) && (used[c] == nil || !used[c][j]) {
					return fmt.Errorf("byte %d of %s, which belongs to no value, was written", j, region)
				}
			}
		}
	}
	return nil
}

// encode rounds elements to d.
func encode(to []byte, d graph.DType, elems []float64) {
	for i, v := range elems {
		v = round(d, v)
		switch d {
		case graph.U8:
			to[i] = byte(v)
		case graph.F16:
			binary.LittleEndian.PutUint16(to[2*i:], halfBits(v))
		case graph.BF16:
			binary.LittleEndian.PutUint16(to[2*i:], uint16(math.Float32bits(float32(v))>>16))
		default:
			binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(float32(v)))
		}
	}
}

// halfBits is the half that is v.
func halfBits(v float64) uint16 {
	var sign uint16
	if math.Signbit(v) {
		sign = 0x8000
		v = -v
	}
	switch {
	case math.IsNaN(v):
		return 0x7E00
	case v > 65504:
		return sign | 0x7C00
	case v < 0x1p-14: // a multiple of 2^-24
		return sign | uint16(v*0x1p24)
	}
	f, e := math.Frexp(v) // f in [½, 1)
	return sign | uint16(e+14)<<10 | uint16(f*2048)&0x3FF
}

// halfValue is the value of a half.
func halfValue(b uint16) float64 {
	sign := 1.0
	if b>>15 == 1 {
		sign = -1
	}
	f := float64(b & 0x3FF)
	switch e := int(b >> 10 & 0x1F); e {
	case 0:
		return sign * f * 0x1p-24
	case 31:
		if f != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	default:
		return sign * math.Ldexp(1024+f, e-25)
	}
}

func decode(b []byte, t graph.Type) array {
	a := newArray(t)
	for i := range a.v {
		var v float64
		switch t.DType {
		case graph.U8:
			v = float64(b[i])
		case graph.F16:
			v = halfValue(binary.LittleEndian.Uint16(b[2*i:]))
		case graph.BF16:
			v = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16))
		default:
			v = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		}
		a.v[i] = exact(v)
	}
	return a
}

// checkMemory: buffers are zero when new, keep what is written at any offset of
// four bytes, and are apart from each other.
func checkMemory(ctx context.Context, dev backend.Device) error {
	const n = 1024
	a, err := dev.NewBuffer(n)
	if err != nil {
		return err
	}
	defer a.Free()
	b, err := dev.NewBuffer(n)
	if err != nil {
		return err
	}
	defer b.Free()
	got := make([]byte, n)
	want := make([]byte, n)
	if err := a.Read(ctx, 0, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: a new buffer is not zero", dev.Name())
	}
	for _, off := range []int{0, 4, 252, 1000} {
		for i := range 24 {
			want[off+i] = byte(off + i + 1)
		}
		if err := a.Write(ctx, int64(off), want[off:off+24]); err != nil {
			return err
		}
	}
	if err := a.Read(ctx, 0, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s: a buffer does not hold what was written", dev.Name())
	}
	if c, ok := a.(backend.Clearer); ok {
		clear(want[4:15])
		if err := c.Clear(ctx, 4, 11); err != nil {
			return err
		}
		if err := a.Read(ctx, 0, got); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s: clearing part of a buffer leaves other bytes", dev.Name())
		}
		if c.Clear(ctx, n-4, 5) == nil || c.Clear(ctx, -1, 2) == nil {
			return fmt.Errorf("%s: what lies outside of a buffer was cleared", dev.Name())
		}
	}
	part := make([]byte, 20)
	if err := a.Read(ctx, 252, part); err != nil {
		return err
	}
	if !bytes.Equal(part, want[252:272]) {
		return fmt.Errorf("%s: reading from byte 252 returns other bytes", dev.Name())
	}
	if err := b.Read(ctx, 0, got); err != nil {
		return err
	}
	if !bytes.Equal(got, make([]byte, n)) {
		return fmt.Errorf("%s: writing one buffer has changed another", dev.Name())
	}
	return nil
}
