package cpu

// dot makes the forward pass of a pointwise convolution to few channels, as those of the
// heads. In a gather most of each vector over the outputs would be empty: here vectors
// run over the inputs, and their elements are added up at the end.
type dot struct {
	kernel         func(y, x, w, b *float32, ci, steps int)
	step           int // voxels that the kernel makes at a time
	voxels, ci, co int
	x, y, w, b     []float32 // of the run; b is repeated for each voxel of a step
}

// dotVoxels is the voxels of a unit of work: a multiple of all steps, 256 KB of x where ci is 32.
const dotVoxels = 2048

// newDot is the plan for s, or nil where a gather is to do it, and what it needs.
func newDot(s convShape, isa *isa) (*dot, need) {
	f, voxels := flatOf(isa), s.N*size(s.In).volume()
	if isa.paired || !s.pointwise() || s.Co >= len(f.dots) || s.C1%f.lanes != 0 {
		return nil, need{}
	}
	k := f.dots[s.Co]
	if k.run == nil || voxels < k.step {
		return nil, need{}
	}
	return &dot{kernel: k.run, step: k.step, voxels: voxels, ci: s.C1, co: s.Co}, need{shared: s.Co * (s.C1 + k.step)}
}

// fits says whether d is there and the tensors have the type that its kernel reads and
// writes.
func (d *dot) fits(x, w, y tensor) bool {
	return d != nil && x.f32 != nil && w.f32 != nil && y.f32 != nil
}

// forward writes y. b may be the zero tensor.
func (d *dot) forward(pool *pool, x, w, b, y tensor) {
	d.x, d.y = x.f32, y.f32
	d.w, d.b = pool.shared[:d.co*d.ci], pool.shared[d.co*d.ci:][:d.co*d.step]
	for k := range d.ci {
		for j := range d.co {
			d.w[j*d.ci+k] = w.f32[k*d.co+j]
		}
	}
	clear(d.b)
	if b.f32 != nil || b.u16 != nil {
		for v := range d.step {
			b.column(d.b[v*d.co:], 1, 0, 1, d.co)
		}
	}
	pool.run(max(1, d.voxels/dotVoxels), d)
}

// do makes dotVoxels voxels, the last unit also what is left. A last step that is not
// whole makes some voxels twice.
func (d *dot) do(_ *worker, unit int) {
	v, end := unit*dotVoxels, (unit+1)*dotVoxels
	if end+dotVoxels > d.voxels {
		end = d.voxels
	}
	whole := (end - v) / d.step
	d.steps(v, whole)
	if v+whole*d.step < end {
		d.steps(end-d.step, 1)
	}
}

func (d *dot) steps(v, n int) { d.kernel(&d.y[v*d.co], &d.x[v*d.ci], &d.w[0], &d.b[0], d.ci, n) }
