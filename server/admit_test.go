package server

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/servertest"
)

// A scan whose voxels cannot be counted when it is resampled says so, with a bound of
// memory and without.
func TestAScanOfAbsurdSpacingIsRefused(t *testing.T) {
	for name, bound := range map[string]int64{"bound": 1 << 30, "none": 0} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Bounds.HostBytes = bound
			r := start(t, o)
			for _, mm := range []float64{1e5, 1e30} {
				im := servertest.Scan([3]int{20, 20, 20})
				for a := range 3 {
					im.Spacing[a], im.Affine[a][a] = mm, mm
				}
				path := filepath.Join(t.TempDir(), "scan.nii.gz")
				require.NoError(t, scan.WriteImage(path, im, nil))
				b, err := os.ReadFile(path)
				require.NoError(t, err)
				j := r.wait(r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload(b).ID}}}).ID)
				require.Equal(t, api.JobFailed, j.State)
				assert.Contains(t, []string{api.FailedScan, api.FailedMemory}, j.Failed.Code, "%v mm: %s", mm, j.Failed.Reason)
			}
		})
	}
}

// Guessing keys is slowed down also where requests are not bounded.
func TestGuessingKeysIsBoundedWithoutARate(t *testing.T) {
	r := withKeys(t)
	require.Zero(t, r.o.Bounds.Rate)
	status := map[int]int{}
	for range 50 * failuresPerSecond { // within much less than the 50 s that they may take
		r.key = "guess"
		status[r.do("GET", "/api/v1/info", nil).StatusCode]++
	}
	assert.Positive(t, status[http.StatusUnauthorized])
	assert.Positive(t, status[http.StatusTooManyRequests])
	r.key = "user"
	assert.Equal(t, http.StatusOK, r.do("GET", "/api/v1/info", nil).StatusCode, "who has a key is let in")
}

// lines are what a server has logged.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.all.Write(p) }

func TestAServerWithoutModelsSaysSo(t *testing.T) {
	o := testOptions(t)
	o.Models = filepath.Join(t.TempDir(), "none")
	l := &lines{}
	o.Log = slog.New(slog.NewTextHandler(l, nil))
	s, err := New(context.Background(), o)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	assert.Contains(t, l.all.String(), "there are no models")
}
