package webgpu

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// Whatever is called after a loss is an error that says so; the process lives, and
// another device can be opened.
func TestALostDeviceIsAnErrorOfEveryCall(t *testing.T) {
	losable(t)
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			d := open(t).(*device)
			p, x, _ := adder(t, graph.F32)
			s, err := backend.NewSession(d, p, nil)
			require.NoError(t, err)
			require.NoError(t, s.Run(t.Context()))
			restore := lose(t, d, way)
			read := func() error { return s.Read(t.Context(), x, make([]byte, 2048)) }
			// A run is handed over; what becomes of it is told by the next call at the latest.
			err = s.Run(t.Context())
			if err == nil {
				err = read()
			}
			require.ErrorIs(t, err, backend.ErrLost)
			require.ErrorContains(t, err, "twice", "with the name of the node")
			for name, call := range map[string]func() error{
				"Run":       func() error { return s.Run(t.Context()) },
				"Read":      read,
				"Write":     func() error { return s.Write(t.Context(), x, make([]byte, 2048)) },
				"NewBuffer": func() error { _, err := d.NewBuffer(1024); return err },
				"Compile":   func() error { _, err := backend.NewSession(d, p, nil); return err },
			} {
				for range 3 {
					assert.ErrorIs(t, call(), backend.ErrLost, name)
				}
			}
			s.Close()
			require.NoError(t, d.Close())
			restore()

			again := opened(t)
			s, err = backend.NewSession(again, p, nil)
			require.NoError(t, err)
			defer s.Close()
			require.NoError(t, s.Run(t.Context()))
		})
	}
}

// The errors of a submit are told with the names of its nodes, once: in a browser,
// where they come when it is done, by the call that comes next.
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
	e := &executable{dev: d, nodes: []string{"the broken node"}, list: []dispatch{{made[0], groups[0], 1, 0, 1, 0, 1}}}
	err = e.Run(t.Context())
	if err == nil {
		err = s.Read(t.Context(), x, make([]byte, 4))
	}
	require.ErrorContains(t, err, "webgpu: the broken node: ")
	require.NotErrorIs(t, err, backend.ErrLost)
	require.NoError(t, s.Run(t.Context()))
	require.NoError(t, s.Read(t.Context(), x, make([]byte, 4)))
}
