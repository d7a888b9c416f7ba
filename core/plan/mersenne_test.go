package plan

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMersenneIsMT19937(t *testing.T) {
	m := NewMersenne(5489)
	var v uint32
	for range 10000 {
		v = m.Uint32()
	}
	assert.Equal(t, uint32(4123659995), v, "the 10000th draw is in the C++ standard, [rand.predef]")
}

func TestBelowDrawsEveryNumberUnderItsBound(t *testing.T) {
	m := NewMersenne(1)
	seen := make([]int, 5)
	for range 1000 {
		seen[m.Below(5)]++
	}
	for i, n := range seen {
		assert.Greater(t, n, 100, "%d", i)
	}
	assert.Zero(t, m.Below(1))
}

func TestCountBelowCountsTheDrawsOfBelow(t *testing.T) {
	for _, n := range []uint32{1, 2, 7, 8, 1000} {
		a, b := NewMersenne(n), NewMersenne(n)
		want := make([]uint32, n)
		for range 5000 {
			want[a.Below(n)]++
		}
		assert.Equal(t, want, b.countBelow(n, 5000))
		assert.Equal(t, a.Uint32(), b.Uint32(), "equally many numbers are used up")
	}
}

func BenchmarkCountBelow(b *testing.B) {
	m := NewMersenne(1)
	m.countBelow(3000, b.N)
}

// The folds of nnU-Net come of scikit-learn's KFold, whose shuffle is numpy's.
func TestShuffleWithBelowGivesTheFoldsOfNNUNet(t *testing.T) {
	dir := filepath.Join(dataFolder(t), "msd_task04_hippocampus")
	data, err := os.ReadFile(filepath.Join(dir, "splits_final.json"))
	require.NoError(t, err)
	var folds []struct{ Train, Val []string }
	require.NoError(t, json.Unmarshal(data, &folds))
	names := slices.Concat(folds[0].Train, folds[0].Val)
	slices.Sort(names)

	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	m := NewMersenne(12345)
	for i := len(order) - 1; i > 0; i-- {
		j := m.Below(uint32(i) + 1)
		order[i], order[j] = order[j], order[i]
	}
	size := len(names) / len(folds)
	for i, f := range folds {
		var val []string
		for _, n := range order[i*size : (i+1)*size] {
			val = append(val, names[n])
		}
		assert.ElementsMatch(t, f.Val, val)
	}
}
