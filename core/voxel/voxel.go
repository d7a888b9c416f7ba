// Package voxel reads the numbers of scans as files hold them: of some type and
// byte order, compressed or not, in one file or several. The packages of file
// formats (nrrd, metaimage, mgh, analyze) read a header and say with a Data where
// the numbers are; what they have in common is here.
//
// The one idea: nothing is believed. What a header declares is held against fixed
// limits and against the sizes of the files before memory is taken; where
// compression could hide a lie, the bytes are counted first. Memory stays below
// four times the bytes that are really there, and 64 MiB. Files that a header
// names must lie in its own folder.
package voxel

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
)

// Type is the type of a number on disk.
type Type uint8

// The types that scans have.
const (
	Uint8 Type = iota + 1
	Int8
	Uint16
	Int16
	Uint32
	Int32
	Uint64
	Int64
	Float32
	Float64
)

// types has name, size and the reading of little-endian values, by Type.
var types = [...]struct {
	name  string
	bytes int
	read  func(dst []float64, src []byte)
}{
	Uint8: {"uint8", 1, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(src[i])
		}
	}},
	Int8: {"int8", 1, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(int8(src[i]))
		}
	}},
	Uint16: {"uint16", 2, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(binary.LittleEndian.Uint16(src[2*i:]))
		}
	}},
	Int16: {"int16", 2, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(int16(binary.LittleEndian.Uint16(src[2*i:])))
		}
	}},
	Uint32: {"uint32", 4, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(binary.LittleEndian.Uint32(src[4*i:]))
		}
	}},
	Int32: {"int32", 4, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(int32(binary.LittleEndian.Uint32(src[4*i:])))
		}
	}},
	Uint64: {"uint64", 8, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(binary.LittleEndian.Uint64(src[8*i:]))
		}
	}},
	Int64: {"int64", 8, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(int64(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}},
	Float32: {"float32", 4, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
		}
	}},
	Float64: {"float64", 8, func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		}
	}},
}

// Bytes is the size of a number; 0 of no type.
func (t Type) Bytes() int {
	if int(t) >= len(types) {
		return 0
	}
	return types[t].bytes
}

func (t Type) String() string {
	if t.Bytes() == 0 {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return types[t].name
}

// swap reverses the bytes of each value of the given width.
func swap(b []byte, width int) {
	for i := 0; width > 1 && i+width <= len(b); i += width {
		for j, k := i, i+width-1; j < k; j, k = j+1, k-1 {
			b[j], b[k] = b[k], b[j]
		}
	}
}

// MaxValues bounds the values of a scan, 4 bytes each in memory: 32 GiB, or 1 GiB
// where 32-bit WebAssembly can address no more than four.
func MaxValues() int64 {
	if runtime.GOARCH == "wasm" {
		return 1 << 28
	}
	return 1 << 33
}

// Product multiplies the axes of a shape, each of which must be at least 1, and
// refuses what is more than MaxValues.
func Product(axes ...int64) (int64, error) {
	n := int64(1)
	for i, a := range axes {
		if a < 1 {
			return 0, fmt.Errorf("axis %d of %v has %d elements, wanted 1 or more", i, axes, a)
		}
		if a > MaxValues()/n {
			return 0, fmt.Errorf("%v are more than the %d values that are read: the header is damaged or the scan must be split", axes, MaxValues())
		}
		n *= a
	}
	return n, nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
