package cpu

// flatAVX2 is the kernels for AVX2 and FMA; gen makes them.
var flatAVX2 = flat{
	lanes: 8, block: 32,
	single: sweeps{sumsAVX2, momentsAVX2, normAVX2, gradSumsAVX2, gradAVX2, leakyAddAVX2, leakyGradAVX2},
	halves: &sweeps{sumsHalfAVX2, momentsHalfAVX2, normHalfAVX2, gradSumsHalfAVX2, gradHalfAVX2, leakyAddHalfAVX2, leakyGradHalfAVX2},
	axpy:   axpyAVX2, blend: blendAVX2, squares: squaresAVX2,
	heads: headsAVX2, foldSingles: foldSinglesAVX2,
	sgd: sgdAVX2, adam: adamAVX2, adan: adanAVX2,
	expSub: expSubAVX2, log: logsAVX2,
	lossKernels: lossKernels{
		split:   [5]func(dst, src *float32, step, vectors int){2: split2AVX2, 3: split3AVX2, 4: split4AVX2},
		join:    [5]func(dst, src *float32, step, vectors int){2: join2AVX2, 3: join3AVX2, 4: join4AVX2},
		classes: classesAVX2, softmax: softmaxAVX2, softmaxes: [5]func(*lossRows){2: softmax2AVX2, 3: softmax3AVX2, 4: softmax4AVX2}, hard: hardAVX2, classSums: classSumsAVX2, softSums: softSumsAVX2,
		pick: pickAVX2, classGrad: classGradAVX2, firstLargest: firstLargestAVX2, lastAbove: lastAboveAVX2, mix: mixAVX2, stretch: stretchAVX2,
		choose: chooseAVX2, sigmoid: sigmoidAVX2, regionSums: regionSumsAVX2, binary: binaryAVX2, sigmoidGrad: sigmoidGradAVX2,
	},
}

// flatAVX512 is the kernels for AVX-512; gen makes them.
var flatAVX512 = flat{
	lanes: 16, block: 32, short: &flatAVX2,
	single:  sweeps{sumsAVX512, momentsAVX512, normAVX512, gradSumsAVX512, gradAVX512, leakyAddAVX512, leakyGradAVX512},
	halves:  &sweeps{sumsHalfAVX512, momentsHalfAVX512, normHalfAVX512, gradSumsHalfAVX512, gradHalfAVX512, leakyAddHalfAVX512, leakyGradHalfAVX512},
	squares: squaresAVX512,
	heads:   headsAVX512, foldSingles: foldSinglesAVX512, foldChannels: foldChannelsAVX512, foldVoxels: foldVoxelsAVX512,
	sgd: sgdAVX512, adam: adamAVX512, adan: adanAVX512,
	expSub: expSubAVX512, log: logsAVX512,
	lossKernels: lossKernels{
		split:   [5]func(dst, src *float32, step, vectors int){2: split2AVX512, 3: split3AVX512, 4: split4AVX512},
		join:    [5]func(dst, src *float32, step, vectors int){2: join2AVX512, 3: join3AVX512, 4: join4AVX512},
		classes: classesAVX512, softmax: softmaxAVX512, softmaxes: [5]func(*lossRows){2: softmax2AVX512, 3: softmax3AVX512, 4: softmax4AVX512}, hard: hardAVX512, classSums: classSumsAVX512, softSums: softSumsAVX512,
		pick: pickAVX512, classGrad: classGradAVX512, firstLargest: firstLargestAVX512, lastAbove: lastAboveAVX512, mix: mixAVX512, stretch: stretchAVX512,
		choose: chooseAVX512, sigmoid: sigmoidAVX512, regionSums: regionSumsAVX512, binary: binaryAVX512, sigmoidGrad: sigmoidGradAVX512,
	},
}

var headsAVX2 = [5][2]*headKernels{
	1: {{8, dot1AVX2, headGrad1AVX2, nil}, {8, dot1HalfAVX2, headGrad1HalfAVX2, spread1HalfAVX2}},
	2: {{4, dot2AVX2, headGrad2AVX2, nil}, {4, dot2HalfAVX2, headGrad2HalfAVX2, spread2HalfAVX2}},
	3: {{4, dot3AVX2, headGrad3AVX2, nil}, {4, dot3HalfAVX2, headGrad3HalfAVX2, spread3HalfAVX2}},
	4: {{2, dot4AVX2, headGrad4AVX2, nil}, {2, dot4HalfAVX2, headGrad4HalfAVX2, spread4HalfAVX2}},
}

var headsAVX512 = [5][2]*headKernels{
	1: {{16, dot1AVX512, headGrad1AVX512, nil}, {16, dot1HalfAVX512, headGrad1HalfAVX512, spread1HalfAVX512}},
	2: {{16, dot2AVX512, headGrad2AVX512, nil}, {16, dot2HalfAVX512, headGrad2HalfAVX512, spread2HalfAVX512}},
	3: {{16, dot3AVX512, headGrad3AVX512, nil}, {16, dot3HalfAVX512, headGrad3HalfAVX512, spread3HalfAVX512}},
	4: {{16, dot4AVX512, headGrad4AVX512, nil}, {16, dot4HalfAVX512, headGrad4HalfAVX512, spread4HalfAVX512}},
}

// flatOf is the kernels beside those of s.
func flatOf(s *isa) *flat {
	switch {
	case s == &plainGo:
		return &plainFlat
	case s.lanes == flatAVX512.lanes && hasAVX512():
		return &flatAVX512
	}
	return &flatAVX2
}
