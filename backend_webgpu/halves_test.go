package webgpu

import (
	"context"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/half"
)

// Where shader-f16 is used depends on the device. That all of the suite and of the
// networks holds with it is shown where this test does not skip.
func TestHalvesOfTheDevice(t *testing.T) {
	d := opened(t)
	switch {
	case !d.facts.f16:
		t.Skip(d.facts.name + " has no shader-f16: halves are packed as bits")
	case !d.f16:
		t.Skip(d.facts.name + " has shader-f16, but converts otherwise than to the nearest half: halves are packed as bits")
	}
	t.Log("halves are those of " + d.facts.name)
}

// converter is a GPU with shader-f16 that spoils what it converts.
type converter struct {
	paper
	words []byte
	spoil func(halves, floats []byte)
}

func (c *converter) write(_ memory, _ int64, src []byte) error {
	c.words = src
	return nil
}

func (c *converter) submit([]dispatch) (submitted, error) { return nil, nil }

func (c *converter) read(_ context.Context, _ memory, _ int64, dst []byte) error {
	n := len(dst) / 6
	for i := range n {
		x := math.Float32frombits(binary.LittleEndian.Uint32(c.words[4*i:]))
		w := binary.LittleEndian.Uint16(c.words[4*n+2*i:])
		binary.LittleEndian.PutUint16(dst[2*i:], half.ToF16(x))
		binary.LittleEndian.PutUint32(dst[2*n+4*i:], math.Float32bits(half.FromF16(w)))
	}
	c.spoil(dst[:2*n], dst[2*n:])
	return nil
}

// One half that a device rounds otherwise, or one subnormal that it flushes, and its
// conversions are not used.
func TestADeviceThatRoundsOtherwisePacksHalves(t *testing.T) {
	probe := func(f16 bool, spoil func(halves, floats []byte)) bool {
		d := &device{gpu: &converter{spoil: spoil}, facts: facts{f16: f16}}
		exact, err := d.probeHalves(t.Context())
		require.NoError(t, err)
		return exact
	}
	right := func([]byte, []byte) {}
	assert.True(t, probe(true, right))
	assert.False(t, probe(false, right), "without shader-f16")
	assert.False(t, probe(true, func(halves, _ []byte) { halves[2*(4*0x3c00+2)]++ }), "above the middle of 1 and the next")
	assert.False(t, probe(true, func(_, floats []byte) { clear(floats[4*4:][:4]) }), "the smallest subnormal")
}
