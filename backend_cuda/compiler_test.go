//go:build linux

package cuda

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// fetched is NVRTC, which needs no GPU: `make nvrtc` fetches one.
func fetched(t testing.TB) *nvrtc {
	n, err := openNVRTC()
	if err != nil {
		t.Skip(err)
	}
	return n
}

func TestNVRTCSaysWhatIsWrongInASource(t *testing.T) {
	n := fetched(t)
	code, err := n.image("empty", `extern "C" __global__ void empty(float *x) { x[threadIdx.x] = 1; }`, 80)
	require.NoError(t, err)
	require.NotEmpty(t, code)
	_, err = n.image("wrong", `extern "C" __global__ void wrong(float *x) { y = 1; }`, 80)
	require.ErrorContains(t, err, `wrong.cu(1): error: identifier "y" is undefined`)
	require.NoError(t, n.fits(80))
	require.ErrorContains(t, n.fits(70), "not for compute capability 7.0")
}
