package nifti

import (
	"encoding/binary"
	"math"
)

// dtype is a type of voxels on disk.
type dtype struct {
	name  string
	bytes int                             // a value
	read  func(dst []float64, src []byte) // little-endian values to float64; nil: known, but no scan
	why   string                          // why read is nil
}

const (
	codeUint8   = 2
	codeFloat32 = 16
)

// dtypes is nifti1.h's table of datatype codes.
var dtypes = map[int16]dtype{
	codeUint8: {name: "uint8", bytes: 1, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(src[i])
		}
	}},
	4: {name: "int16", bytes: 2, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(int16(binary.LittleEndian.Uint16(src[2*i:])))
		}
	}},
	8: {name: "int32", bytes: 4, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(int32(binary.LittleEndian.Uint32(src[4*i:])))
		}
	}},
	codeFloat32: {name: "float32", bytes: 4, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
		}
	}},
	64: {name: "float64", bytes: 8, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		}
	}},
	256: {name: "int8", bytes: 1, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(int8(src[i]))
		}
	}},
	512: {name: "uint16", bytes: 2, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(binary.LittleEndian.Uint16(src[2*i:]))
		}
	}},
	768: {name: "uint32", bytes: 4, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(binary.LittleEndian.Uint32(src[4*i:]))
		}
	}},
	1024: {name: "int64", bytes: 8, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(int64(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}},
	1280: {name: "uint64", bytes: 8, read: func(dst []float64, src []byte) {
		for i := range dst {
			dst[i] = float64(binary.LittleEndian.Uint64(src[8*i:]))
		}
	}},
	32:   {name: "complex64", bytes: 8, why: "complex values are no scan: store the magnitude"},
	1792: {name: "complex128", bytes: 16, why: "complex values are no scan: store the magnitude"},
	2048: {name: "complex256", bytes: 32, why: "complex values are no scan: store the magnitude"},
	1536: {name: "float128", bytes: 16, why: "extended floats differ from machine to machine: convert to float64"},
	128:  {name: "rgb24", bytes: 3, why: "colours are no intensities: store one value a voxel, or a channel a colour"},
	2304: {name: "rgba32", bytes: 4, why: "colours are no intensities: store one value a voxel, or a channel a colour"},
}

// swap reverses the bytes of each value of the given width.
func swap(b []byte, width int) {
	switch width {
	case 2:
		for i := 0; i+2 <= len(b); i += 2 {
			binary.LittleEndian.PutUint16(b[i:], binary.BigEndian.Uint16(b[i:]))
		}
	case 4:
		for i := 0; i+4 <= len(b); i += 4 {
			binary.LittleEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
		}
	case 8:
		for i := 0; i+8 <= len(b); i += 8 {
			binary.LittleEndian.PutUint64(b[i:], binary.BigEndian.Uint64(b[i:]))
		}
	}
}
