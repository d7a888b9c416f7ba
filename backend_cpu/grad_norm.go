package cpu

import (
	"context"
	"fmt"
	"math"

	"github.com/gounet/gounet/core/graph"
)

// pieces are runs of elements of several values, cut and gathered so that each
// unit has about stepFloats of them.
type pieces struct {
	list  []piece
	units []int // the first piece of each unit, and the end
}

// piece is elements from … to of value index.
type piece struct{ index, from, to int }

// stepFloats is how many weights a unit of the optimizer has: a few values of
// each lie in the second level of the cache.
const stepFloats = 16384

// cut makes the pieces of values of the given lengths.
func cut(lengths []int) pieces {
	var p pieces
	full := stepFloats // elements of the last unit
	for i, n := range lengths {
		for from := 0; from < n; {
			if full >= stepFloats {
				p.units, full = append(p.units, len(p.list)), 0
			}
			k := min(n-from, stepFloats-full)
			p.list = append(p.list, piece{i, from, from + k})
			from, full = from+k, full+k
		}
	}
	p.units = append(p.units, len(p.list))
	return p
}

func (p *pieces) count() int { return len(p.units) - 1 }

func (p *pieces) of(unit int) []piece { return p.list[p.units[unit]:p.units[unit+1]] }

// gradNormOf is a GradNorm.
type gradNormOf struct {
	*scope
	growth int
	ctl    []float32
	grads  [][]float32
	pieces pieces
}

// gradNorm makes Σg², which is finite if and only if every g is, since squares
// and their sum are f64; and then the slots of ctl.
func (s *scope) gradNorm(op graph.GradNorm, n graph.Node) []part {
	p := &gradNormOf{scope: s, growth: op.Growth, ctl: s.f32(n.In[0])}
	var lengths []int
	for _, v := range n.In[1:] {
		p.grads = append(p.grads, s.f32(v))
		lengths = append(lengths, len(s.f32(v)))
	}
	p.pieces = cut(lengths)
	s.pool.reserve(need{shared: 2 * p.pieces.count()})
	return []part{s.parallel(p.pieces.count(), p.squares), serial(p.control)}
}

func (p *gradNormOf) squares(w *worker, unit int) {
	w.squares = [4]float64{}
	for _, q := range p.pieces.of(unit) {
		p.flat.sumSquares(&w.squares, p.grads[q.index][q.from:q.to])
	}
	s := &w.squares
	doubles(p.pool.shared)[unit] = (s[0] + s[1]) + (s[2] + s[3])
}

func (p *gradNormOf) control() {
	sum := 0.0
	for unit := range p.pieces.count() {
		sum += doubles(p.pool.shared)[unit]
	}
	ctl, scale := p.ctl, float64(p.ctl[graph.CtlLossScale])
	ctl[graph.CtlNorm] = float32(math.Sqrt(sum) / scale)
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		ctl[graph.CtlFinite], ctl[graph.CtlFactor], ctl[graph.CtlGood] = 0, 0, 0
		ctl[graph.CtlSkipped]++
		if p.growth > 0 {
			ctl[graph.CtlLossScale] /= 2
		}
		return
	}
	factor := 1.0
	if clip := float64(ctl[graph.CtlClip]); clip > 0 {
		factor = min(1, clip/(math.Sqrt(sum)/scale+1e-6)) // 1e-6 // PyTorch's clip_grad_norm_
	}
	ctl[graph.CtlFinite], ctl[graph.CtlFactor] = 1, float32(factor/scale)
	ctl[graph.CtlSteps]++
	ctl[graph.CtlGood]++
	if p.growth > 0 && ctl[graph.CtlGood] >= float32(p.growth) {
		ctl[graph.CtlGood] = 0
		ctl[graph.CtlLossScale] *= 2
	}
}

// allReduce hands the values to the hook of Options. The sum over one device is
// the value itself.
func (s *scope) allReduce(op graph.AllReduce, n graph.Node) ([]part, error) {
	if s.world == 1 {
		return nil, nil
	}
	if s.reduce == nil {
		return nil, fmt.Errorf("%d devices take part, but the device was opened without a Reduce that connects them", s.world)
	}
	var values [][]float32
	for _, v := range n.In {
		values = append(values, s.f32(v))
	}
	share := float32(1)
	if op.Mean {
		share /= float32(s.world)
	}
	return []part{func(ctx context.Context) error {
		if err := s.reduce(ctx, values); err != nil {
			return err
		}
		if op.Mean {
			for _, v := range values {
				for i := range v {
					v[i] *= share
				}
			}
		}
		return nil
	}}, nil
}
