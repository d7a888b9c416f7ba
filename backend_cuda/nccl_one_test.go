//go:build cuda && linux

package cuda

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cuda/library"
)

// A group of one rank has sums of its own numbers: on a GPU by NVIDIA's NCCL, which is
// found, joined, captured into graphs and given back.
func TestAGroupOfOneRankKeepsItsNumbers(t *testing.T) {
	d := groupOfOne(t)
	defer func() { require.NoError(t, d.Close()) }()
	const elems = 100
	p, x := reducing(t, elems)
	s := session(t, d, p)
	defer s.Close()
	want, got := make([]float32, elems), make([]float32, elems)
	for i := range want {
		want[i] = float32(i) / 8
	}
	require.NoError(t, s.WriteF32(t.Context(), x, want))
	for range 3 {
		require.NoError(t, s.Run(t.Context()))
	}
	require.NoError(t, s.ReadF32(t.Context(), x, got))
	require.Equal(t, want, got)
}

// groupOfOne is a device that is a group.
func groupOfOne(t *testing.T) *device {
	if os.Getenv(onGPU) == "" {
		devices, _ := emulatedGroup(t, 1)
		return devices[0]
	}
	if _, path, err := library.Open(ncclPaths()); err != nil {
		t.Skip(ncclPackages)
	} else {
		t.Log(path)
	}
	ended, end := context.WithCancelCause(context.Background())
	d, err := Open(Options{Untuned: true, Group: &Group{World: 1, Ended: ended, Fail: end, Share: func([]byte) error { return nil }}})
	require.NoError(t, err)
	return d.(*device)
}
