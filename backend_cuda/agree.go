//go:build cuda && linux

package cuda

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// Ways to cut a product are measured on numbers of which every sum is exact, in whatever
// order: eighths of −8 to 8, with which all ways make the same bits (as those cases of the
// conformance suite must). One that does not is wrong on this GPU.

// trial is a way that was measured, with the memory that has what it made.
type trial struct {
	tiling  string
	seconds float64
	memory  cu.DevicePtr
	made    []span
}

// span is an output of a node.
type span struct {
	at    uintptr
	bytes int64
}

// reference is the way that others are compared with: the first by the instructions that every
// GPU of this package has.
func (s site) reference() int {
	byWarps := func(w way) bool {
		return !slices.ContainsFunc(w.List, func(l launch) bool { return strings.HasSuffix(l.Kernel, "wgmma") })
	}
	return max(0, slices.IndexFunc(s.ways, byWarps))
}

// agree says whether two ways have made the same.
func (d *device) agree(a, b trial) (bool, error) {
	words, err := d.memory(8) // whether they differ, and of how many
	if err != nil {
		return false, err
	}
	defer d.free(words) //nolint:errcheck // of a lost device it is gone already
	got := make([]byte, 4)
	for i := range a.made {
		n := binary.NativeEndian.AppendUint32(nil, uint32((a.made[i].bytes+3)/4))
		if err := d.stage.write(context.Background(), words+4, n); err != nil {
			return false, err
		}
		pointers := []uintptr{words.Uintptr(), a.made[i].at, b.made[i].at, words.Uintptr() + 4}
		if err := d.told("comparing", d.driver.start(d.functions[key(comparing)].Function, comparing, d.stream, pointers)); err != nil {
			return false, err
		}
	}
	err = d.stage.read(context.Background(), got, words)
	return binary.NativeEndian.Uint32(got) == 0, err
}

// eighths are numbers of a type, of which every sum is exact.
func eighths(t graph.DType) []byte {
	const n = 65521 // a prime: no row or channel has the numbers of the next
	r := rand.New(rand.NewPCG(8, 8))
	var b []byte
	for range n {
		switch x := float32(r.IntN(17)-8) / 8; t {
		case graph.F16:
			b = binary.LittleEndian.AppendUint16(b, half.ToF16(x))
		case graph.BF16:
			b = binary.LittleEndian.AppendUint16(b, half.ToBF16(x))
		default:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	return b
}

// fill writes eighths to what a node reads: a piece by the host, the rest of itself.
func (d *device) fill(at cu.DevicePtr, bytes int64, t graph.DType) error {
	piece := eighths(t)
	have := min(bytes, int64(len(piece)))
	if err := d.stage.write(context.Background(), at, piece[:have]); err != nil {
		return err
	}
	for have < bytes {
		n := min(have, bytes-have)
		if err := d.told("filling", cu.MemcpyDtoDAsync(at+cu.DevicePtr(have), at, n, d.stream)); err != nil {
			return err
		}
		have += n
	}
	return nil
}

// operands fills what the node of a way reads, and finds what it makes, in memory of its own.
func (d *device) operands(p *compile.Program, w way, memory cu.DevicePtr, at map[place]int64) (made []span, err error) {
	n, s := p.Nodes[w.List[0].Node], &scope{Program: p, out: &launches{}}
	for _, v := range n.In {
		if v <= 0 {
			continue
		}
		if off, is := at[s.value(v)]; is {
			if err := d.fill(memory+cu.DevicePtr(off), s.value(v).Bytes, p.Type(v).DType); err != nil {
				return nil, err
			}
		}
	}
	for _, v := range n.Out {
		place := s.value(v)
		if off, is := at[place]; is && place.In == region {
			made = append(made, span{memory.Uintptr() + uintptr(off), place.Bytes})
		}
	}
	return made, nil
}

// product is the kernel that multiplies.
func (w way) product() launch {
	i := slices.IndexFunc(w.List, func(l launch) bool { return strings.HasSuffix(l.Kernel, "mma") })
	return w.List[max(0, i)]
}

// refuse tells of a way that is wrong.
func (d *device) refuse(p *compile.Program, w way, than string) {
	if d.warn == nil {
		return
	}
	l := w.product()
	d.warn(fmt.Sprintf("cuda: %s: %s: kernel %s (%s) makes other numbers than %s, and is not used: please report it with what gounet doctor says",
		d.facts.name, p.Nodes[l.Node].Name, l.Kernel, w.tiling, than))
}
