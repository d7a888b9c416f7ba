package cpu

// flatAVX2 is the kernels for AVX2 and FMA; gen makes them.
var flatAVX2 = flat{
	lanes: 8, block: 32,
	sums: sumsAVX2, moments: momentsAVX2, norm: normAVX2, gradSums: gradSumsAVX2, grad: gradAVX2,
	leakyAdd: leakyAddAVX2, leakyGrad: leakyGradAVX2, axpy: axpyAVX2, blend: blendAVX2, squares: squaresAVX2,
	dots: [5]dotKernel{1: {8, dot1AVX2}, 2: {4, dot2AVX2}, 3: {4, dot3AVX2}, 4: {2, dot4AVX2}},
	sgd:  sgdAVX2, adam: adamAVX2,
	largest: largestAVX2, expSub: expSubAVX2, log: logsAVX2, choose: chooseAVX2, firstOf: firstOfAVX2,
	classSums: classSumsAVX2, picked: pickedAVX2, mixed: mixedAVX2, softGrad: softGradAVX2,
}

// flatOf is the kernels beside those of s. They wait for memory, so that
// processors with AVX-512 use those of AVX2 too.
func flatOf(s *isa) *flat {
	if s == &plainGo {
		return &plainFlat
	}
	return &flatAVX2
}
