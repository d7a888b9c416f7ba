package cuda

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/gounet/gounet/core/graph"
)

// Work of the kernels that measure what a GPU can do at most.
const (
	peakThreads  = 256       // of a block
	peakOperands = 32 << 10  // bytes that each block multiplies
	peakRounds   = 1 << 10   // of products: half a millisecond or so
	peakBytes    = 512 << 20 // of an array, beyond what any GPU has as caches
	peakVectors  = 4         // of 16 bytes that a thread moves
)

// multiplyPeak is the kernel that multiplies as fast as t can what is stored so, and its FLOP: by
// the instructions that the fastest kernels of that storage have.
func multiplyPeak(t target, storage graph.DType, rounds int) (l launch, flop float64, err error) {
	groups := t.Arch == 90 && storage.Size() == 2
	each := 4 // blocks of a multiprocessor
	l = launch{Kernel: "peak_mma", Block: [3]uint32{peakThreads, 1, 1}}
	c := consts{"T": storage, "ROUNDS": rounds}
	tensor := storage == graph.F16 || t.Arch >= 80
	var product int // FLOP of a thread in a round
	switch {
	case groups: // 64 rows by 128, 64 deep, by 128 threads
		each = 2
		l.Kernel, l.Shared = "peak_wgmma", peakOperands
		product = 2 * 64 * 128 * 64 / 128
	case !tensor: // 32 sums
		product = 2 * 32
	case storage == graph.F32: // eight products of 16 by 8, 8 deep, by 32 threads
		product = 2 * 8 * 16 * 8 * 8 / 32
	default: // 16 deep
		product = 2 * 8 * 16 * 8 * 16 / 32
	}
	if !groups {
		c["TENSOR"] = tensor
	}
	l.Grid = [3]uint32{uint32(each * t.SMs), 1, 1}
	l.Prelude, err = prelude(c)
	threads := each * t.SMs * peakThreads
	sums := place{In: partials, Bytes: 4 * int64(threads)}
	l.Args = []place{sums, {In: partials, Offset: aligned(sums.Bytes), Bytes: peakOperands}}
	return l, float64(product) * float64(threads) * float64(rounds), err
}

// movePeak is the kernel that moves at most so many bytes in three arrays, and how many it moves.
func movePeak(most int64) (l launch, bytes int64) {
	const block = 16 * peakVectors * peakThreads // bytes of an array
	blocks := max(1, min(most/3, peakBytes)/block)
	n := blocks * block
	l = launch{Kernel: "peak_memory", Grid: [3]uint32{uint32(blocks), 1, 1}, Block: [3]uint32{peakThreads, 1, 1}}
	for i := range int64(3) {
		l.Args = append(l.Args, place{In: partials, Offset: i * aligned(n), Bytes: n})
	}
	return l, 3 * n
}

// randomOperands are numbers of ½ to 1 of either sign, of all bits that are multiplied.
func randomOperands(storage graph.DType) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, peakOperands)
	for i := 0; i < len(b); i += 4 {
		u := r.Uint32()
		switch storage {
		case graph.F16:
			u = u&0x83ff83ff | 0x38003800
		case graph.BF16:
			u = u&0x807f807f | 0x3f003f00
		default:
			u = u&0x807fe000 | math.Float32bits(0.5)
		}
		binary.LittleEndian.PutUint32(b[i:], u)
	}
	return b
}
