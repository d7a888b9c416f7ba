package checkpointtest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWhatDiffersIsNamed(t *testing.T) {
	nan := float32(math.NaN())
	zero := float32(math.Copysign(0, -1))
	want := map[string][]float32{"a": {1, 2, nan}, "b": {0}, "c": nil}
	for says, got := range map[string]map[string][]float32{
		"": {"a": {1, 2, nan}, "b": {0}, "c": nil},
		"1 of 3 tensors differ: a is 3 at 1, wanted 2":                  {"a": {1, 3, nan}, "b": {0}, "c": nil},
		"2 of 3 tensors differ: a has 2 values, wanted 3":               {"a": {1, 2}, "b": {zero}, "c": nil},
		"1 of 3 tensors differ: b is -0 at 0, wanted 0":                 {"a": {1, 2, nan}, "b": {zero}, "c": nil},
		"1 of 3 tensors differ: c is wanted: true, and is there: false": {"a": {1, 2, nan}, "b": {0}},
		"1 of 4 tensors differ: d is wanted: false, and is there: true": {"a": {1, 2, nan}, "b": {0}, "c": nil, "d": nil},
	} {
		assert.Equal(t, says, difference(want, got))
	}
}
