package dicom

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNumbersOf128BitsAreWrittenInDecimal(t *testing.T) {
	for _, c := range [][2]uint64{{0, 1}, {0, 10}, {1, 0}, {9, 999}, {1 << 63, 1}, {0xfedcba9876543210, 0x0123456789abcdef}, {^uint64(0), ^uint64(0)}} {
		want := new(big.Int).Lsh(new(big.Int).SetUint64(c[0]), 64)
		want.Add(want, new(big.Int).SetUint64(c[1]))
		assert.Equal(t, want.String(), digits(c[0], c[1]))
	}
}
