package cpu

// lossRows is the argument of the kernels of the losses, which go through rows of
// voxels: there is a row for each of k classes, step bytes from one to the next. With
// t = [class is k]
//
//	softmax       p = exp(z − top) / total   top = max z   total = Σ exp(z − top)
//	hard          p = 1 for the first of the largest z, else 0
//	classSums     sums[k] += Σ p·t, Σ p, Σ t, of voxels that count
//	softSums      the same, and Σ t·(total + (top − z)), total being a logarithm
//	pick          ce = Σ d[k][2]·t
//	firstLargest  labels = d[k][0] of the first of the largest z
//	lastAbove     labels = d[k][0] of the last z > 0, else 0
//	classGrad     z = p·(a − Σ a·p) + ce·(p − t), a = d[k][0] + d[k][1]·t; 0 where the voxel does not count
//
// gen knows the offsets of the fields.
type lossRows struct {
	z, p       *float32
	class      *float32 // −1: the voxel does not count
	top, total *float32
	ce         *float32
	sums       *float32 // [k sums lanes]
	d          *float32 // [k 3]
	k, step    int
	vectors    int
	labels     *byte
}

// lossKernels are the kernels of the losses.
type lossKernels struct {
	split, join                                         [5]func(dst, src *float32, step, vectors int) // by the classes: dst[j·step + i] = src[i·k + j], and back; nil: there is none
	classes                                             func(class *float32, labels *byte, vectors int, last, ignore float32)
	softmax, hard, classSums, softSums, pick, classGrad func(*lossRows)
	softmaxes                                           [5]func(*lossRows) // softmax by the classes; nil: there is none
	firstLargest, lastAbove                             func(*lossRows)

	// Of enlarged logits; products are rounded, so that labels are the same everywhere.
	mix     func(y, a, b *float32, vectors int, f float32)                    // y = a·(1 − f) + b·f
	stretch func(y, x *float32, base, i0, i1 *int32, f *float32, vectors int) // y = x[base + i0]·(1 − f) + x[base + i1]·f, base of a vector, i0 and i1 below two

	// Of one class, with a row t that any label may be 1 in; only voxels whose class is
	// not −1 count.
	choose      func(t, a *float32, vectors int, k float32)                 // t = a is k ? 1 : 0
	sigmoid     func(p, total, z *float32, vectors int)                     // p = 1/(1 + exp(−z))   total = 1 + exp(−|z|)
	regionSums  func(sum, p, t, class *float32, vectors int)                // Σ p·t, Σ p, Σ t
	binary      func(sum, z, total, t, class *float32, vectors int)         // Σ max(z, 0) − t·z + total, a logarithm
	sigmoidGrad func(z, p, t, class *float32, vectors int, a, b, c float32) // z = (a + b·t)·p·(1 − p) + c·(p − t), or 0
}
