package volume

import (
	"fmt"
	"math"
)

// DistanceSquared is the exact Euclidean distance transform: for each voxel the
// squared distance, in mm², from its centre to the centre of the nearest true
// voxel of mask [D H W]. True voxels are 0; without any, all are +Inf.
//
// spacing is that of D H W in mm. The transform is separable: with parabolas
// along each axis, d(p) = min over q of d(q) + (spacing*(p-q))² (Felzenszwalb and
// Huttenlocher, Distance Transforms of Sampled Functions, 2012).
//
// It panics if mask does not have D*H*W voxels.
func DistanceSquared(mask []bool, shape [3]int, spacing [3]float64) []float32 {
	nD, nH, nW := shape[0], shape[1], shape[2]
	if len(mask) != nD*nH*nW {
		panic(fmt.Sprintf("volume: distance: %d voxels in a mask of %d×%d×%d", len(mask), nD, nH, nW))
	}
	dist := make([]float32, len(mask))
	if len(mask) == 0 {
		return dist
	}
	parallel(nD*nH, none, func(row int, _ struct{}) {
		rowDistance(dist[row*nW:(row+1)*nW], mask[row*nW:(row+1)*nW], spacing[2])
	})
	lowerAlong(dist, linesAlong(shape, 1, 1), spacing[1])
	lowerAlong(dist, linesAlong(shape, 0, 1), spacing[0])
	return dist
}

// rowDistance sets dst to the squared distance along one row.
func rowDistance(dst []float32, mask []bool, spacing float64) {
	const never = -1
	last := never
	for i, in := range mask {
		switch {
		case in:
			last, dst[i] = i, 0
		case last == never:
			dst[i] = float32(math.Inf(1))
		default:
			dst[i] = square(spacing * float64(i-last))
		}
	}
	last = never
	for i := len(mask) - 1; i >= 0; i-- {
		if mask[i] {
			last = i
		} else if last != never {
			dst[i] = min(dst[i], square(spacing*float64(last-i)))
		}
	}
}

func square(x float64) float32 { return float32(x * x) }

// lowerAlong replaces each line along an axis by the lower envelope of the
// parabolas that stand on its values.
func lowerAlong(dist []float32, lines axisLines, spacing float64) {
	n := lines.n
	if n == 1 {
		return
	}
	parallel(lines.blocks(), func() *envelope { return newEnvelope(n) }, func(i int, e *envelope) {
		first, count := lines.block(i)
		for line := first; line < first+count; line++ {
			e.run(dist[lines.start(line):], lines.inner, spacing)
		}
	})
}

// envelope is the scratch of one line's lower envelope.
type envelope struct {
	f    []float64 // values of the line
	site []int     // positions whose parabolas are part of the envelope, left to right
	from []float64 // from[k] is where the parabola of site[k] begins to be the lowest, in voxels
}

func newEnvelope(n int) *envelope {
	return &envelope{f: make([]float64, n), site: make([]int, n), from: make([]float64, n)}
}

// run replaces line[0], line[stride], … by its lower envelope.
func (e *envelope) run(line []float32, stride int, spacing float64) {
	n, s2 := len(e.f), spacing*spacing
	count := 0
	for q := range n {
		fq := float64(line[q*stride])
		e.f[q] = fq
		if math.IsInf(fq, 1) {
			continue
		}
		start := math.Inf(-1)
		for count > 0 {
			p := e.site[count-1]
			// Where the parabolas of p and q meet: f(p)+s²(x-p)² = f(q)+s²(x-q)².
			start = (float64(p+q) + (fq-e.f[p])/(s2*float64(q-p))) / 2
			if start > e.from[count-1] {
				break
			}
			count--
			start = math.Inf(-1)
		}
		e.site[count], e.from[count] = q, start
		count++
	}
	if count == 0 {
		return
	}
	k := 0
	for x := range n {
		for k+1 < count && e.from[k+1] <= float64(x) {
			k++
		}
		step := spacing * float64(x-e.site[k])
		line[x*stride] = float32(e.f[e.site[k]] + step*step)
	}
}
