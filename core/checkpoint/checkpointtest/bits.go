// Package checkpointtest compares the tensors of checkpoints in tests.
package checkpointtest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/safetensors"
)

// Tensors are those of a file, by their names.
func Tensors(t testing.TB, file string) map[string][]float32 {
	t.Helper()
	f, err := safetensors.Open(file)
	require.NoError(t, err)
	defer f.Close()
	m := map[string][]float32{}
	for _, n := range f.Names() {
		m[n], _, err = f.Float32s(n)
		require.NoError(t, err)
	}
	return m
}

// SameBits wants tensors of the same names, sizes and bits. It names what differs and
// does not print all the numbers, which nobody can read.
func SameBits(t testing.TB, want, got map[string][]float32, about ...any) bool {
	t.Helper()
	if differ := difference(want, got); differ != "" {
		return assert.Fail(t, differ, about...)
	}
	return true
}

// difference says how tensors differ; "" if they do not.
func difference(want, got map[string][]float32) string {
	names := maps.Clone(want)
	maps.Copy(names, got)
	differ, first := 0, ""
	for _, n := range slices.Sorted(maps.Keys(names)) {
		w, there := want[n]
		g, here := got[n]
		at := 0
		for at < min(len(w), len(g)) && math.Float32bits(w[at]) == math.Float32bits(g[at]) {
			at++
		}
		switch {
		case there != here:
			n = fmt.Sprintf("%s is wanted: %v, and is there: %v", n, there, here)
		case len(w) != len(g):
			n = fmt.Sprintf("%s has %d values, wanted %d", n, len(g), len(w))
		case at < len(w):
			n = fmt.Sprintf("%s is %g at %d, wanted %g", n, g[at], at, w[at])
		default:
			continue
		}
		if differ++; differ == 1 {
			first = n
		}
	}
	if differ == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d tensors differ: %s", differ, len(names), first)
}
