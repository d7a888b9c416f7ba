//go:build js

package webgpu

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// The errors of a submit come when it is done: the call that comes next tells them,
// with the names of the nodes, once. Natively they end the process, which is why
// what a program binds is checked before.
func TestASubmitThatIsWrongNamesItsNodes(t *testing.T) {
	d := opened(t)
	p, x, _ := adder(t, graph.F32)
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	defer s.Close()
	bad, err := d.gpu.buffer(256)
	require.NoError(t, err)
	made, err := d.gpu.pipelines([]module{{"@group(0) @binding(0) var<storage, read_write> a: array<u32>;\n@compute @workgroup_size(64) fn main() { a[0] = 1u; }", 1}})
	require.NoError(t, err)
	groups, err := d.gpu.groups([]binding{{made[0], []span{{bad, 0, 256}}}})
	require.NoError(t, err)
	bad.release()
	e := &executable{dev: d, nodes: []string{"the broken node"}, list: []dispatch{{made[0], groups[0], 1, 1, 0, 1}}}
	require.NoError(t, e.Run(t.Context()))
	err = s.Read(t.Context(), x, make([]byte, 4))
	require.ErrorContains(t, err, "webgpu: the broken node: ")
	require.ErrorContains(t, err, "destroyed")
	require.NotErrorIs(t, err, backend.ErrLost)
	require.NoError(t, s.Run(t.Context()))
	require.NoError(t, s.Read(t.Context(), x, make([]byte, 4)))
}

func TestNoMemoryIsAnErrorAndTheDeviceLives(t *testing.T) {
	d := opened(t)
	var list []backend.Buffer
	var err error
	for range 64 { // of up to a gigabyte: more than a browser gives
		var b backend.Buffer
		if b, err = d.NewBuffer(d.facts.bufferBytes / 4 * 4); err != nil {
			break
		}
		list = append(list, b)
	}
	for _, b := range list {
		b.Free()
	}
	require.Error(t, err)
	assert.ErrorContains(t, err, "bytes")
	if errors.Is(err, backend.ErrLost) {
		return // some browsers give up the device
	}
	b, err := d.NewBuffer(1 << 20)
	require.NoError(t, err)
	b.Free()
}

func TestWhatABrowserLacksIsAnError(t *testing.T) {
	d := opened(t)
	g := d.gpu.(*browser)
	queue := g.queue
	defer func() { g.queue = queue }()
	g.queue = g.device // which has no writeBuffer
	b, err := d.NewBuffer(4)
	require.NoError(t, err)
	require.ErrorContains(t, b.Write(t.Context(), 0, make([]byte, 4)), "lacks something")
}
