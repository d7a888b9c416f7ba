package webgpu

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/gounet/gounet/internal/half"
	"github.com/gounet/gounet/shaders"
)

// probeHalves says whether the device has shader-f16 and converts as this project
// does: to the nearest half, ties to even, with subnormals. WGSL promises neither.
// Where it does not, halves are packed as bits.
func (d *device) probeHalves(ctx context.Context) (bool, error) {
	if !d.facts.f16 {
		return false, nil
	}
	x := probes()
	n := len(x)
	words := make([]byte, 0, 6*n) // x, and the halves that it should become
	for _, v := range x {
		words = binary.LittleEndian.AppendUint32(words, math.Float32bits(v))
	}
	for _, v := range x {
		words = binary.LittleEndian.AppendUint16(words, half.ToF16(v))
	}
	made, err := d.probed(ctx, words, n)
	if err != nil {
		return false, err
	}
	for i, v := range x {
		want := half.ToF16(v)
		y, z := binary.LittleEndian.Uint16(made[2*i:]), binary.LittleEndian.Uint32(made[2*n+4*i:])
		if v != v { // a NaN may have any bits
			continue
		}
		if y != want || z != math.Float32bits(half.FromF16(want)) {
			return false, nil
		}
	}
	return true, nil
}

// probes are all halves, and beside each the floats half way to the next and a bit to
// either side of that.
func probes() []float32 {
	var x []float32
	for h := range 1 << 16 {
		a, b := half.FromF16(uint16(h)), half.FromF16(uint16(h+1))
		if h&0x7fff == 0x7bff { // the largest: the next would be 2^16
			b = float32(math.Copysign(1<<16, float64(a)))
		}
		middle := (a + b) / 2
		x = append(x, a, middle, math.Nextafter32(middle, a), math.Nextafter32(middle, b))
	}
	return x
}

// probed is what half_probe makes of n floats and n halves: as many halves and floats.
func (d *device) probed(ctx context.Context, words []byte, n int) ([]byte, error) {
	groups := n / 2 / group64
	x := ceil(groups, mostRows)
	code, err := shaders.WGSL("half_probe", shaders.Consts{"COUNT": n / 2, "GRID": x * group64}, true)
	if err != nil {
		return nil, err
	}
	p, err := d.gpu.pipelines([]module{{code, 4}})
	if err != nil {
		return nil, err
	}
	defer releaseAll(p)
	in, err := d.gpu.buffer(int64(len(words)))
	if err != nil {
		return nil, err
	}
	defer in.release()
	out, err := d.gpu.buffer(int64(len(words)))
	if err != nil {
		return nil, err
	}
	defer out.release()
	halves, floats := int64(2*n), int64(4*n)
	bound, err := d.gpu.groups([]binding{{p[0], []span{{out, 0, halves}, {out, halves, floats}, {in, 0, floats}, {in, floats, halves}}}})
	if err != nil {
		return nil, err
	}
	defer releaseAll(bound)
	if err := d.gpu.write(in, 0, words); err != nil {
		return nil, err
	}
	if _, err := d.gpu.submit([]dispatch{{p: p[0], g: bound[0], x: x, rows: ceil(groups, x)}}); err != nil {
		return nil, err
	}
	made := make([]byte, len(words))
	return made, d.gpu.read(ctx, out, 0, made)
}
