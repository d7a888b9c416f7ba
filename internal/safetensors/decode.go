package safetensors

import (
	"encoding/binary"
	"math"

	"github.com/gounet/gounet/internal/half"
)

// floatDecoders and intDecoders fill the front of dst with the whole elements
// of src.
var floatDecoders = map[DType]func(dst []float32, src []byte){
	F64: func(dst []float32, src []byte) {
		for i := range len(src) / 8 {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	},
	F32: func(dst []float32, src []byte) {
		for i := range len(src) / 4 {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	},
	F16: func(dst []float32, src []byte) {
		for i := range len(src) / 2 {
			dst[i] = half.FromF16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	},
	BF16: func(dst []float32, src []byte) {
		for i := range len(src) / 2 {
			dst[i] = half.FromBF16(binary.LittleEndian.Uint16(src[2*i:]))
		}
	},
}

var intDecoders = map[DType]func(dst []int, src []byte){
	I64: func(dst []int, src []byte) {
		for i := range len(src) / 8 {
			dst[i] = int(binary.LittleEndian.Uint64(src[8*i:]))
		}
	},
	I32: func(dst []int, src []byte) {
		for i := range len(src) / 4 {
			dst[i] = int(int32(binary.LittleEndian.Uint32(src[4*i:])))
		}
	},
	I16: func(dst []int, src []byte) {
		for i := range len(src) / 2 {
			dst[i] = int(int16(binary.LittleEndian.Uint16(src[2*i:])))
		}
	},
	I8: func(dst []int, src []byte) {
		for i, x := range src {
			dst[i] = int(int8(x))
		}
	},
	U8:   bytesToInts,
	Bool: bytesToInts,
}

func bytesToInts(dst []int, src []byte) {
	for i, x := range src {
		dst[i] = int(x)
	}
}
