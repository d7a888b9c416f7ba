//go:build cuda && linux

package cuda

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
)

// What is read late is what the run before it has left, however many runs there were
// since, and nobody waits until it is asked for.
func TestWhatIsReadLateIsOfItsRun(t *testing.T) {
	e := emulatedOnly(t)
	p, x, y := doubling(t, 64)
	s := session(t, closing(t), p)
	waits := func() int64 { return e.calls("cuEventSynchronize") + e.calls("cuStreamSynchronize") }
	begin := waits()
	var late []func(context.Context) ([]byte, error)
	for i := range mostFlights {
		require.NoError(t, s.WriteF32(t.Context(), x, []float32{float32(i), 7}))
		require.NoError(t, s.Run(t.Context()))
		bytes, ok, err := s.ReadLater(t.Context(), y, 8)
		require.NoError(t, err)
		require.True(t, ok)
		late = append(late, bytes)
	}
	require.Equal(t, begin, waits(), "nobody has waited")
	for _, i := range []int{1, 3, 0, 2} {
		b, err := late[i](t.Context())
		require.NoError(t, err)
		require.Equal(t, backend.F32Bytes([]float32{float32(2 * i), 14}), b)
	}
	late = nil
	for i := range 3 * lateSlots { // more than there are slots
		require.NoError(t, s.WriteF32(t.Context(), x, []float32{float32(i)}))
		require.NoError(t, s.Run(t.Context()))
		bytes, _, err := s.ReadLater(t.Context(), y, 4)
		require.NoError(t, err)
		late = append(late, bytes)
	}
	for i, bytes := range late {
		b, err := bytes(t.Context())
		require.NoError(t, err)
		require.Equal(t, backend.F32Bytes([]float32{float32(2 * i)}), b)
	}
	_, _, err := s.ReadLater(t.Context(), y, 64*4+1)
	require.ErrorContains(t, err, "257 bytes read from")
}
